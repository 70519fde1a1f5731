"""The day board: whom the front desk sees in which column, and a day of 23 or 25 hours."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from server.admin.board import lay_out
from server.extensions import db
from server.models import Appointment
from server.services.visits import Closed, DayOf
from server.utils import clock
from server.utils.tokens import new_id
from tests.cast import ZONE, Cast, Person
from tests.clients import PageClient
from tests.factories import (
    create_appointment,
    create_closure,
    create_location,
    create_practitioner,
    create_schedule,
    create_user,
)

Pages = Callable[[Person | None], PageClient]


def book(cast: Cast, who: Person, with_: Person, start: datetime, **over: object) -> UUID:
    found: Appointment = create_appointment(
        cast.patient(who), cast.practitioner(with_), cast.location, cast.checkup, start, **over
    )
    db.session.commit()
    return found.id


def board_of(cast: Cast, day: date) -> str:
    return f"/admin/day?location={cast.location_id}&date={day}"


def column_of(page: PageClient, name: str) -> str:
    """What the column of a practitioner says."""
    for section in page.all("section"):
        said = " ".join(" ".join(section.itertext()).split())
        if said.startswith(name):
            return said
    return ""


def test_dana_sees_anas_visit_in_dr_chos_column(cast: Cast, page_client: Pages) -> None:
    book(cast, cast.ana, cast.dr_cho, cast.at(10))
    page = page_client(cast.dana).get(board_of(cast, cast.day()), status=200)
    assert "10:00 to 10:30 Ana Silva Booked Check-up" in column_of(page, "Dr Min Cho")
    assert "Ana Silva" not in column_of(page, "Dr Eva Diaz")
    assert page.says("1 booked")
    assert page.says("0 arrived")
    assert page.says("New York time (UTC")


def test_dana_comes_to_today_at_the_location_she_last_looked_at(cast: Cast, page_client: Pages) -> None:
    create_location(name="A branch in Lisbon", time_zone="Europe/Lisbon")
    db.session.commit()
    page = page_client(cast.dana)
    page.get("/admin", status=302)
    assert "date=" + str(clock.today("Europe/Lisbon")) in page.location
    page.get(board_of(cast, cast.day()), status=200)
    page.get("/admin", status=302)
    assert str(cast.location_id) in page.location


def test_ana_may_not_look_at_the_board(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana).get(board_of(cast, cast.day()), status=403)
    assert page.says("These pages are for the staff of the clinic.")


def test_a_visitor_is_asked_to_sign_in(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get(board_of(cast, cast.day()), status=302)
    assert page.location.startswith("/login")


def test_dr_cho_sees_only_her_own_column_and_no_way_to_book(cast: Cast, page_client: Pages) -> None:
    book(cast, cast.ana, cast.dr_cho, cast.at(10))
    book(cast, cast.bea, cast.dr_diaz, cast.at(10))
    page = page_client(cast.dr_cho).get(board_of(cast, cast.day()), status=200)
    assert page.says("Ana Silva")
    assert not page.says("Bea Torres")
    assert not page.says("Dr Eva Diaz")
    assert "/admin/book" not in page.text


def test_a_practitioner_who_is_nobody_yet_sees_no_visits(cast: Cast, page_client: Pages) -> None:
    book(cast, cast.ana, cast.dr_cho, cast.at(10))
    user = create_user("practitioner", email="new@example.com")
    db.session.commit()
    page = page_client(Person(user.id, user.email)).get(board_of(cast, cast.day()), status=200)
    assert not page.says("Ana Silva")
    assert page.says("Nothing on this day")


def test_dana_is_offered_free_time_but_not_leave_buffers_or_other_places(cast: Cast, page_client: Pages) -> None:
    create_closure(cast.at(9), cast.at(10), practitioner_id=cast.dr_cho.practitioner_id, kind="leave", reason="Dentist")
    elsewhere = create_location(name="Annexe")
    create_appointment(cast.patient(cast.bea), cast.practitioner(cast.dr_cho), elsewhere, cast.checkup, cast.at(11, 30))
    create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.physio, cast.at(10, 5)
    )
    db.session.commit()
    said = column_of(page_client(cast.dana).get(board_of(cast, cast.day()), status=200), "Dr Min Cho")
    assert "Dentist , 09:00 to 10:00" in said
    assert "At another location , 11:30 to 12:00" in said
    assert "Bea Torres" not in said
    # The physiotherapy of 45 minutes keeps 5 before and 10 after: 10:00 to 11:00 is taken.
    offered = [words.split()[0] for words in said.split("Book ")[1:]]
    assert offered[:3] == ["11:00", "12:00", "12:30"]


def test_a_no_show_leaves_its_time_to_somebody_else_and_both_are_seen(cast: Cast, page_client: Pages) -> None:
    book(cast, cast.ana, cast.dr_cho, cast.at(10), status="noshow")
    book(cast, cast.bea, cast.dr_cho, cast.at(10))
    page = page_client(cast.dana).get(board_of(cast, cast.day()), status=200)
    said = column_of(page, "Dr Min Cho")
    assert "Ana Silva No-show" in said
    assert "Bea Torres Booked" in said
    assert "lane-1" in page.text


def test_a_hold_is_seen_until_it_expires(cast: Cast, page_client: Pages) -> None:
    for hour, expires_at in ((10, clock.now() + timedelta(minutes=5)), (11, clock.now() - timedelta(minutes=5))):
        create_appointment(
            None,
            cast.practitioner(cast.dr_cho),
            cast.location,
            cast.checkup,
            cast.at(hour),
            status="proposed",
            hold_owner_id=new_id(),
            hold_expires_at=expires_at,
        )
    db.session.commit()
    said = column_of(page_client(cast.dana).get(board_of(cast, cast.day()), status=200), "Dr Min Cho")
    assert "10:00 to 10:30 Held" in said
    assert "11:00 to 11:30" not in said


def test_a_day_when_nobody_works_says_so(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get(board_of(cast, cast.day(weekday=7)), status=200)
    assert page.says("Nothing on this day")


def test_a_practitioner_without_hours_that_day_is_named_below(cast: Cast, page_client: Pages) -> None:
    create_schedule(create_practitioner(name="Dr Sunday"), cast.location, cast.checkup, weekdays=[7])
    db.session.commit()
    page = page_client(cast.dana).get(board_of(cast, cast.day()), status=200)
    assert page.says("Not in on this day: Dr Sunday.")
    assert not column_of(page, "Dr Sunday")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/admin/day?location=nonsense", 404),
        ("/admin/day?location=00000000-0000-0000-0000-000000000000", 404),
        ("/admin/day?date=2026-02-30", 422),
        ("/admin/day?date=%00", 422),
        ("/admin/day?date=0001-01-01", 422),
        ("/admin/day?date=9999-12-31", 422),
        ("/admin/day?date=" + "9" * 500, 422),
        ("/admin/day?location=%00", 404),
    ],
)
def test_dana_mistypes_an_address_and_reads_why(cast: Cast, page_client: Pages, address: str, status: int) -> None:
    page_client(cast.dana).get(address, status=status)


def test_the_board_takes_three_statements_however_full_it_is(cast: Cast, page_client: Pages) -> None:
    for hour in range(9, 17):
        book(cast, cast.ana, cast.dr_cho, cast.at(hour))
        book(cast, cast.bea, cast.dr_diaz, cast.at(hour))
    page = page_client(cast.dana)
    page.get(board_of(cast, cast.day()))
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        page.get(board_of(cast, cast.day()), status=200)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    signing_in = [one for one in statements if "FROM users" in one or "FROM roles" in one]
    look = [one for one in statements if "clinic_settings.clinic_name" in one]  # of every page
    assert len(look) == 1
    assert len(statements) - len(signing_in) - len(look) == 3, statements


# --- the arithmetic of a day ---


def day_of(*hours: tuple[datetime, datetime], closures: list[Closed] | None = None) -> DayOf:
    return DayOf(new_id(), "Dr Min Cho", "", list(hours), [], closures or [])


@pytest.mark.parametrize(
    ("day", "hours", "ones"),
    [
        (date(2026, 11, 1), 25, ["01:00 EDT", "01:00 EST"]),
        (date(2026, 3, 8), 23, ["01:00 EST"]),
        (date(2026, 6, 1), 24, ["01:00"]),
    ],
)
def test_a_day_has_as_many_rows_as_it_lasts(day: date, hours: int, ones: list[str]) -> None:
    bounds = clock.day_bounds(day, ZONE)
    board = lay_out([], [day_of(bounds)], bounds=bounds, zone=ZONE, now=bounds[0], may_book=False)
    assert board is not None
    assert board.rows == hours * 12
    assert len(board.marks) == hours
    assert [label for _, label in board.marks if label.startswith("01:00")] == ones


def test_the_board_runs_from_the_first_opening_to_the_last_in_full_hours() -> None:
    bounds = clock.day_bounds(date(2026, 6, 1), ZONE)

    def at(hour: int, minute: int) -> datetime:
        return clock.to_instant(datetime.combine(date(2026, 6, 1), time(hour, minute)), ZONE)

    board = lay_out(
        [],
        [day_of((at(9, 30), at(12, 0))), day_of((at(13, 0), at(16, 20)))],
        bounds=bounds,
        zone=ZONE,
        now=at(8, 0),
        may_book=True,
    )
    assert board is not None
    assert (board.start, board.end) == (at(9, 0), at(17, 0))
    assert [item.start for item in board.columns[0].items if item.kind == "free"][:2] == [at(9, 30), at(10, 0)]


def test_free_time_begins_after_now_on_a_minute_that_people_say() -> None:
    bounds = clock.day_bounds(date(2026, 6, 1), ZONE)

    def at(hour: int, minute: int, second: int = 0) -> datetime:
        return clock.to_instant(datetime.combine(date(2026, 6, 1), time(hour, minute, second)), ZONE)

    board = lay_out([], [day_of((at(9, 0), at(12, 0)))], bounds=bounds, zone=ZONE, now=at(10, 41, 7), may_book=True)
    assert board is not None
    free = [(item.start, item.end) for item in board.columns[0].items if item.kind == "free"]
    assert free == [(at(10, 45), at(11, 0)), (at(11, 0), at(11, 30)), (at(11, 30), at(12, 0))]
