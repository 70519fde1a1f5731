"""A visit that needs a room or a device of a kind gets a free one; when none is free, there is no visit."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from server.errors import Invalid, NotAllowed
from server.extensions import db
from server.models import Appointment, PractitionerRule
from server.services import availability, booking, why
from server.services.booking import RulesForbid, SlotTaken
from tests.cast import Cast, Person
from tests.factories import create_appointment, create_patient, create_practitioner, create_room


@pytest.fixture
def exam_rooms(cast: Cast):
    """Check-ups need an exam room; there are two."""
    cast.checkup.room_kind = "exam"
    return [create_room(cast.location, name=f"Exam {n}", kind="exam") for n in (1, 2)]


def book(cast: Cast, who: Person, practitioner: Person, hour: int = 9, minute: int = 0) -> Appointment:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=practitioner.practitioner_id,
        start=cast.at(hour, minute),
        actor=who.actor,
    )


def starts(cast: Cast, practitioner: Person | None = None) -> list:
    found = availability.search(
        cast.checkup_id,
        from_at=cast.at(9),
        to_at=cast.at(11),
        practitioner_id=practitioner.practitioner_id if practitioner else None,
    )
    return [(free.start, free.practitioner_id) for free in found]


def occupy(cast: Cast, room, hour: int, minute: int = 0, minutes: int = 30, **over) -> Appointment:
    """A visit of somebody else with somebody else: only its room counts."""
    start = cast.at(hour, minute)
    visit = create_appointment(
        create_patient(), create_practitioner(), cast.location, cast.checkup, start, room_id=room.id, **over
    )
    if minutes != 30:
        visit.during = visit.occupied = type(visit.during)(start, start + timedelta(minutes=minutes), bounds="[)")
        db.session.flush()
    return visit


def test_ana_gets_the_first_free_room_of_the_kind(cast: Cast, exam_rooms) -> None:
    first, second = exam_rooms
    assert book(cast, cast.ana, cast.dr_cho).room_id == first.id
    assert book(cast, cast.bea, cast.dr_diaz).room_id == second.id


def test_without_a_room_there_is_no_visit_and_no_offer_of_one(cast: Cast, exam_rooms) -> None:
    occupy(cast, exam_rooms[0], 9)
    exam_rooms[1].is_active = False
    db.session.flush()
    assert cast.at(9) not in {start for start, _ in starts(cast, cast.dr_cho)}
    assert cast.at(9, 30) in {start for start, _ in starts(cast, cast.dr_cho)}
    with pytest.raises(SlotTaken) as refusal:
        book(cast, cast.ana, cast.dr_cho)
    assert refusal.value.extra["alternatives"][0].start == cast.at(9, 30)


def test_half_a_visit_in_one_room_and_half_in_another_is_no_visit(cast: Cast, exam_rooms) -> None:
    occupy(cast, exam_rooms[0], 9, 0, minutes=15)
    occupy(cast, exam_rooms[1], 9, 15, minutes=15)
    assert cast.at(9) not in {start for start, _ in starts(cast, cast.dr_cho)}
    assert cast.at(9, 30) in {start for start, _ in starts(cast, cast.dr_cho)}


def test_a_service_without_any_such_room_is_never_free(cast: Cast) -> None:
    cast.checkup.room_kind = "operating"
    db.session.flush()
    assert starts(cast) == []
    reasons = why.explain(
        cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.ana.actor
    )
    assert [(reason.code, reason.detail) for reason in reasons] == [("room", "No room for this is free then.")]


def test_a_device_is_booked_beside_the_room(cast: Cast, exam_rooms) -> None:
    cast.checkup.device_kind = "ultrasound"
    device = create_room(cast.location, name="Sonograph", kind="ultrasound", is_device=True)
    visit = book(cast, cast.ana, cast.dr_cho)
    assert (visit.room_id, visit.device_id) == (exam_rooms[0].id, device.id)
    with pytest.raises(SlotTaken):  # a second room is free, a second device there is none
        book(cast, cast.bea, cast.dr_diaz)
    assert cast.at(9) not in {start for start, _ in starts(cast, cast.dr_diaz)}


def test_the_hours_room_comes_before_any_other(cast: Cast, exam_rooms) -> None:
    own = create_room(cast.location, name="Dr Cho's", kind="exam")
    db.session.execute(
        text("UPDATE schedules SET room_id = :room WHERE practitioner_id = :who"),
        {"room": own.id, "who": cast.dr_cho.practitioner_id},
    )
    assert book(cast, cast.ana, cast.dr_cho).room_id == own.id


def test_dana_changes_the_room_and_ana_may_not(cast: Cast, exam_rooms) -> None:
    visit = book(cast, cast.ana, cast.dr_cho)
    other = book(cast, cast.bea, cast.dr_diaz)
    third = create_room(cast.location, name="Exam 3")
    moved = booking.change_room(visit.id, room_id=third.id, device_id=None, actor=cast.dana.actor)
    assert (moved.room_id, moved.version) == (third.id, 2)
    with pytest.raises(SlotTaken):
        booking.change_room(visit.id, room_id=other.room_id, device_id=None, actor=cast.dana.actor)
    with pytest.raises(Invalid):
        booking.change_room(visit.id, room_id=uuid4(), device_id=None, actor=cast.dana.actor)
    with pytest.raises(NotAllowed):
        booking.change_room(visit.id, room_id=third.id, device_id=None, actor=cast.ana.actor)


def test_a_moved_visit_gets_a_room_that_is_free_then(cast: Cast, exam_rooms) -> None:
    visit = book(cast, cast.ana, cast.dr_cho, 9)
    assert book(cast, cast.bea, cast.dr_diaz, 10).room_id == exam_rooms[0].id
    moved = booking.reschedule_appointment(visit.id, start=cast.at(10), actor=cast.ana.actor)
    assert moved.room_id == exam_rooms[1].id


def test_dr_diaz_has_rules_of_her_own(cast: Cast) -> None:
    db.session.add(
        PractitionerRule(
            practitioner_id=cast.dr_diaz.practitioner_id,
            service_id=cast.checkup_id,
            minimum_notice_minutes=57_600,
        )
    )
    db.session.flush()
    assert {who for _, who in starts(cast)} == {cast.dr_cho.practitioner_id}
    with pytest.raises(RulesForbid) as refusal:
        book(cast, cast.ana, cast.dr_diaz)
    assert refusal.value.extra["reasons"][0]["code"] == "notice"
    assert "possible_from" in refusal.value.extra["reasons"][0]
    assert book(cast, cast.ana, cast.dr_cho).status == "booked"
