"""Booking: book, ask for, move, cancel, confirm.

The database has the last word: EXCLUDE constraints make an overlap impossible, and a new booking is one
INSERT that never waits inside a conflict. See docs/decisions/0004.
"""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from server.errors import Invalid
from server.extensions import db
from server.models import Appointment, Practitioner, Room, Status
from server.services import access, audit, availability, freed, holds, occupancy, outbox, reminders, rules, wishes
from server.services.access import Actor
from server.services.occupancy import PatientBusy, SlotTaken
from server.services.rules import OPEN, RulesForbid, WrongState
from server.services.transaction import atomic, retried

# What makes reminders of an appointment untrue, or due.
CHANGES = frozenset({"rescheduled", "cancelled", "approved", "declined", "expired", "complete", "no-show"})


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
    overbook_reason: str = "",
    series_id: UUID | None = None,
    letter: bool = True,
) -> Appointment:
    """Book a time for a patient (by default the actor); for a service that needs approval, a patient asks for it.

    Staff may set rules aside with a reason (`override_reason`), or put the visit over another one
    (`overbook_reason`). Raises SlotTaken (with alternatives), PatientBusy, RulesForbid, NotVisible, NotAllowed.
    """
    with atomic():
        patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        if override_reason:
            access.demand("override", actor=actor)
        if overbook_reason:
            access.demand("overbook", actor=actor)
        if hold_id is not None:
            holds.give_up_for(hold_id, service_id=service_id, practitioner_id=practitioner_id, start=start, actor=actor)
        time: dict[str, Any] = {"practitioner_id": practitioner_id, "start": start, "location_id": location_id}
        facts = partial(availability.facts, service_id, **time)
        if override_reason or overbook_reason:
            found = facts()
        else:
            found, booked = occupancy.book_if_plain(
                service_id,
                **time,
                patient_id=patient_id,
                reason=reason,
                series_id=series_id,
                actor=actor,
                letter="appointment-booked" if letter else None,
            )
            if booked is not None:
                return booked
        is_over = rules.check(
            found,
            start=start,
            actor=actor,
            patient_id=patient_id,
            override=bool(override_reason),
            overbook=bool(overbook_reason),
        )
        asks_first = found.needs_approval and not actor.may("book")
        booking: dict[str, Any] = {
            "status": Status.PENDING if asks_first else Status.BOOKED,
            "patient_id": patient_id,
            "reason": reason,
            "override_reason": overbook_reason if is_over else override_reason,
            "series_id": series_id,
            "actor": actor,
            "action": _action(asks_first, is_over, override_reason),
            "letter": ("appointment-requested" if asks_first else "appointment-booked") if letter else None,
        }
        if is_over:
            return occupancy.insert_over(found, **booking)
        row = occupancy.insert_in_any_room(found, facts=facts, **booking)
        return row if row is not None else occupancy.refuse(found, start=start, patient_id=patient_id, actor=actor)


def _action(asks_first: bool, is_over: bool, override_reason: str) -> str:
    if is_over:
        return "appointment.overbooked"
    if override_reason:
        return "appointment.overridden"
    return "appointment.requested" if asks_first else "appointment.booked"


@retried
def reschedule_appointment(
    appointment_id: UUID,
    *,
    start: datetime,
    actor: Actor,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    override_reason: str = "",
    if_version: int | None = None,
    letter: str = "appointment-moved",
) -> Appointment:
    """Move an appointment in one transaction: the old time is kept until the new one is taken.

    Practitioner rows are locked first, in the order of their ids, so that two moves never wait for each
    other. Raises SlotTaken, PatientBusy, RulesForbid, WrongState, NotVisible, NotAllowed.
    """
    with atomic():
        moved = access.appointment(appointment_id, actor=actor, to="reschedule")
        if override_reason:
            access.demand("override", actor=actor)
        rules.demand_version(moved, if_version)
        rules.demand_state(moved, OPEN, "move")
        if moved.session_id is not None:
            raise WrongState("A place in a group cannot be moved. Cancel it and take a place in another group.")
        rules.check_cutoff(moved, actor=actor, what="moved")
        practitioner_id = practitioner_id or moved.practitioner_id
        lock_practitioners(practitioner_id, moved.practitioner_id)
        put(
            moved,
            start=start,
            practitioner_id=practitioner_id,
            location_id=location_id,
            override_reason=override_reason,
            actor=actor,
        )
        still_asked = moved.status == Status.PENDING
        record(moved, "rescheduled", actor=actor, letter="appointment-requested" if still_asked else letter)
        return reload(moved)


