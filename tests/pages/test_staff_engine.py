"""Dana at her desk: two at once on purpose, requests to answer, rooms to change, a class on the board."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import Appointment
from server.services import booking, sessions
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import create_appointment, create_room, create_schedule, create_service

Pages = Callable[[Person | None], PageClient]


def board(cast: Cast) -> str:
    return f"/admin/day?location={cast.location_id}&date={cast.day()}"


@pytest.fixture
def anas(cast: Cast) -> Appointment:
    visit = create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(11)
    )
    db.session.commit()
    return visit


def test_dana_puts_bea_over_ana_and_the_board_says_so(cast: Cast, page_client: Pages, anas: Appointment) -> None:
    fields = {
        "location": cast.location_id,
        "practitioner": cast.dr_cho.practitioner_id,
        "service": cast.checkup_id,
        "patient": cast.bea.patient_id,
        "start": f"{cast.at(11):%Y-%m-%dT%H:%M:%SZ}",
    }
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    page = page_client(cast.dana).get(f"/admin/book?{query}", status=200)
    assert page.says("Put it over the other visit")
    assert not page.says("Book anyway")
    page.post("/admin/book", status=422, over="1", overbook_reason="", **fields)
    assert page.says("To put a visit over another one, say why.")
    page.post("/admin/book", status=302, over="1", overbook_reason="In pain", **fields)
    over = db.session.scalars(select(Appointment).where(Appointment.lane < 0)).one()
    assert over.override_reason == "In pain"
    page.get(board(cast), status=200)
    assert page.says("overbooked")
    page.get(f"/admin/appointments/{over.id}", status=200)
    assert page.says("Why over another visit In pain")


@pytest.mark.parametrize(("answer", "status"), [("approve", "booked"), ("decline", "cancelled")])
def test_dana_answers_anas_request(cast: Cast, page_client: Pages, answer: str, status: str) -> None:
    cast.checkup.needs_approval = True
    db.session.commit()
    asked = booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.ana.actor
    )
    page = page_client(cast.dana).get(f"/admin/appointments/{asked.id}", status=200)
    assert page.says("Asked for")
    assert page.says("after that the request is void")
    page.post(f"/admin/appointments/{asked.id}/{answer}", status=302, if_version="1")
    assert db.session.get_one(Appointment, asked.id, populate_existing=True).status == status
    assert page_client(cast.ana).get(f"/visits/{asked.id}", status=200)


def test_dana_changes_the_room(cast: Cast, page_client: Pages, anas: Appointment) -> None:
    room = create_room(cast.location, name="Exam 7")
    db.session.commit()
    page = page_client(cast.dana).get(f"/admin/appointments/{anas.id}", status=200)
    page.post(f"/admin/appointments/{anas.id}/room", status=302, if_version="1", room=str(room.id))
    page.get(f"/admin/appointments/{anas.id}", status=200)
    assert page.says("Exam 7")


def test_a_class_is_one_card_with_its_places(cast: Cast, page_client: Pages) -> None:
    service = create_service(name="Back school", duration_minutes=60, capacity=3)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    db.session.commit()
    session = sessions.create_session(
        service_id=service.id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.dana.actor
    )
    seat = sessions.book_seat(session.id, actor=cast.ana.actor)
    page = page_client(cast.dana).get(board(cast), status=200)
    assert page.says("Group, 1 of 3 places taken")
    assert not page.says("Ana Silva")
    page.get(f"/admin/appointments/{seat.id}", status=200)
    page.get(f"/admin/appointments/{session.appointment.id}", status=200)
    assert page.says("Group session")


def test_dana_finds_every_request_on_whatever_day_and_answers_it(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get(board(cast), status=200)
    assert 'href="/admin/requests"' in page.text
    cast.checkup.needs_approval = True
    db.session.commit()
    asked = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9, weeks=4),
        actor=cast.ana.actor,
    )
    page.get("/admin/requests", status=200)
    assert page.says("Ana Silva")
    page.get(f"/admin/appointments/{asked.id}", status=200)
    page.post(f"/admin/appointments/{asked.id}/approve", if_version=asked.version, status=302)
    assert page.get("/admin/requests", status=200).says("Nobody waits for an answer.")
    other = page_client(cast.dr_diaz).get("/admin/requests", status=200)
    assert not other.says("Ana Silva"), "of another practitioner"
    page_client(cast.ana).get("/admin/requests", status=403)
