"""Dana enters hours, leave and holidays; Dr Cho their own calendar. Without JavaScript."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.models import (
    Appointment,
    Closure,
    ExternalCalendar,
    HealthcareService,
    Location,
    Patient,
    Practitioner,
    Schedule,
)
from server.services import booking, carrying_out
from server.utils import clock
from tests.cast import ZONE, Cast, Person
from tests.clients import PageClient
from tests.factories import create_appointment, create_patient

Pages = Callable[[Person | None], PageClient]


@pytest.fixture
def visits(cast: Cast) -> list[UUID]:
    """Ana at nine, and two others after her, on Dr Cho's Tuesday."""
    rows = []
    for number in range(3):
        patient = db.session.get_one(Patient, cast.ana.patient_id) if number == 0 else create_patient()
        visit = create_appointment(
            patient,
            db.session.get_one(Practitioner, cast.dr_cho.practitioner_id),
            db.session.get_one(Location, cast.location_id),
            db.session.get_one(HealthcareService, cast.checkup_id),
            cast.at(9) + timedelta(minutes=30 * number),
        )
        rows.append(visit.id)
    db.session.commit()
    return rows


def tuesday(cast: Cast) -> dict[str, Any]:
    return {
        "whose": f"practitioner {cast.dr_cho.practitioner_id}",
        "kind": "leave",
        "first": cast.day(),
        "reason": "Course",
    }


def plan_on(page: PageClient) -> dict[str, str]:
    """What the page would send as it stands: checked radios, first options, hidden fields."""
    chosen = {}
    for field in page.all("input"):
        kind, name = field.get("type"), field.get("name")
        if (kind == "hidden" and name != "csrf_token") or (kind == "radio" and "checked" in field.attrib):
            chosen[name] = field.get("value")
    for name, value in re.findall(r'<select[^>]* name="(to-[^"]+)".*?<option value="([^"]+)"', page.text, re.S):
        chosen[name] = value
    return chosen


def test_dana_sees_who_is_in_the_way_decides_and_watches_it_done(
    cast: Cast, page_client: Pages, visits: list[UUID]
) -> None:
    page = page_client(cast.dana).get("/admin/leave/new", status=200)
    page.post("/admin/leave/plan", **tuesday(cast), status=200)
    assert page.says("3 visits are in the way")
    assert page.says("Ana Silva")
    assert page.says("Dr Eva Diaz")  # a colleague, the same day
    chosen = plan_on(page)
    chosen[f"action-{visits[1]}"] = "cancel"
    page.post("/admin/leave", **chosen, status=302)
    page.get(page.location, status=200)
    assert page.says("0 of 3 done.")
    assert 'http-equiv="refresh"' in page.text
    carrying_out.carry_out_due()
    closure = db.session.query(Closure).one()
    page.get(f"/admin/leave/{closure.id}", status=200)
    assert page.says("3 of 3 done.")
    assert 'http-equiv="refresh"' not in page.text
    found = db.session.get_one(Appointment, visits[0], populate_existing=True)
    assert found.practitioner_id == cast.dr_diaz.practitioner_id
    assert db.session.get_one(Appointment, visits[1], populate_existing=True).status == "cancelled"


def test_who_books_meanwhile_is_shown_before_anything_is_saved(
    cast: Cast, page_client: Pages, visits: list[UUID]
) -> None:
    page = page_client(cast.dana).get("/admin/leave/new", status=200)
    page.post("/admin/leave/plan", **tuesday(cast), status=200)
    chosen = plan_on(page)
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(15),
        actor=cast.bea.actor,
    )
    page.post("/admin/leave", **chosen, status=409)
    assert page.says("Bea Torres")
    assert page.says("4 visits are in the way")
    assert db.session.query(Closure).count() == 0
    page.post("/admin/leave", **plan_on(page), status=302)


def test_what_failed_is_listed_and_decided_anew(cast: Cast, page_client: Pages, visits: list[UUID]) -> None:
    page = page_client(cast.dana).get("/admin/leave/new", status=200)
    page.post("/admin/leave/plan", **tuesday(cast), status=200)
    page.post("/admin/leave", **plan_on(page), status=302)
    where = page.location
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_diaz.practitioner_id,
        start=cast.at(9),
        actor=cast.bea.actor,
    )
    carrying_out.carry_out_due()
    page.get("/admin/leave", status=200)
    assert page.says("1 visit lies where nobody will be.")
    page.get("/admin/stranded", status=200)
    assert page.says("Ana Silva")
    assert page.says("Leave: Somebody else has this time.")
    page.get(where, status=200)
    assert page.says("1 visit is still in the way.")
    page.get(f"{where}/plan", status=200)
    page.post(f"{where}/plan", **plan_on(page), status=302)
    carrying_out.carry_out_due()
    page.get(where, status=200)
    assert page.says("3 of 3 done.")
    page.post(f"{where}/remove", if_version=2, status=302)
    assert db.session.query(Closure).count() == 0


