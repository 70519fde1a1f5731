"""Booking: hold, book, move, cancel, and the front desk's steps.

The database has the last word: EXCLUDE constraints make an overlap impossible, and a new booking is one
INSERT that never waits inside a conflict. See docs/decisions/0004.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, text, update

from server.errors import Conflict, DomainError, Invalid, NotVisible
from server.extensions import db
from server.models import (
    Appointment,
    HealthcareService,
    Patient,
    Practitioner,
    Status,
)
from server.services import access, audit, availability, occupancy, outbox
from server.services.access import Actor
from server.services.availability import OVERRIDABLE, TAKEN, Reason
from server.services.occupancy import IS_HOLD, PatientBusy, SlotTaken
from server.services.transaction import atomic, retried
from server.utils import clock
from server.utils.text import minutes_in_words

MAX_HOLDS = 2

# step -> (states it may start from, state it leads to)
STEPS: dict[str, tuple[frozenset[str], str]] = {
    "arrive": (frozenset({Status.BOOKED}), Status.ARRIVED),
    "complete": (frozenset({Status.ARRIVED}), Status.FULFILLED),
    "no-show": (frozenset({Status.BOOKED}), Status.NOSHOW),
}
UNDO = {Status.ARRIVED: Status.BOOKED, Status.FULFILLED: Status.ARRIVED, Status.NOSHOW: Status.BOOKED}
OPEN = (Status.PENDING, Status.BOOKED)


class WrongState(Conflict):
    """The appointment is not in a state from which this step is possible."""

    slug, title = "wrong-state", "That is not possible any more"


class TooManyHolds(Conflict):
    """A person holds two times at most."""

    slug, title = "too-many-holds", "Too many times are held"


class RulesForbid(Invalid):
    """The service's rules forbid it; `reasons`: [{code, detail}]."""

    slug, title = "not-bookable", "The rules forbid this time"

    def __init__(self, found: Iterable[Reason]) -> None:
        listed = list(found)
        super().__init__(
            " ".join(reason.detail for reason in listed),
            errors={"start": [reason.detail for reason in listed]},
            reasons=[{"code": reason.code, "detail": reason.detail} for reason in listed],
        )


@retried
def hold_time(
    *,
    service_id: UUID,
    practitioner_id: UUID,
    start: datetime,
    minutes: int,
    actor: Actor,
    location_id: UUID | None = None,
    patient_id: UUID | None = None,
) -> Appointment:
    """Keep a time for `minutes` while its owner decides; it ends by the database's clock.

    Raises SlotTaken, RulesForbid, TooManyHolds (two for one person).
    """
    owner_id = actor.user_id or actor.visitor_id
    if owner_id is None:
        raise access.Unauthenticated()
    with atomic():
        if patient_id is not None:
            access.patient_id_for(patient_id, actor=actor, to="book")
        found = availability.facts(service_id, practitioner_id=practitioner_id, start=start, location_id=location_id)
        _check(found, start=start, actor=actor)
        # Two requests of one owner take turns here, so the count cannot be overtaken.
        db.session.execute(select(func.pg_advisory_xact_lock(owner_id.int % 2**63)))
        owners = [owner for owner in (actor.user_id, actor.visitor_id) if owner]
        held = db.session.scalar(
            select(func.count()).where(
                Appointment.hold_owner_id.in_(owners),
                IS_HOLD,
                Appointment.hold_expires_at > text("clock_timestamp()"),
            )
        )
        if (held or 0) >= MAX_HOLDS:
            raise TooManyHolds(f"You hold {MAX_HOLDS} times already. Book one of them or let it go first.")
        row = occupancy.insert_if_free(
            found,
            status=Status.PROPOSED,
            patient_id=None,
            hold_minutes=minutes,
            actor=actor,
            action="hold.made",
        )
        return row if row is not None else occupancy.refuse(found, start=start, patient_id=None, actor=actor)


@retried
def release_hold(hold_id: UUID, *, actor: Actor) -> None:
    """Give a held time back. Raises NotVisible when it is not the actor's or has expired."""
    with atomic():
        held = access.hold(hold_id, actor=actor)
        db.session.execute(delete(Appointment).where(Appointment.id == held.id))
        audit.record("hold.released", actor=actor, object_type="Appointment", object_id=hold_id)


@retried
def book_appointment(
    *,
    service_id: UUID,
    practitioner_id: UUID,
    start: datetime,
    actor: Actor,
    location_id: UUID | None = None,
    patient_id: UUID | None = None,
    reason: str = "",
    hold_id: UUID | None = None,
    override_reason: str = "",
) -> Appointment:
    """Book a time for a patient (by default the actor). Staff may set rules aside with a reason.

    Raises SlotTaken (with alternatives), PatientBusy, RulesForbid, NotVisible, NotAllowed.
    """
    with atomic():
        patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        if override_reason:
            access.demand("override", actor=actor)
        if hold_id is not None:
            _use_hold(hold_id, service_id=service_id, practitioner_id=practitioner_id, start=start, actor=actor)
        found = availability.facts(service_id, practitioner_id=practitioner_id, start=start, location_id=location_id)
        _check(found, start=start, actor=actor, override=bool(override_reason), patient_id=patient_id)
        if not (override_reason and actor.may("override")):
            _check_limit(found, patient_id=patient_id)
        row = occupancy.insert_if_free(
            found,
            status=Status.BOOKED,
            patient_id=patient_id,
            reason=reason,
            override_reason=override_reason,
            actor=actor,
            action="appointment.overridden" if override_reason else "appointment.booked",
            letter="appointment-booked",
        )
        return row if row is not None else occupancy.refuse(found, start=start, patient_id=patient_id, actor=actor)


