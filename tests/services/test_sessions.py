"""A class for several: as many places as there are, not one more, and nobody counts."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from server.errors import Conflict, DomainError, Invalid, NotAllowed
from server.extensions import db
from server.models import Appointment, OutboxMessage
from server.services import access, booking, sessions, steps, visits, waitlist
from server.services.booking import PatientBusy, RulesForbid, SlotTaken
from server.services.sessions import Session, SessionFull
from server.services.transaction import atomic
from server.utils.tokens import new_id
from tests.bars.live_clinic import eventually
from tests.cast import Cast, Person
from tests.factories import create_patient, create_schedule, create_service, create_user


@pytest.fixture
def back_class(cast: Cast):
    """Back school with dr_cho, for three."""
    service = create_service(name="Back school", duration_minutes=60, capacity=3)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    db.session.commit()
    return service


def plan(cast: Cast, service: Any, hour: int = 9, **over: Any) -> Session:
    values = {
        "service_id": service.id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "start": cast.at(hour),
        "actor": cast.dana.actor,
        **over,
    }
    return sessions.create_session(**values)


def seat(session: Session, who: Person, **over: Any) -> Appointment:
    return sessions.book_seat(session.id, actor=who.actor, **over)


def test_dana_plans_a_class_and_its_time_is_dr_chos(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    assert (session.capacity, session.free_seats) == (3, 3)
    with pytest.raises(SlotTaken):
        plan(cast, back_class)
    with pytest.raises(SlotTaken):
        booking.book_appointment(
            service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9, 30),
            actor=cast.ana.actor,
        )  # fmt: skip
    with pytest.raises(NotAllowed):
        plan(cast, back_class, 11, actor=cast.ana.actor)
    with pytest.raises(Invalid):
        plan(cast, cast.checkup, 11)


def test_ana_takes_a_place_and_bea_another(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    first, second = seat(session, cast.ana), seat(session, cast.bea)
    assert {first.lane, second.lane} <= {1, 2, 3}
    assert first.lane != second.lane
    assert (first.start, first.practitioner_id) == (cast.at(9), cast.dr_cho.practitioner_id)
    (listed,) = sessions.list_sessions(from_at=cast.at(8), to_at=cast.at(18), service_id=back_class.id)
    assert listed.free_seats == 1
    with pytest.raises(PatientBusy):
        seat(session, cast.ana)


def test_the_fourth_is_told_that_it_is_full_and_what_comes_next(cast: Cast, back_class: Any) -> None:
    session, later = plan(cast, back_class), plan(cast, back_class, 11)
    for _ in range(3):
        seat(session, cast.dana, patient_id=create_patient().id)
    with pytest.raises(SessionFull) as refusal:
        seat(session, cast.ana)
    assert [each.id for each in refusal.value.extra["alternatives"]] == [later.id]
    assert sessions.list_sessions(from_at=cast.at(8), to_at=cast.at(10), only_free=True) == []


def test_a_place_given_back_is_free_again(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class, capacity=1)
    booking.cancel_appointment(seat(session, cast.ana).id, actor=cast.ana.actor)
    assert seat(session, cast.bea).status == "booked"


def test_a_place_obeys_the_rules_of_its_service(cast: Cast, back_class: Any) -> None:
    back_class.needs_referral = True
    db.session.commit()
    with pytest.raises(RulesForbid):
        seat(plan(cast, back_class), cast.ana)


def test_the_places_can_become_more_or_fewer_but_never_fewer_than_taken(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    taken = [seat(session, cast.ana), seat(session, cast.bea)]
    third = seat(session, cast.dana, patient_id=create_patient().id)
    booking.cancel_appointment(third.id, actor=cast.dana.actor)  # whatever place it was, it is no hindrance
    assert sessions.change_capacity(session.id, capacity=2, actor=cast.dana.actor).free_seats == 0
    assert {db.session.get_one(Appointment, each.id, populate_existing=True).lane for each in taken} == {1, 2}
    with pytest.raises(Conflict):
        sessions.change_capacity(session.id, capacity=1, actor=cast.dana.actor)
    assert sessions.change_capacity(session.id, capacity=5, actor=cast.dana.actor).free_seats == 3


def hold_of_a_seat(session: Session, cast: Cast, *, ends: str) -> UUID:
    """A seat that was offered to bea; `ends`: when the hold behind it does, from now."""
    with atomic():
        held = sessions.hold_seat(
            session.id, patient_id=cast.bea.patient_id, owner_id=new_id(), minutes=30, ignore_id=None
        )
    moment = text(f"clock_timestamp() + interval '{ends}'")
    db.session.execute(update(Appointment).where(Appointment.id == held.id).values(hold_expires_at=moment))
    db.session.commit()
    return held.id


def test_a_held_place_that_nobody_took_in_time_is_free_before_anybody_has_swept(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class, capacity=1)
    held_id = hold_of_a_seat(session, cast, ends="1 minute")
    day = {"from_at": cast.at(8), "to_at": cast.at(18)}
    with pytest.raises(SessionFull):
        seat(session, cast.ana)
    assert (sessions.read_session(session.id).free_seats, sessions.list_sessions(**day, only_free=True)) == (0, [])
    db.session.execute(text("UPDATE appointments SET hold_expires_at = clock_timestamp() WHERE status = 'proposed'"))
    db.session.commit()
    assert sessions.read_session(session.id).free_seats == 1
    assert [each.id for each in sessions.list_sessions(**day, only_free=True)] == [session.id]
    assert list(visits.seats_of(session.id, actor=cast.dana.actor)) == []
    assert seat(session, cast.ana).lane == 1
    assert db.session.get(Appointment, held_id, populate_existing=True) is None
    assert sessions.read_session(session.id).free_seats == 0


def test_a_hold_that_has_ended_does_not_keep_a_class_from_getting_smaller(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    hold_of_a_seat(session, cast, ends="-1 second")
    taken = [seat(session, cast.ana), seat(session, cast.dana, patient_id=create_patient().id)]
    assert sessions.change_capacity(session.id, capacity=2, actor=cast.dana.actor).free_seats == 0
    assert {db.session.get_one(Appointment, each.id, populate_existing=True).lane for each in taken} == {1, 2}


def test_a_held_place_counts_as_long_as_its_hold_stands(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    seat(session, cast.ana)
    hold_of_a_seat(session, cast, ends="1 minute")
    with pytest.raises(Conflict):
        sessions.change_capacity(session.id, capacity=1, actor=cast.dana.actor)


def test_a_cancelled_class_tells_everybody_who_had_a_place(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    seats = [seat(session, cast.ana), seat(session, cast.bea)]
    sessions.cancel_session(session.id, reason="Ill.", actor=cast.dana.actor)
    letters = select(OutboxMessage.appointment_id).where(OutboxMessage.letter == "appointment-cancelled-by-clinic")
    assert set(db.session.scalars(letters)) == {each.id for each in seats}
    with pytest.raises(booking.WrongState):
        seat(session, cast.ana)
    assert plan(cast, back_class).free_seats == 3


def test_the_class_itself_takes_no_steps_and_is_not_moved(cast: Cast, back_class: Any) -> None:
    time = plan(cast, back_class).appointment
    for refused in (
        lambda: steps.take_step(time.id, step="arrive", actor=cast.dana.actor),
        lambda: booking.cancel_appointment(time.id, actor=cast.dana.actor),
        lambda: booking.reschedule_appointment(time.id, start=cast.at(11), actor=cast.dana.actor),
    ):
        with pytest.raises(booking.WrongState):
            refused()


def test_the_database_has_no_fourth_place_and_none_twice(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    seat(session, cast.ana)
    copy = """
        INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied,
                                  lane, session_id, capacity)
        SELECT gen_random_uuid(), service_id, practitioner_id, location_id, :patient_id, status, during, occupied,
               :lane, session_id, :capacity
          FROM appointments WHERE lane > 0 LIMIT 1
    """
    taken = db.session.scalar(select(Appointment.lane).where(Appointment.lane > 0))
    for lane, capacity in ((taken, 3), (4, 3), (4, 4)):  # taken; beyond; with a capacity that is not the session's
        values = {"patient_id": cast.bea.patient_id, "lane": lane, "capacity": capacity}
        with pytest.raises(IntegrityError), db.session.begin_nested():
            db.session.execute(text(copy), values)


@pytest.mark.real_commits
def test_A6_twenty_at_once_for_eight_places_are_eight(app: Flask, cast: Cast) -> None:
    service = create_service(name="Vaccination hour", duration_minutes=60, capacity=8)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    people = []
    for _ in range(20):
        user = create_user("patient")
        people.append((user.id, create_patient(user_id=user.id).id))
    db.session.commit()
    session_id = plan(cast, service).id

    def take(person: tuple[Any, Any]) -> str:
        with app.app_context():
            try:
                return sessions.book_seat(session_id, actor=access.actor_for(person[0])).status
            except DomainError as refusal:
                return refusal.slug
            finally:
                db.session.remove()

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(take, people))
    assert outcomes == {"booked": 8, "session-full": 12}
    seats = db.session.scalars(select(Appointment.lane).where(Appointment.lane > 0)).all()
    assert sorted(seats) == list(range(1, 9))


@pytest.mark.parametrize("what", ["cancelled", "made smaller"])
def test_a_no_show_is_not_taken_back_into_a_place_that_is_gone(cast: Cast, back_class: Any, what: str) -> None:
    session = plan(cast, back_class)
    seats = [seat(session, who) for who in (cast.ana, cast.bea)]
    missed = max(seats, key=lambda each: each.lane)
    steps.take_step(missed.id, step="no-show", actor=cast.dana.actor)
    if what == "cancelled":
        sessions.cancel_session(session.id, actor=cast.dana.actor)
    else:
        sessions.change_capacity(session.id, capacity=1, actor=cast.dana.actor)
    with pytest.raises(SlotTaken):
        steps.take_step(missed.id, step="undo", actor=cast.dana.actor)


def test_ana_whose_class_is_cancelled_may_take_what_she_is_offered_instead(cast: Cast, back_class: Any) -> None:
    session = plan(cast, back_class)
    entry = waitlist.join(appointment_id=seat(session, cast.ana).id, actor=cast.ana.actor)
    sessions.cancel_session(session.id, actor=cast.dana.actor)
    assert waitlist.read(entry.id, actor=cast.ana.actor).appointment_id is None


@pytest.mark.real_commits
def test_nobody_books_into_a_class_while_it_is_being_cancelled(app: Flask, cast: Cast) -> None:
    service = create_service(name="Vaccination hour", duration_minutes=60, capacity=8)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    db.session.commit()
    session_id, ana, dana = plan(cast, service).id, cast.ana.actor, cast.dana.actor

    def take() -> str:
        with app.app_context():
            try:
                return sessions.book_seat(session_id, actor=ana).status
            except DomainError as refusal:
                return refusal.slug

    def waits() -> bool:
        return bool(db.session.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")))

    with ThreadPoolExecutor(1) as pool:
        with atomic():
            sessions.cancel_session(session_id, actor=dana)
            taking = pool.submit(take)
            assert eventually(lambda: taking.done() or waits(), within=10)
        assert taking.result(10) == "wrong-state"
