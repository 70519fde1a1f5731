"""Ana says how she is reminded, and puts her visits into the calendar of her phone."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import AuditEvent, CalendarFeed, Patient
from tests.cast import Cast, Person
from tests.clients import PageClient

Pages = Callable[[Person | None], PageClient]


def fresh(cast: Cast) -> Patient:
    return db.session.get_one(Patient, cast.ana.patient_id, populate_existing=True)


@pytest.mark.parametrize("who", ["ana", "carl"])
def test_ana_or_carl_chooses_how_she_is_reminded(cast: Cast, page_client: Pages, who: str) -> None:
    page = page_client(getattr(cast, who)).get("/visits", status=200)
    assert page.says("Letters and reminders by e-mail and text")
    chosen = {"patient_id": cast.ana.patient_id, "sms": 1, "time_zone": "Asia/Tokyo"}
    page.post("/visits/reminders", follow=True, status=200, **chosen)
    assert page.says("Language and reminders of Ana Silva are set.")
    assert page.says("Letters and reminders by text")
    patient = fresh(cast)
    assert (patient.wants_email_reminders, patient.wants_sms_reminders) == (False, True)
    assert patient.time_zone == "Asia/Tokyo"
    assert [option.get("value") for option in page.all("option") if "selected" in option.attrib] == ["Asia/Tokyo"]
    page.post("/visits/reminders", follow=True, status=200, patient_id=cast.ana.patient_id, time_zone="")
    assert page.says("Letters and reminders none")
    assert fresh(cast).time_zone is None


def test_a_zone_that_is_none_is_refused_and_bea_chooses_for_nobody_else(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana).get("/visits", status=200)
    page.post("/visits/reminders", follow=True, status=200, patient_id=cast.ana.patient_id, time_zone="Mars/Olympus")
    assert page.says("There is no such time zone.")
    bea = page_client(cast.bea).get("/visits", status=200)
    bea.post("/visits/reminders", status=404, patient_id=cast.ana.patient_id)
    assert fresh(cast).wants_email_reminders
    reads = db.session.scalars(select(AuditEvent.patient_id).where(AuditEvent.action == "patient.preferences-read"))
    assert set(reads) == {cast.ana.patient_id, cast.bea.patient_id}


def test_ana_makes_an_address_sees_it_once_and_revokes_it(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana).get("/visits", status=200)
    assert page.says("Add all my visits to my calendar")
    page.get("/visits/calendar", status=200)
    page.post("/visits/calendar", status=201, patient_id=cast.ana.patient_id)
    (path,) = set(re.findall(r"value=\"http://127\.0\.0\.1:8000(/calendars/[^\"]+)", page.text))
    visitor = page_client(None).get(path, status=200)
    assert visitor.text.startswith("BEGIN:VCALENDAR")
    page.get("/visits/calendar", status=200)
    assert "/calendars/" not in page.text
    feed = db.session.scalars(select(CalendarFeed)).one()
    page.post(f"/visits/calendar/{feed.id}/revoke", follow=True, status=200)
    assert page.says("This address leads nowhere any more.")
    visitor.get(path, status=404)


def test_carl_makes_one_for_ana_and_bea_does_not(cast: Cast, page_client: Pages) -> None:
    carl = page_client(cast.carl).get("/visits/calendar", status=200)
    assert carl.says("Ana Silva")
    carl.post("/visits/calendar", status=201, patient_id=cast.ana.patient_id)
    bea = page_client(cast.bea).get("/visits/calendar", status=200)
    bea.post("/visits/calendar", status=404, patient_id=cast.ana.patient_id)
    page_client(None).get("/visits/calendar", status=302)


def test_dr_cho_makes_one_of_her_own_with_names_and_dana_none_for_her(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dr_cho).get("/admin/own-calendar", status=200)
    assert page.says("Your visits in that calendar")
    page.post("/admin/own-calendar/feeds", status=201, shows_names=1)
    assert page.says("with names")
    feed = db.session.scalars(select(CalendarFeed)).one()
    assert (feed.practitioner_id, feed.shows_names) == (cast.dr_cho.practitioner_id, True)
    hers = f"?practitioner={cast.dr_cho.practitioner_id}"
    dana = page_client(cast.dana).get(f"/admin/own-calendar{hers}", status=200)
    assert not dana.says("Your visits in that calendar")
    dana.post(f"/admin/own-calendar/feeds{hers}", status=404)
    dana.post(f"/admin/own-calendar/feeds/{feed.id}/revoke", status=404)
    page.post(f"/admin/own-calendar/feeds/{feed.id}/revoke", follow=True, status=200)
    assert not page.says("with names.")