@retried
def reschedule_appointment(
    appointment_id: UUID,
    *,
    start: datetime,
    actor: Actor,
    practitioner_id: UUID | None = None,
    if_version: int | None = None,
) -> Appointment:
    """Move an appointment in one transaction: the old time is kept until the new one is taken.

    Practitioner rows are locked first, in the order of their ids, so that two moves never wait for each
    other. Raises SlotTaken, PatientBusy, RulesForbid, WrongState, NotVisible, NotAllowed.
    """
    with atomic():
        moved = access.appointment(appointment_id, actor=actor, to="reschedule")
        _demand_version(moved, if_version)
        _demand_state(moved, OPEN, "move")
        _check_cutoff(moved, actor=actor, what="moved")
        practitioner_id = practitioner_id or moved.practitioner_id
        involved = sorted({practitioner_id, moved.practitioner_id})
        db.session.execute(
            select(Practitioner.id)
            .where(Practitioner.id.in_(involved))
            .order_by(Practitioner.id)
            .with_for_update(key_share=True)
        )
        found = availability.facts(moved.service_id, practitioner_id=practitioner_id, start=start, ignore_id=moved.id)
        _check(found, start=start, actor=actor, patient_id=moved.patient_id, ignore_id=moved.id)
        change = (
            update(Appointment)
            .where(Appointment.id == moved.id)
            .values(
                practitioner_id=practitioner_id,
                location_id=found.place_id,
                room_id=found.room_id,
                during=found.during,
                occupied=found.occupied,
                confirmed_at=None,
                sequence=Appointment.sequence + 1,
                version=Appointment.version + 1,
                updated_at=func.clock_timestamp(),
            )
        )
        if not occupancy.fits(change):
            occupancy.free_expired_holds_near(found, moved.patient_id)
            if not occupancy.fits(change):
                occupancy.refuse(found, start=start, patient_id=moved.patient_id, actor=actor, ignore_id=moved.id)
        _record(moved, "rescheduled", actor=actor, letter="appointment-moved")
        return _reload(moved)


@retried
def cancel_appointment(
    appointment_id: UUID, *, actor: Actor, reason: str = "", if_version: int | None = None
) -> Appointment:
    """Cancel; the service's cut-off binds patients, not staff. Raises RulesForbid, WrongState."""
    with atomic():
        cancelled = access.appointment(appointment_id, actor=actor, to="cancel")
        _demand_version(cancelled, if_version)
        _demand_state(cancelled, OPEN, "cancel")
        _check_cutoff(cancelled, actor=actor, what="cancelled")
        _change(cancelled, status=Status.CANCELLED, cancel_reason=reason, sequence=Appointment.sequence + 1)
        _record(cancelled, "cancelled", actor=actor, letter="appointment-cancelled")
        return _reload(cancelled)


@retried
def confirm_appointment(appointment_id: UUID, *, actor: Actor, if_version: int | None = None) -> Appointment:
    """The patient (or the desk, for them) says that they will come. Raises WrongState."""
    with atomic():
        confirmed = access.appointment(appointment_id, actor=actor, to="confirm")
        _demand_version(confirmed, if_version)
        _demand_state(confirmed, (Status.BOOKED,), "confirm")
        if confirmed.confirmed_at is None:
            _change(confirmed, confirmed_at=func.clock_timestamp())
            _record(confirmed, "confirmed", actor=actor)
        return _reload(confirmed)


@retried
def take_step(appointment_id: UUID, *, step: str, actor: Actor, if_version: int | None = None) -> Appointment:
    """One of the front desk's steps: arrive, complete, no-show, undo. Raises WrongState, SlotTaken."""
    with atomic():
        stepped = access.appointment(appointment_id, actor=actor, to="step")
        _demand_version(stepped, if_version)
        if step == "undo":
            allowed, target = frozenset[str](UNDO), UNDO.get(Status(stepped.status), "")
        else:
            allowed, target = STEPS[step]
        _demand_state(stepped, allowed, step)
        change = (
            update(Appointment)
            .where(Appointment.id == stepped.id)
            .values(status=target, version=Appointment.version + 1, updated_at=func.clock_timestamp())
        )
        if not occupancy.fits(change):  # a no-show taken back, whose time somebody else has by now, or has held
            occupancy.free_expired_holds_near(stepped, stepped.patient_id)
            if not occupancy.fits(change):
                raise SlotTaken("Somebody else has this time by now.", alternatives=[])
        _record(stepped, step, actor=actor)
        return _reload(stepped)


