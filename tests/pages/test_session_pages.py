"""Group sessions on the pages: made and filled by the front desk, and a place taken by a patient."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import Appointment
from server.services import sessions
from server.services.sessions import Session
from server.utils import clock
from tests.cast import ZONE, Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD, create_schedule, create_service

Pages = Callable[[Person | None], PageClient]


@pytest.fixture
def back_class(cast: Cast) -> Any:
    """Back school with dr_cho, for two."""
    service = create_service(name="Back school", duration_minutes=60, capacity=2)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    db.session.commit()
    return service


@pytest.fixture
def session(cast: Cast, back_class: Any) -> Session:
    return sessions.create_session(
        service_id=back_class.id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(10),
        actor=cast.dana.actor,
    )


def seats(session: Session) -> list[Any]:
    query = select(Appointment.patient_id).where(
        Appointment.session_id == session.id, Appointment.lane > 0, Appointment.status == "booked"
    )
    return list(db.session.scalars(query))


def test_dana_makes_a_session(cast: Cast, page_client: Pages, back_class: Any) -> None:
    page = page_client(cast.dana).get("/admin/sessions", status=200)
    fields = {
        "location": cast.location_id,
        "service": back_class.id,
        "practitioner": cast.dr_cho.practitioner_id,
        "start": f"{clock.local(cast.at(10), ZONE):%Y-%m-%dT%H:%M}",
        "capacity": "",
    }
    page.post("/admin/sessions", status=302, **fields)
    page.get(page.location, status=200)
    assert page.says("0 of 2 places are taken")
    assert page.get(f"/admin/sessions?date={cast.day()}", status=200).says("2 of 2 free")
    page.post("/admin/sessions", status=409, **fields)
    page.post("/admin/sessions", status=422, **{**fields, "capacity": "many"})
    page.post("/admin/sessions", status=422, **{**fields, "start": ""})


def test_dana_fills_it_and_nobody_more_gets_in(cast: Cast, page_client: Pages, session: Session) -> None:
    path = f"/admin/sessions/{session.id}"
    page = page_client(cast.dana).get(path, status=200)
    page.post(f"{path}/find-patient", name="tor be", status=200)
    assert page.says("Bea Torres")
    page.post(f"{path}/seats", patient=cast.bea.patient_id, status=302)
    page.get(page.location, status=200)
    assert page.says("1 of 2 places are taken")
    page.post(f"{path}/seats", patient=cast.bea.patient_id, status=409)
    assert page.says("This patient already has a visit at that time.")
    page.post(f"{path}/seats", patient=cast.ana.patient_id, status=302)
    assert set(seats(session)) == {cast.ana.patient_id, cast.bea.patient_id}
    page.get(path)
    assert not page.says("Book a place for")


def test_dana_calls_it_off(cast: Cast, page_client: Pages, session: Session) -> None:
    sessions.book_seat(session.id, actor=cast.ana.actor)
    page = page_client(cast.dana).get(f"/admin/sessions/{session.id}", status=200)
    page.post(f"/admin/sessions/{session.id}/cancel", reason="Dr Cho is ill", status=302)
    assert page.get(page.location, status=200).says("Cancelled")
    assert seats(session) == []
    page.post(f"/admin/sessions/{session.id}/cancel", status=409)


def test_dr_cho_sees_who_comes_and_dr_diaz_does_not(cast: Cast, page_client: Pages, session: Session) -> None:
    sessions.book_seat(session.id, actor=cast.ana.actor)
    assert page_client(cast.dr_cho).get(f"/admin/sessions/{session.id}", status=200).says("Ana Silva")
    page_client(cast.dr_diaz).get(f"/admin/sessions/{session.id}", status=404)
    page_client(cast.dr_cho).get("/admin/sessions", status=403)


def test_the_board_shows_the_session_once(cast: Cast, page_client: Pages, session: Session) -> None:
    for person in (cast.ana, cast.bea):
        sessions.book_seat(session.id, actor=person.actor)
    page = page_client(cast.dana).get(f"/admin/day?location={cast.location_id}&date={cast.day()}", status=200)
    assert page.says("Group, 2 of 2 places taken")
    links = {a.get("href") for a in page.all("a") if f"/admin/sessions/{session.id}" in a.get("href", "")}
    assert links


def test_ana_takes_a_place_after_signing_in(cast: Cast, page_client: Pages, session: Session) -> None:
    page = page_client(None).get("/", status=200)
    assert page.says("In a group")
    page.get(f"/book/{session.appointment.service_id}", status=200)
    assert page.says("2 places free")
    link = next(a.get("href") for a in page.all("a") if "/book/sessions/" in a.get("href", ""))
    page.get(link, status=302)
    page.get(page.location, status=200)
    page.post("/login", email=cast.ana.email, password=PASSWORD, next=link)
    page.get(link, status=200)
    assert page.says("The place is for Ana Silva")
    page.post(link, patient_id=cast.ana.patient_id, reason="My back", status=302)
    assert page.get(page.location, status=200).says("Your place is booked.")
    assert seats(session) == [cast.ana.patient_id]
    page.post(link, patient_id=cast.bea.patient_id, status=404)
    page.post(link, patient_id=cast.ana.patient_id, reason="x" * 501, status=422)


def test_a_full_session_says_so(cast: Cast, page_client: Pages, session: Session) -> None:
    db.session.commit()
    page = page_client(cast.ana).get(f"/book/sessions/{session.id}", status=200)
    for person in (cast.bea, cast.dana):
        other = person.patient_id or create_patient_id()
        sessions.book_seat(session.id, patient_id=other, actor=cast.dana.actor)
    page.post(f"/book/sessions/{session.id}", patient_id=cast.ana.patient_id, status=409)
    assert page.says("Every place in it is taken.")
    assert page.get(f"/book/{session.appointment.service_id}", status=200).says("Full")


def create_patient_id() -> Any:
    from tests.factories import create_patient

    patient = create_patient()
    db.session.commit()
    return patient.id


def test_dana_makes_room_for_more_and_never_for_fewer_than_come(
    cast: Cast, page_client: Pages, session: Session
) -> None:
    for person in (cast.ana, cast.bea):
        sessions.book_seat(session.id, actor=person.actor)
    page = page_client(cast.dana).get(f"/admin/sessions/{session.id}", status=200)
    page.post(f"/admin/sessions/{session.id}/capacity", capacity=1, status=409)
    assert page.says("2 places are taken already.")
    assert page.says("With 1 there would be no place for whoever booked last: Bea Torres")
    assert page.says("2 of 2 places are taken")
    for wrong in ("0", "501", "many", ""):
        page.post(f"/admin/sessions/{session.id}/capacity", capacity=wrong, status=422)
        page.get(f"/admin/sessions/{session.id}", status=200)
    page.post(f"/admin/sessions/{session.id}/capacity", capacity=5, status=302)
    page.get(f"/admin/sessions/{session.id}", status=200)
    assert page.says("2 of 5 places are taken")
    page_client(cast.dr_cho).get("/admin", follow=True).post(
        f"/admin/sessions/{session.id}/capacity", capacity=4, status=403
    )
