"""Taking time: the one INSERT that books, the UPDATE that moves, and what to say when the time is taken.

The database has the last word. See docs/decisions/0004-a-booking-is-one-statement.md.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, or_, select, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range
from sqlalchemy.exc import IntegrityError

from server.errors import Conflict
from server.extensions import db
from server.models import Appointment, Status
from server.services import audit, availability, outbox, reminders
from server.services.access import Actor
from server.services.transaction import EXCLUSION_VIOLATION, atomic, sqlstate
from server.utils.tokens import new_id

ALTERNATIVES = 3
LANES = 5  # visits that may lie over one another on purpose
ROOMS_TRIED = 5
IS_HOLD = text("appointments.status = 'proposed'")  # the very words of the partial indexes


class SlotTaken(Conflict):
    """Somebody else has the time; `alternatives` are the next free ones with the same practitioner."""

    slug, title = "slot-taken", "This time is taken"


class PatientBusy(Conflict):
    """The patient has another appointment at that time."""

    slug, title = "patient-busy", "There is another visit at that time"


# One round trip, one statement: the visit (or the hold), its audit event, and its letter if there is one.
# Its columns are named, because a kept plan could not answer with one that a migration adds.
_COLUMNS = ", ".join(column.name for column in Appointment.__table__.columns)
_BOOK = text(f"""
    WITH booked AS (
        INSERT INTO appointments (id, service_id, practitioner_id, location_id, room_id, device_id, patient_id, status,
                                  during, occupied, lane, session_id, capacity, series_id, reason, override_reason,
                                  booked_by_id, hold_owner_id, hold_expires_at, answer_by)
        VALUES (:id, :service_id, :practitioner_id, :location_id, :room_id, :device_id, :patient_id, :status, :during,
                :occupied, :lane, :session_id, :capacity, :series_id, :reason, :override_reason, :booked_by_id,
                :hold_owner_id, clock_timestamp() + make_interval(mins => CAST(:hold_minutes AS integer)),
                least(clock_timestamp() + make_interval(mins => CAST(:answer_minutes AS integer)), CASE WHEN
                      CAST(:answer_minutes AS integer) IS NOT NULL THEN lower(CAST(:during AS tstzrange)) END))
        ON CONFLICT DO NOTHING
        RETURNING {_COLUMNS}),
    audited AS (
        INSERT INTO audit_events (id, action, user_id, role, ip, request_id, object_type, object_id, patient_id)
        SELECT CAST(:event_id AS uuid), :action, CAST(:user_id AS uuid), :role, :ip, :request_id, 'Appointment',
               id, patient_id FROM booked),
    posted AS (
        INSERT INTO outbox_messages (id, letter, appointment_id, patient_id)
        SELECT CAST(:message_id AS uuid), CAST(:letter AS text), id, patient_id
          FROM booked WHERE CAST(:letter AS text) IS NOT NULL),
    reminded AS ({reminders.rows_for("booked")})
    SELECT {_COLUMNS} FROM booked
""").bindparams(bindparam("during", type_=TSTZRANGE), bindparam("occupied", type_=TSTZRANGE))


def insert_if_free(
    found: Row[Any],
    *,
    status: Status,
    patient_id: UUID | None,
    actor: Actor,
    action: str,
    letter: str | None = None,
    hold_minutes: int | None = None,
    hold_owner_id: UUID | None = None,
    **more: Any,
) -> Appointment | None:
    """The booking itself, from the row of `availability.facts` (or of a session); None when the time is taken.

    ON CONFLICT DO NOTHING answers from all constraints without an exception and without waiting while holding
    a place in them, which is why it cannot deadlock. The appointment that comes back is what was written; it is not
    part of the session, and its names are not loaded. `more`: further columns.
    """
    event = audit.values(action, actor=actor)
    event["event_id"] = event.pop("id")
    values = {
        **event,
        "id": new_id(),
        "service_id": found.id,
        "practitioner_id": found.practitioner_id,
        "location_id": found.place_id,
        "room_id": found.room_id,
        "device_id": found.device_id,
        "patient_id": patient_id,
        "status": status.value,
        "during": found.during,
        "occupied": found.occupied,
        "lane": 0,
        "session_id": None,
        "capacity": None,
        "series_id": None,
        "reason": "",
        "override_reason": "",
        "booked_by_id": None if status == Status.PROPOSED else actor.user_id,
        "hold_owner_id": hold_owner_id,
        "hold_minutes": hold_minutes,
        "answer_minutes": found.approval_minutes if status == Status.PENDING else None,
        "message_id": new_id(),
        "letter": letter,
        **more,
    }
    row = db.session.execute(_BOOK, values).one_or_none()
    if row is None and free_expired_holds_near(found, patient_id):
        row = db.session.execute(_BOOK, values).one_or_none()
    if row is None:
        return None
    if letter:
        if patient_id is not None:
            outbox.tell_clinic(letter, appointment_id=row.id, patient_id=patient_id)
        outbox.hurry()
    return Appointment(**row._mapping)


def insert_in_any_room(found: Row[Any], *, facts: Callable[[], Row[Any]], **booking: Any) -> Appointment | None:
    """`insert_if_free`; when somebody took the room (or device) meanwhile, in the next one of the kind.

    `facts` reads the facts anew. None when the time, or every room, is taken.
    """
    for _ in range(ROOMS_TRIED):
        booked = insert_if_free(found, **booking)
        if booked is not None or (found.room_kind, found.device_kind) == (None, None):
            return booked
        tried = (found.room_id, found.device_id)
        found = facts()
        lacks_one = (found.room_kind and not found.room_id) or (found.device_kind and not found.device_id)
        if found.is_buffered or lacks_one or (found.room_id, found.device_id) == tried:
            return None
    return None


def insert_over(found: Row[Any], **booking: Any) -> Appointment:
    """A booking over another one, on purpose: in the first lane of its own that is free. Raises SlotTaken."""
    for lane in range(1, LANES + 1):
        booked = insert_if_free(found, lane=-lane, **booking)
        if booked is not None:
            return booked
    if booking["patient_id"] is not None and patient_is_busy(booking["patient_id"], found.during, None):
        raise PatientBusy("This patient already has a visit at that time.")
    raise SlotTaken(f"Already {LANES} visits are put over this time.", alternatives=[])


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


def free_expired_holds_near(wanted: Row[Any] | Appointment, patient_id: UUID | None) -> bool:
    """Delete the expired holds that overlap the wanted time; whether another try is worth while."""
    whose = [Appointment.practitioner_id == wanted.practitioner_id]
    if wanted.room_id is not None:
        whose.append(Appointment.room_id == wanted.room_id)
    if wanted.device_id is not None:
        whose.append(Appointment.device_id == wanted.device_id)
    if patient_id is not None:
        whose.append(Appointment.patient_id == patient_id)
    result = db.session.execute(
        delete(Appointment).where(
            IS_HOLD,
            Appointment.hold_expires_at <= text("clock_timestamp()"),
            or_(*whose),
            Appointment.occupied.overlaps(wanted.occupied),
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
    if patient_id is not None and not found.is_buffered and patient_is_busy(patient_id, found.during, ignore_id):
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


def patient_is_busy(patient_id: UUID, during: Range[datetime], ignore_id: UUID | None = None) -> bool:
    """Whether the patient has another visit then."""
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