def put(
    moved: Appointment,
    *,
    start: datetime,
    practitioner_id: UUID,
    actor: Actor,
    location_id: UUID | None = None,
    override_reason: str = "",
    **also: Any,
) -> None:
    """Give an appointment another time, once the practitioners are locked; `also`: further columns.

    Raises SlotTaken, PatientBusy, RulesForbid.
    """
    for _ in range(occupancy.ROOMS_TRIED):
        found = availability.facts(
            moved.service_id,
            practitioner_id=practitioner_id,
            start=start,
            location_id=location_id,
            ignore_id=moved.id,
        )
        rules.check(
            found,
            start=start,
            actor=actor,
            patient_id=moved.patient_id,
            ignore_id=moved.id,
            override=bool(override_reason),
        )
        change = (
            update(Appointment)
            .where(Appointment.id == moved.id)
            .values(
                practitioner_id=practitioner_id,
                location_id=found.place_id,
                room_id=found.room_id,
                device_id=found.device_id,
                during=found.during,
                occupied=found.occupied,
                lane=0,
                override_reason=override_reason or moved.override_reason,
                confirmed_at=None,
                sequence=Appointment.sequence + 1,
                version=Appointment.version + 1,
                updated_at=func.clock_timestamp(),
                **also,
            )
        )
        if occupancy.fits(change):
            break
        occupancy.free_expired_holds_near(found, moved.patient_id)
    else:
        occupancy.refuse(found, start=start, patient_id=moved.patient_id, actor=actor, ignore_id=moved.id)
    freed.by_appointment(moved, cause="moved")


def lock_practitioners(*practitioner_ids: UUID) -> None:
    """Take turns with every other move that touches these practitioners: their rows, in the order of their ids."""
    db.session.execute(
        select(Practitioner.id)
        .where(Practitioner.id.in_(set(practitioner_ids)))
        .order_by(Practitioner.id)
        .with_for_update(key_share=True)
    )


@retried
def cancel_appointment(
    appointment_id: UUID, *, actor: Actor, reason: str = "", if_version: int | None = None, letter: str | None = None
) -> Appointment:
    """Cancel; the service's cut-off binds patients, not staff. Raises RulesForbid, WrongState.

    `letter`: another one than that of a visit that the patient or the clinic cancelled; "" for none.
    """
    with atomic():
        cancelled = access.appointment(appointment_id, actor=actor, to="cancel")
        rules.demand_version(cancelled, if_version)
        rules.demand_state(cancelled, OPEN, "cancel")
        if cancelled.is_session:
            raise WrongState("This is a group session. Cancel it as a whole, under group sessions.")
        rules.check_cutoff(cancelled, actor=actor, what="cancelled")
        change(
            cancelled,
            status=Status.CANCELLED,
            answer_by=None,
            cancel_reason=reason,
            sequence=Appointment.sequence + 1,
        )
        wishes.after_cancel(cancelled, by_clinic=actor.may("cancel"))
        freed.by_appointment(cancelled, cause="cancelled")
        by_whom = "appointment-cancelled-by-clinic" if actor.may("cancel") else "appointment-cancelled"
        record(cancelled, "cancelled", actor=actor, letter=by_whom if letter is None else letter)
        return reload(cancelled)


