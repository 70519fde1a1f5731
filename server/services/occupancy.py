"""Taking time: the one INSERT that books, the UPDATE that moves, and what to say when the time is taken.

The database has the last word. See docs/decisions/0004-a-booking-is-one-statement.md.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, literal, or_, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql import insert as insert_or_nothing
from sqlalchemy.exc import IntegrityError

from server.errors import Conflict
from server.extensions import db
from server.models import Appointment, AuditEvent, OutboxMessage, Status
from server.services import access, audit, availability, outbox
from server.services.access import Actor
from server.services.transaction import EXCLUSION_VIOLATION, atomic, sqlstate
from server.utils.tokens import new_id

ALTERNATIVES = 3
IS_HOLD = text("appointments.status = 'proposed'")  # the very words of the partial indexes


class SlotTaken(Conflict):
    """Somebody else has the time; `alternatives` are the next free ones with the same practitioner."""

    slug, title = "slot-taken", "This time is taken"


class PatientBusy(Conflict):
    """The patient has another appointment at that time."""

    slug, title = "patient-busy", "There is another visit at that time"


def insert_if_free(
    found: Row[Any], values: dict[str, Any], *, actor: Actor, action: str, letter: str | None = None
) -> Appointment | None:
    """The booking itself: one statement with its audit event and its letter; None when the time is taken.

    ON CONFLICT DO NOTHING answers from all three constraints without an exception and without waiting
    while holding a place in them, which is why it cannot deadlock.
    """
    statement = _booking_statement(found, values, actor=actor, action=action, letter=letter)
    row = db.session.execute(statement).one_or_none()
    if row is None and free_expired_holds_near(found, values["patient_id"]):
        row = db.session.execute(statement).one_or_none()
    if row is None:
        return None
    if letter:
        outbox.hurry()
    appointment = db.session.get(Appointment, row.id, options=access.WITH_NAMES, populate_existing=True)
    assert appointment is not None
    return appointment


def _booking_statement(
    found: Row[Any], values: dict[str, Any], *, actor: Actor, action: str, letter: str | None
) -> Any:
    booked = (
        insert_or_nothing(Appointment)
        .values(
            id=new_id(),
            service_id=found.id,
            practitioner_id=found.practitioner_id,
            location_id=found.place_id,
            room_id=found.room_id,
            during=found.during,
            occupied=found.occupied,
            **values,
        )
        .on_conflict_do_nothing()
        .returning(Appointment.id, Appointment.patient_id)
        .cte("booked")
    )
    event = audit.values(action, actor=actor, object_type="Appointment")
    audited = (
        insert(AuditEvent)
        .from_select(
            [*event, "object_id", "patient_id"],
            select(*map(_typed, event.items()), booked.c.id, booked.c.patient_id),
            include_defaults=False,
        )
        .cte("audited")
    )
    statement = select(booked.c.id).add_cte(audited)
    if letter:
        message = outbox.values(letter)
        statement = statement.add_cte(
            insert(OutboxMessage)
            .from_select(
                [*message, "appointment_id", "patient_id", "sequence"],
                select(
                    *(literal(value) for value in message.values()),
                    booked.c.id,
                    booked.c.patient_id,
                    literal(0),
                ),
                include_defaults=False,
            )
            .cte("posted")
        )
    return statement


def _typed(column: tuple[str, Any]) -> Any:
    name, value = column
    return literal(value, AuditEvent.__table__.c[name].type)


def fits(change: Any) -> bool:
    """Whether an UPDATE passes the constraints; a savepoint keeps the transaction alive when it does not."""
    try:
        with db.session.begin_nested():
            db.session.execute(change.execution_options(synchronize_session=False))
    except IntegrityError as error:
        if sqlstate(error) != EXCLUSION_VIOLATION:
            raise
        return False
    return True


def free_expired_holds_near(found: Row[Any], patient_id: UUID | None) -> bool:
    """Delete the expired holds that overlap the wanted time; whether another try is worth while."""
    result = db.session.execute(
        delete(Appointment).where(
            IS_HOLD,
            Appointment.hold_expires_at <= text("clock_timestamp()"),
            or_(
                Appointment.practitioner_id == found.practitioner_id,
                Appointment.room_id == found.room_id,
                Appointment.patient_id == patient_id,
            ),
            Appointment.occupied.overlaps(found.occupied),
        )
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def free_expired_holds() -> int:
    """Delete the holds whose time is over; returns how many. Conflicts do the same on the spot."""
    with atomic():
        result = db.session.execute(
            delete(Appointment).where(IS_HOLD, Appointment.hold_expires_at <= text("clock_timestamp()"))
        )
    return int(result.rowcount)  # type: ignore[attr-defined]


def refuse(
    found: Row[Any], *, start: datetime, patient_id: UUID | None, actor: Actor, ignore_id: UUID | None = None
) -> Any:
    """Raise what fits: the patient's own other visit, or the time is somebody else's, with alternatives."""
    if patient_id is not None and _patient_is_busy(patient_id, found.during, ignore_id) and not found.is_buffered:
        raise PatientBusy("This patient already has a visit at that time.")
    free = availability.search(
        found.id,
        from_at=start,
        to_at=start + timedelta(days=30),
        practitioner_id=found.practitioner_id,
        limit=ALTERNATIVES,
        as_staff=actor.may("book"),
        ignore_id=ignore_id,
    )
    sentence = "Somebody else has this time." + (" These are the next free ones." if free else "")
    raise SlotTaken(sentence, alternatives=free)


def _patient_is_busy(patient_id: UUID, during: Range[datetime], ignore_id: UUID | None) -> bool:
    return bool(
        db.session.scalar(
            select(
                select(Appointment.id)
                .where(
                    Appointment.patient_id == patient_id,
                    Appointment.during.overlaps(during),
                    Appointment.status.in_((Status.PENDING, Status.BOOKED, Status.ARRIVED, Status.FULFILLED)),
                    Appointment.id.is_distinct_from(ignore_id),
                )
                .exists()
            )
        )
    )
