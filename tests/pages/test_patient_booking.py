"""Patients at the patient door: choosing a time, keeping it, booking it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from server.extensions import db
from server.models import Appointment, RelatedPerson, Status
from server.services import booking, directory
from server.utils import clock
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD

Pages = Callable[[Person | None], PageClient]
NOBODY = "01900000-0000-7000-8000-000000000000"  # the same in every process that runs tests


def hold(page: PageClient, cast: Cast, start: datetime, *, practitioner: Person | None = None) -> str:
    """Press the button of one time; the address of the page that asks to confirm it."""
    page.get(f"/book/{cast.checkup_id}?from={start.date()}")
    page.post(
        f"/book/{cast.checkup_id}/hold",
        practitioner_id=(practitioner or cast.dr_cho).practitioner_id,
        start=start.isoformat(),
        location_id=cast.location_id,
    )
    return page.location


def end_holds() -> None:
    """All holds are over, as if five minutes had gone."""
    db.session.execute(
        update(Appointment)
        .where(Appointment.status == Status.PROPOSED)
        .values(hold_expires_at=func.clock_timestamp() - timedelta(seconds=1))
    )
    db.session.commit()


def count(*status: Status) -> int:
    return db.session.scalar(select(func.count()).where(Appointment.status.in_(status))) or 0


def test_a_visitor_sees_what_can_be_booked_and_where(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/", status=200)
    assert page.says("Check-up")
    assert page.says("30 minutes")
    assert page.says("Riverside")


def test_free_times_of_everybody_stand_in_the_order_of_time(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get(f"/book/{cast.checkup_id}?from={cast.day()}", status=200)
    assert page.says("Tuesday")
    assert page.says("Dr Min Cho")
    assert page.says("Dr Eva Diaz")
    assert page.says("New York time")
    first_day = re.findall(r'class="time">(\d\d:\d\d)', page.text)[:6]
    assert first_day == ["09:00", "09:00", "09:30", "09:30", "10:00", "10:00"]


def test_a_filter_leaves_the_others_out(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get(f"/book/{cast.checkup_id}?practitioner={cast.dr_diaz.practitioner_id}", status=200)
    assert "Dr Eva Diaz" in "".join(re.findall(r'class="with">([^<]+)', page.text))
    assert "Dr Min Cho" not in "".join(re.findall(r'class="with">([^<]+)', page.text))


def test_a_service_that_is_booked_by_phone_says_the_number(cast: Cast, page_client: Pages) -> None:
    cast.checkup.self_bookable = False
    db.session.commit()
    page = page_client(None).get(f"/book/{cast.checkup_id}", status=200)
    assert page.says("Please call us")
    assert page.says("+1 212 555 0100")


def test_when_nothing_is_free_the_page_says_what_else_to_try(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get(f"/book/{cast.checkup_id}?from={clock.today('UTC') + timedelta(days=300)}", status=200)
    assert page.says("No free times")
    assert page.says("+1 212 555 0100")


def test_choosing_another_time_lets_the_first_one_go(cast: Cast, page_client: Pages) -> None:
    page = page_client(None)
    hold(page, cast, cast.at(10))
    second = hold(page, cast, cast.at(10, 30))
    assert count(Status.PROPOSED) == 1
    assert page.get(second, status=200).says("10:30")


def test_a_taken_time_is_said_so_and_the_earlier_choice_is_kept(cast: Cast, page_client: Pages) -> None:
    booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(11), actor=cast.bea.actor
    )
    page = page_client(None)
    first = hold(page, cast, cast.at(10))
    hold(page, cast, cast.at(11))
    assert page.response.status_code == 409
    assert page.says("This time is taken")
    assert page.says("11:30")
    assert page.get(first, status=200).says("10:00")


def test_a_visitor_signs_in_and_finds_the_choice_again(cast: Cast, page_client: Pages) -> None:
    page = page_client(None)
    chosen = hold(page, cast, cast.at(10))
    assert page.get(chosen, status=200).says("Sign in to book it")
    page.get(f"/login?next={chosen}")
    page.post("/login", email=cast.ana.email, password=PASSWORD, next=chosen)
    assert page.location == chosen
    page.get(chosen).post(chosen, reason="A cough")
    page.get(page.location, status=200)
    assert page.says("Your visit is booked")
    assert page.says("A cough")
    assert page.get("/visits").says("10:00–10:30")


def test_the_form_sent_twice_books_once(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    chosen = hold(page, cast, cast.at(10))
    page.get(chosen)
    page.post(chosen)
    visit = page.location
    page.get("/").post(chosen)
    assert page.location == visit
    assert count(Status.BOOKED) == 1
    assert page.get(chosen).location == visit


def test_a_choice_survives_the_end_of_its_hold(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    chosen = hold(page, cast, cast.at(10))
    end_holds()
    assert page.get(chosen, status=200).says("It may still be free")
    page.post(chosen)
    assert page.get(page.location, status=200).says("Your visit is booked")


def test_a_time_that_was_lost_meanwhile_comes_with_others(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    chosen = hold(page, cast, cast.at(10))
    end_holds()
    booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(10), actor=cast.bea.actor
    )
    page.get(chosen)
    page.post(chosen, status=409)
    assert page.says("This time is taken")
    assert page.says("10:30")


def test_a_rule_is_said_on_the_page(cast: Cast, page_client: Pages) -> None:
    cast.checkup.max_open_per_patient = 1
    booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.ana.actor
    )
    page = page_client(cast.ana)
    chosen = hold(page, cast, cast.at(14))
    page.get(chosen)
    page.post(chosen, status=422)
    assert page.says("At most 1 open")
    assert page.get(chosen, status=200).says("14:00")


def test_carl_books_for_ana_and_only_where_he_may(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.carl)
    chosen = hold(page, cast, cast.at(10))
    assert page.get(chosen, status=200).says("The visit is for Ana Silva")
    page.post(chosen, patient_id=cast.bea.patient_id, status=404)
    page.get(chosen)
    page.post(chosen, patient_id=cast.ana.patient_id)
    assert page.get(page.location, status=200).says("Visit of Ana Silva")

    db.session.execute(update(RelatedPerson).values(may_book=False))
    db.session.commit()
    assert page.get(hold(page, cast, cast.at(15)), status=200).says("may not book")


def test_a_reason_that_is_too_long_is_kept_and_explained(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    chosen = hold(page, cast, cast.at(10))
    page.get(chosen)
    page.post(chosen, reason="x" * 501, status=422)
    assert page.says("at most 500")
    assert "x" * 501 in page.text


def test_a_time_that_is_let_go_is_free_for_others(cast: Cast, page_client: Pages) -> None:
    page = page_client(None)
    chosen = hold(page, cast, cast.at(10))
    page.get(chosen)
    page.post(f"{chosen}/release", follow=True)
    assert page.says("free again")
    assert count(Status.PROPOSED) == 0


def test_nobody_sees_what_another_browser_chose(cast: Cast, page_client: Pages) -> None:
    chosen = hold(page_client(None), cast, cast.at(10))
    assert page_client(None).get(chosen, status=404).says("not kept for you")
    page_client(cast.bea).get(chosen, status=404)


def test_who_signs_out_leaves_no_choice_behind(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    hold(page, cast, cast.at(10))
    assert page.get("/").says("Finish booking")
    page.post("/logout")
    assert not page.get("/").says("Finish booking")


ODD = ("", "x", "\0", "' OR 1=1 --", "99999999999999999999", "0001-01-01", "9999-12-31", "2026-13-45", "é" * 3000)


@pytest.mark.parametrize("odd", ODD)
def test_odd_input_never_breaks_a_page(odd: str, cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    here = f"/book/{cast.checkup_id}"
    for name in ("from", "location", "practitioner"):
        answer = page.client.get(here, query_string={name: odd})
        assert answer.status_code == 200, (name, odd)
    chosen = hold(page, cast, cast.at(10))
    page.get(chosen)
    sent = [
        (f"{here}/hold", {"practitioner_id": odd, "start": odd}),
        (f"{here}/hold", {"practitioner_id": str(uuid4()), "start": "2026-12-01T10:00:00+00:00"}),
        (f"{here}/hold", {"practitioner_id": str(cast.dr_cho.practitioner_id), "start": f"{odd}T10:00:00+14:00"}),
        (f"/book/{uuid4()}/hold", {"practitioner_id": odd, "start": odd}),
        (chosen, {"patient_id": odd, "reason": odd}),
        (chosen, {"patient_id": str(uuid4())}),
        (f"/book/holds/{uuid4()}", {"reason": odd}),
        (f"/visits/{uuid4()}/move", {"start": odd}),
        (f"/visits/{uuid4()}/cancel", {"reason": odd}),
    ]
    token = page.csrf_token()
    for path, fields in sent:
        answer = page.client.post(path, data={"csrf_token": token, **fields})
        assert answer.status_code < 500, (path, fields, answer.status_code)


@pytest.mark.parametrize(
    "path", ["/book/x", f"/book/{NOBODY}", "/book/holds/x", f"/book/holds/{NOBODY}", "/visits/x", "/%00"]
)
def test_what_is_not_there_is_a_friendly_page(path: str, cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana).get(path, status=404)
    assert page.says("To the front page")


def test_a_form_without_its_token_is_refused_in_words(cast: Cast, page_client: Pages) -> None:
    page = page_client(None)
    page.get("/")
    page.post(f"/book/{cast.checkup_id}/hold", csrf_token="", status=400)
    assert page.says("Please try again")


def test_when_something_breaks_the_page_says_so_and_names_a_number(
    cast: Cast, page_client: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the name of a patient")

    monkeypatch.setattr(directory, "services", fail)
    page = page_client(cast.ana).get("/", status=500)
    assert page.says("Something went wrong")
    assert page.says(page.response.headers["X-Request-ID"])
    assert "patient" not in page.text


def test_when_the_database_is_away_the_page_says_so(
    cast: Cast, page_client: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception("no connection"))

    monkeypatch.setattr(directory, "services", fail)
    page = page_client(None).get("/", status=503)
    assert page.says("Not available right now")