# --- the parts ---


def _check(
    found: Row[Any],
    *,
    start: datetime,
    actor: Actor,
    override: bool = False,
    patient_id: UUID | None = None,
    ignore_id: UUID | None = None,
) -> None:
    against = availability.reasons(found, start=start, actor=actor)
    if override:
        against = [reason for reason in against if reason.code not in OVERRIDABLE]
        if found.place_id is None:  # no hours say where, and no reason makes a location
            raise Invalid("Say at which location.", errors={"location_id": ["There is no such location."]})
    forbidding = [reason for reason in against if reason.code not in TAKEN]
    if forbidding:
        raise RulesForbid(forbidding)
    if against:
        occupancy.refuse(found, start=start, patient_id=patient_id, actor=actor, ignore_id=ignore_id)


def _check_limit(found: Row[Any], *, patient_id: UUID) -> None:
    """At most n open appointments of one patient for this service, exact under a race: the patient is locked."""
    if found.max_open_per_patient is None:
        return
    db.session.execute(select(Patient.id).where(Patient.id == patient_id).with_for_update(key_share=True))
    count = db.session.scalar(
        select(func.count()).where(
            Appointment.patient_id == patient_id,
            Appointment.service_id == found.id,
            Appointment.status.in_(OPEN),
            func.upper(Appointment.during) > func.statement_timestamp(),
        )
    )
    if (count or 0) >= found.max_open_per_patient:
        visits = "1 open visit" if found.max_open_per_patient == 1 else f"{found.max_open_per_patient} open visits"
        raise RulesForbid([Reason("limit", f"At most {visits} of this kind for one patient.")])


def _use_hold(hold_id: UUID, *, service_id: UUID, practitioner_id: UUID, start: datetime, actor: Actor) -> None:
    """Give up the hold inside this transaction, so that the booking's INSERT finds the time free.

    Nobody else sees the gap: until the commit, others wait for this transaction or find the time taken.
    """
    try:
        held = access.hold(hold_id, actor=actor)
    except NotVisible:
        return  # it has expired: the time may still be free, and the INSERT will tell
    if (held.service_id, held.practitioner_id, held.start) != (service_id, practitioner_id, start):
        raise Invalid("The hold is for another time.", errors={"hold_id": ["This hold is for another time."]})
    db.session.execute(delete(Appointment).where(Appointment.id == held.id))
    db.session.expunge(held)


def _check_cutoff(appointment: Appointment, *, actor: Actor, what: str) -> None:
    if actor.may("cancel"):
        return
    service: HealthcareService = appointment.service
    if clock.now() + timedelta(minutes=service.cancel_cutoff_minutes) >= appointment.start:
        words = minutes_in_words(service.cancel_cutoff_minutes)
        sentence = (
            f"This visit can be {what} until {words} before it starts. Please call the clinic."
            if service.cancel_cutoff_minutes
            else f"A visit can be {what} until it starts. Please call the clinic."
        )
        raise RulesForbid([Reason("notice", sentence)])


def _demand_state(appointment: Appointment, allowed: Iterable[str], step: str) -> None:
    if appointment.status not in set(allowed):
        raise WrongState(
            f"This visit is {appointment.status}: the step “{step}” is not possible now.",
            state=str(appointment.status),
        )


class VersionMismatch(DomainError):
    """Somebody changed it since it was read."""

    status, slug, title = 412, "precondition-failed", "It has changed since you read it"


def _demand_version(appointment: Appointment, version: int | None) -> None:
    if version is not None and appointment.version != version:
        raise VersionMismatch("The appointment has changed since you read it. Read it again, then decide.")


def _change(appointment: Appointment, **values: Any) -> None:
    db.session.execute(
        update(Appointment)
        .where(Appointment.id == appointment.id)
        .values(version=Appointment.version + 1, updated_at=func.clock_timestamp(), **values)
        .execution_options(synchronize_session=False)
    )


def _record(appointment: Appointment, what: str, *, actor: Actor, letter: str | None = None) -> None:
    audit.record(
        f"appointment.{what}",
        actor=actor,
        object_type="Appointment",
        object_id=appointment.id,
        patient_id=appointment.patient_id,
    )
    if letter and appointment.patient_id:
        outbox.post(
            letter,
            patient_id=appointment.patient_id,
            appointment_id=appointment.id,
            sequence=appointment.sequence + 1,
        )


def _reload(appointment: Appointment) -> Appointment:
    found = db.session.get(Appointment, appointment.id, options=access.WITH_NAMES, populate_existing=True)
    assert found is not None
    return found


__all__ = [
    "PatientBusy",
    "RulesForbid",
    "SlotTaken",
    "book_appointment",
    "cancel_appointment",
    "confirm_appointment",
    "hold_time",
    "release_hold",
    "reschedule_appointment",
    "take_step",
]