def test_dana_changes_the_days_and_decides_about_who_is_newly_in_the_way(
    cast: Cast, page_client: Pages, visits: list[UUID]
) -> None:
    page = page_client(cast.dana).get("/admin/leave/new", status=200)
    page.post("/admin/leave/plan", **tuesday(cast) | {"starts_at": "13:00"}, status=200)
    page.post("/admin/leave", **plan_on(page), status=302)
    where = page.location
    page.get(where, status=200)
    assert page.says("Change the dates")
    page.get(f"{where}/change", status=200)
    first = {field.get("name"): field.get("value") for field in page.all("input")}
    assert (first["first"], first["last"], first["starts_at"], first["ends_at"]) == (
        str(cast.day()),
        str(cast.day()),
        "13:00",
        "",
    )
    change = {
        name: first[name] for name in ("last", "reason", "if_version")
    } | {"first": cast.day(), "starts_at": "09:15", "ends_at": "15:00"}  # fmt: skip
    page.post(f"{where}/change/plan", **change | {"last": "2020-01-01"}, status=422)
    page.post(f"{where}/change/plan", **change, status=200)
    assert page.says("3 visits are newly in the way"), "the one that begins at nine lasts until half past"
    assert page.says("Free again:")
    chosen = plan_on(page)
    left_out = {name: value for name, value in chosen.items() if str(visits[0]) not in name}
    page.post(f"{where}/change", **left_out, status=409)
    assert page.says("1 visit is in the way and not in the plan.")
    assert db.session.query(Closure).one().version == 1
    page.post(f"{where}/change", **chosen, status=302)
    carrying_out.carry_out_due()
    page.get(where, status=200)
    assert page.says("3 of 3 done.")
    page.post(f"{where}/change", **chosen, status=302)
    assert page.get(where).says("has changed since you read it")


def test_nobody_else_changes_the_days(cast: Cast, page_client: Pages) -> None:
    practitioner_id, during = cast.dr_cho.practitioner_id, Range(cast.at(9), cast.at(10), bounds="[)")
    elsewhere = ExternalCalendar(practitioner_id=practitioner_id, url="https://example.com/basic.ics")
    db.session.add(elsewhere)
    db.session.flush()
    own = Closure(practitioner_id=practitioner_id, during=during, kind="leave")
    external = Closure(
        practitioner_id=practitioner_id, during=during, kind="external", external_calendar_id=elsewhere.id
    )
    db.session.add_all([own, external])
    db.session.commit()
    page_client(cast.dr_cho).get(f"/admin/leave/{own.id}/change", status=403)
    dana = page_client(cast.dana).get(f"/admin/leave/{external.id}/change", status=409)
    assert dana.says("is changed there")


def test_wrong_leave_is_refused_with_a_sentence(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/leave/new", status=200)
    for over in ({"whose": ""}, {"first": ""}, {"kind": "x"}, {"last": "2020-01-01"}, {"starts_at": "9"}):
        page.post("/admin/leave/plan", **{**tuesday(cast), **over}, status=422)


def test_dana_opens_a_saturday_and_shortens_a_tuesday(cast: Cast, page_client: Pages, visits: list[UUID]) -> None:
    page = page_client(cast.dana).get(f"/admin/hours?practitioner={cast.dr_cho.practitioner_id}", status=200)
    assert page.says("Hours of Dr Min Cho")
    hours = {
        "location": cast.location_id,
        "starts_at": "09:00",
        "ends_at": "12:00",
        "on": cast.day(weekday=6),
        "service": cast.checkup_id,
        "weekday": 1,
        "every_n_weeks": 1,
    }
    page.post(f"/admin/hours?practitioner={cast.dr_cho.practitioner_id}", **hours, status=302)
    page.get(page.location, status=200)
    assert page.says("Extra openings")
    tuesday = db.session.query(Schedule).filter_by(practitioner_id=cast.dr_cho.practitioner_id, weekday=2).one()
    page.get(f"/admin/hours/{tuesday.id}", status=200)
    shorter = {**hours, "on": "", "weekday": 2, "starts_at": "09:30", "valid_from": tuesday.valid_from}
    page.post(f"/admin/hours/{tuesday.id}", **shorter, if_version=1, status=302)
    page.get(page.location, status=200)
    assert page.says("1 visit now lies outside of the hours.")
    assert page.says("Ana Silva")
    page.post(f"/admin/hours/{tuesday.id}", **shorter, if_version=1, status=302)
    page.get(f"/admin/hours/{tuesday.id}", status=200)
    assert page.says("Somebody else changed these hours")
    page.post(f"/admin/hours/{tuesday.id}", **{**shorter, "ends_at": "08:00"}, if_version=2, status=422)
    page.post(f"/admin/hours/{tuesday.id}/remove", if_version=2, status=302)
    assert page.get("/admin/stranded", status=200).says("Outside of the hours")


def test_holidays_are_ticked(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/holidays", status=200)
    assert page.says("Say first in which country")
    db.session.get_one(Location, cast.location_id).country = "US"
    db.session.commit()
    year = clock.today(ZONE).year + 1
    where = f"/admin/holidays?location={cast.location_id}&year={year}"
    page.get(where, status=200)
    assert page.says("New Year's Day")
    page.post(where, on=f"{year}-01-01", status=302)
    page.get(page.location, status=200)
    assert page.says("1 holiday is entered.")
    assert not page.says(f"1 January {year}, New Year's Day")


def test_dr_cho_gives_their_calendar_and_the_page_never_shows_it(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dr_cho).get("/admin/own-calendar", status=200)
    page.post("/admin/own-calendar", url="http://calendar.example.com/x", if_version=0, status=422)
    page.post("/admin/own-calendar", url="webcal://calendar.example.com/s3cret.ics", if_version=0, status=302)
    page.get(page.location, status=200)
    assert page.says("Not read yet")
    assert "s3cret" not in page.text
    page.post("/admin/own-calendar/remove", if_version=1, status=302)
    page.get(f"/admin/own-calendar?practitioner={cast.dr_diaz.practitioner_id}", status=403)


def test_practitioners_read_hours_and_leave_but_do_not_change_them(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dr_cho)
    for path in ("/admin/hours", "/admin/leave", "/admin/stranded"):
        page.get(path, status=200)
        assert "Add hours" not in page.text
        assert "Enter leave" not in page.text
    page.post("/admin/leave/plan", **tuesday(cast), status=403)
    page_client(cast.ana).get("/admin/leave", status=403)