@retried
def confirm_appointment(appointment_id: UUID, *, actor: Actor, if_version: int | None = None) -> Appointment:
    """The patient (or the desk, for them) says that they will come. Raises WrongState."""
    with atomic():
        confirmed = access.appointment(appointment_id, actor=actor, to="confirm")
        rules.demand_version(confirmed, if_version)
        rules.demand_state(confirmed, (Status.BOOKED,), "confirm")
        if confirmed.confirmed_at is None:
            change(confirmed, confirmed_at=func.clock_timestamp())
            record(confirmed, "confirmed", actor=actor)
        else:
            record(confirmed, "read", actor=actor)
        return reload(confirmed)


@retried
def change_room(
    appointment_id: UUID,
    *,
    actor: Actor,
    room_id: UUID | None,
    device_id: UUID | None,
    if_version: int | None = None,
) -> Appointment:
    """Put a visit into another room (and device) of its location; None for none. Staff only.

    Raises SlotTaken when it is occupied then, Invalid for one that is not there, WrongState.
    """
    with atomic():
        changed = access.appointment(appointment_id, actor=actor, to="step")
        rules.demand_version(changed, if_version)
        rules.demand_state(changed, (*OPEN, Status.ARRIVED), "room")
        for name, wanted_id, is_device in (("room_id", room_id, False), ("device_id", device_id, True)):
            _demand_room(name, wanted_id, is_device, changed.location_id)
        moved = (
            update(Appointment)
            .where(Appointment.id == changed.id)
            .values(
                room_id=room_id,
                device_id=device_id,
                version=Appointment.version + 1,
                updated_at=func.clock_timestamp(),
            )
        )
        if not occupancy.fits(moved):
            raise SlotTaken("The room or the device is taken at that time.", alternatives=[])
        record(changed, "room-changed", actor=actor)
        return reload(changed)


def _demand_room(name: str, room_id: UUID | None, is_device: bool, location_id: UUID) -> None:
    if room_id is None:
        return
    query = select(Room.id).where(
        Room.id == room_id, Room.location_id == location_id, Room.is_device == is_device, Room.is_active
    )
    if db.session.scalar(query) is None:
        what = "device" if is_device else "room"
        raise Invalid(f"There is no such {what} at this location.", errors={name: [f"No such {what} there."]})


# --- the parts, also of the other commands about appointments ---


def change(appointment: Appointment, **values: Any) -> None:
    """Write columns of one appointment, whose version grows."""
    db.session.execute(
        update(Appointment)
        .where(Appointment.id == appointment.id)
        .values(version=Appointment.version + 1, updated_at=func.clock_timestamp(), **values)
        .execution_options(synchronize_session=False)
    )


def record(appointment: Appointment, what: str, *, actor: Actor, letter: str | None = None) -> None:
    """The audit event of a change, and its letter about the appointment's next sequence."""
    audit.record(
        f"appointment.{what}",
        actor=actor,
        object_type="Appointment",
        object_id=appointment.id,
        patient_id=appointment.patient_id,
    )
    if what in CHANGES and appointment.patient_id:
        reminders.renew(appointment.id)
    if what == "undo":
        reminders.forget_after(appointment.id)
    if letter and appointment.patient_id:
        outbox.post(
            letter,
            patient_id=appointment.patient_id,
            appointment_id=appointment.id,
            sequence=appointment.sequence + 1,
        )
        outbox.tell_clinic(
            letter,
            appointment_id=appointment.id,
            patient_id=appointment.patient_id,
            sequence=appointment.sequence + 1,
        )


def reload(appointment: Appointment) -> Appointment:
    """The appointment as it is in the database by now, with its names."""
    found = db.session.get(Appointment, appointment.id, options=access.WITH_NAMES, populate_existing=True)
    assert found is not None
    return found


__all__ = [
    "PatientBusy",
    "RulesForbid",
    "SlotTaken",
    "WrongState",
    "book_appointment",
    "cancel_appointment",
    "change_room",
    "confirm_appointment",
    "reschedule_appointment",
]
