"""People book, hold, move and cancel; the rules answer with reasons."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from server.errors import NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment, AuditEvent, OutboxMessage
from server.services import booking, holds, occupancy, steps
from server.services.booking import PatientBusy, RulesForbid, SlotTaken, WrongState
from server.services.holds import TooManyHolds
from tests.cast import Cast, Person


def book(cast: Cast, person: Person, *, hour: int = 9, minute: int = 0, **over):
    values = {
        "service_id": cast.checkup_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "start": cast.at(hour, minute),
        "actor": person.actor,
        **over,
    }
    return booking.book_appointment(**values)


def codes(error: RulesForbid) -> set[str]:
    return {reason["code"] for reason in error.extra["reasons"]}


def test_ana_books_and_it_is_on_record_with_a_letter(cast: Cast) -> None:
    visit = book(cast, cast.ana)
    assert (visit.status, visit.start, visit.patient_id) == ("booked", cast.at(9), cast.ana.patient_id)
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.object_id == visit.id)).one()
    assert (event.action, event.user_id, event.patient_id) == (
        "appointment.booked",
        cast.ana.user_id,
        cast.ana.patient_id,
    )
    letter = db.session.scalars(select(OutboxMessage).where(OutboxMessage.appointment_id == visit.id)).one()
    assert (letter.letter, letter.outcome) == ("appointment-booked", None)


def test_bea_cannot_have_anas_time_and_is_shown_the_next_three(cast: Cast) -> None:
    book(cast, cast.ana)
    with pytest.raises(SlotTaken) as refusal:
        book(cast, cast.bea)
    starts = [free.start for free in refusal.value.extra["alternatives"]]
    assert starts == [cast.at(9, 30), cast.at(10), cast.at(10, 30)]


def test_a_refused_booking_leaves_no_trace(cast: Cast) -> None:
    book(cast, cast.ana)
    before = db.session.scalar(select(func.count()).select_from(AuditEvent))
    with pytest.raises(SlotTaken):
        book(cast, cast.bea)
    assert db.session.scalar(select(func.count()).select_from(AuditEvent)) == before


def test_bea_takes_the_time_that_ana_gave_back(cast: Cast) -> None:
    booking.cancel_appointment(book(cast, cast.ana).id, actor=cast.ana.actor)
    assert book(cast, cast.bea).status == "booked"


def test_buffers_keep_neighbours_apart(cast: Cast) -> None:
    book(cast, cast.ana, service_id=cast.physio_id, hour=10)  # 10:00 to 10:45, kept free from 9:55 to 10:55
    with pytest.raises(SlotTaken):
        book(cast, cast.bea, hour=10, minute=30)
    with pytest.raises(SlotTaken):
        book(cast, cast.bea, hour=9, minute=30)
    assert book(cast, cast.bea, hour=11).status == "booked"


def test_ana_cannot_be_in_two_places(cast: Cast) -> None:
    book(cast, cast.ana)
    with pytest.raises(PatientBusy):
        book(cast, cast.ana, practitioner_id=cast.dr_diaz.practitioner_id)


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"hour": 7}, "outside-hours"),
        ({"hour": 17}, "outside-hours"),
        ({"hour": 16, "minute": 45}, "outside-hours"),
        ({"hour": 9, "minute": 10}, "not-offered"),
    ],
)
def test_a_time_that_is_not_on_offer_is_refused_with_its_rule(cast: Cast, over: dict, code: str) -> None:
    with pytest.raises(RulesForbid) as refusal:
        book(cast, cast.ana, **over)
    assert codes(refusal.value) == {code}


def test_the_horizon_and_the_notice_bind_ana_but_not_dana(cast: Cast) -> None:
    far = cast.at(9, weeks=10)
    with pytest.raises(RulesForbid) as refusal:
        book(cast, cast.ana, start=far)
    assert codes(refusal.value) == {"horizon"}
    assert book(cast, cast.dana, start=far, patient_id=cast.ana.patient_id).status == "booked"


def test_dana_sets_a_rule_aside_with_a_reason_and_it_is_on_record(cast: Cast) -> None:
    with pytest.raises(RulesForbid):
        book(cast, cast.dana, hour=8, patient_id=cast.ana.patient_id)
    visit = book(cast, cast.dana, hour=8, patient_id=cast.ana.patient_id, override_reason="She flies at noon.")
    assert visit.override_reason == "She flies at noon."
    actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.object_id == visit.id)).all()
    assert actions == ["appointment.overridden"]


def test_ana_may_not_set_rules_aside(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        book(cast, cast.ana, hour=8, override_reason="please")


def test_not_even_an_override_doubles_a_time(cast: Cast) -> None:
    book(cast, cast.ana)
    with pytest.raises(SlotTaken):
        book(cast, cast.dana, patient_id=cast.bea.patient_id, override_reason="urgent")


def test_bea_cannot_book_for_ana_but_carl_can(cast: Cast) -> None:
    with pytest.raises(NotVisible):
        book(cast, cast.bea, patient_id=cast.ana.patient_id)
    assert book(cast, cast.carl, patient_id=cast.ana.patient_id).patient_id == cast.ana.patient_id


def test_carl_loses_access_when_the_grant_ends(cast: Cast) -> None:
    db.session.execute(text("UPDATE related_persons SET ends_at = statement_timestamp() - interval '1 second'"))
    with pytest.raises(NotVisible):
        book(cast, cast.carl, patient_id=cast.ana.patient_id)


def hold(cast: Cast, person: Person, *, hour: int = 9, minute: int = 0):
    return holds.hold_time(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(hour, minute),
        minutes=5,
        actor=person.actor,
    )


def test_a_held_time_is_kept_for_ana_alone(cast: Cast) -> None:
    held = hold(cast, cast.ana)
    with pytest.raises(SlotTaken):
        book(cast, cast.bea)
    assert book(cast, cast.ana, hold_id=held.id).status == "booked"
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


def test_ana_holds_two_times_at_most(cast: Cast) -> None:
    hold(cast, cast.ana, hour=9)
    hold(cast, cast.ana, hour=10)
    with pytest.raises(TooManyHolds):
        hold(cast, cast.ana, hour=11)


def test_bea_cannot_use_anas_hold(cast: Cast) -> None:
    held = hold(cast, cast.ana)
    with pytest.raises(SlotTaken):
        book(cast, cast.bea, hold_id=held.id)
    with pytest.raises(NotVisible):
        holds.release_hold(held.id, actor=cast.bea.actor)


def test_an_expired_hold_is_freed_on_the_spot_and_by_the_clock(cast: Cast) -> None:
    hold(cast, cast.ana)
    over = "UPDATE appointments SET hold_expires_at = clock_timestamp() - interval '1 second' WHERE status = 'proposed'"
    db.session.execute(text(over))
    assert book(cast, cast.bea).status == "booked"
    hold(cast, cast.ana, hour=11)
    db.session.execute(text(over))
    assert occupancy.free_expired_holds() == 1


def test_ana_moves_her_visit_and_the_old_time_is_free(cast: Cast) -> None:
    visit = book(cast, cast.ana)
    moved = booking.reschedule_appointment(visit.id, start=cast.at(14), actor=cast.ana.actor)
    assert (moved.start, moved.sequence, moved.version) == (cast.at(14), 1, 2)
    assert book(cast, cast.bea).start == cast.at(9)


def test_a_move_onto_a_taken_time_keeps_the_old_one(cast: Cast) -> None:
    visit = book(cast, cast.ana)
    book(cast, cast.bea, hour=14)
    with pytest.raises(SlotTaken):
        booking.reschedule_appointment(visit.id, start=cast.at(14), actor=cast.ana.actor)
    assert db.session.get_one(Appointment, visit.id).start == cast.at(9)


def test_a_move_may_overlap_its_own_old_time(cast: Cast) -> None:
    visit = book(cast, cast.ana, service_id=cast.physio_id, hour=10)
    moved = booking.reschedule_appointment(visit.id, start=cast.at(10, 15), actor=cast.ana.actor)
    assert moved.start == cast.at(10, 15)


def test_the_cutoff_binds_ana_but_not_dana(cast: Cast) -> None:
    visit = book(cast, cast.ana, service_id=cast.physio_id, hour=10)
    db.session.execute(text("UPDATE healthcare_services SET cancel_cutoff_minutes = 50000"))
    with pytest.raises(RulesForbid) as refusal:
        booking.cancel_appointment(visit.id, actor=cast.ana.actor)
    assert codes(refusal.value) == {"notice"}
    assert booking.cancel_appointment(visit.id, actor=cast.dana.actor).status == "cancelled"


def test_what_is_cancelled_stays_cancelled(cast: Cast) -> None:
    visit = book(cast, cast.ana)
    booking.cancel_appointment(visit.id, actor=cast.ana.actor)
    for again in (
        lambda: booking.cancel_appointment(visit.id, actor=cast.ana.actor),
        lambda: booking.reschedule_appointment(visit.id, start=cast.at(11), actor=cast.ana.actor),
        lambda: steps.take_step(visit.id, step="arrive", actor=cast.dana.actor),
    ):
        with pytest.raises(WrongState):
            again()


def test_dana_checks_ana_in_and_takes_it_back(cast: Cast) -> None:
    visit = book(cast, cast.ana)
    states = [
        steps.take_step(visit.id, step=step, actor=cast.dana.actor).status
        for step in ("arrive", "complete", "undo", "undo", "no-show", "undo")
    ]
    assert states == ["arrived", "fulfilled", "arrived", "booked", "noshow", "booked"]


def test_ana_may_not_take_the_front_desks_steps(cast: Cast) -> None:
    visit = book(cast, cast.ana)
    with pytest.raises(NotAllowed):
        steps.take_step(visit.id, step="arrive", actor=cast.ana.actor)


def test_dr_cho_steps_own_visits_only(cast: Cast) -> None:
    own = book(cast, cast.ana)
    other = book(cast, cast.bea, practitioner_id=cast.dr_diaz.practitioner_id)
    assert steps.take_step(own.id, step="arrive", actor=cast.dr_cho.actor).status == "arrived"
    with pytest.raises(NotVisible):
        steps.take_step(other.id, step="arrive", actor=cast.dr_cho.actor)


def test_at_most_n_open_visits_of_a_service(cast: Cast) -> None:
    cast.checkup.max_open_per_patient = 1
    db.session.flush()
    book(cast, cast.ana)
    with pytest.raises(RulesForbid) as refusal:
        book(cast, cast.ana, hour=11)
    assert codes(refusal.value) == {"limit"}


def test_the_database_itself_refuses_an_overlap(cast: Cast) -> None:
    """The last line: whatever the code does, two occupying rows of one practitioner never overlap."""
    from sqlalchemy.exc import IntegrityError

    from tests.factories import create_appointment

    rows = [cast.practitioner(cast.dr_cho), cast.location, cast.checkup]
    create_appointment(cast.patient(cast.ana), *rows, cast.at(9))
    with pytest.raises(IntegrityError, match="ex_appointments_practitioner_id_occupied"), db.session.begin_nested():
        create_appointment(cast.patient(cast.bea), *rows, cast.at(9) + timedelta(minutes=10), status="pending")
