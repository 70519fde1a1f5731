"""Taking time: the one INSERT that books, the UPDATE that moves, and what to say when the time is taken.

The database has the last word. See docs/decisions/0004-a-booking-is-one-statement.md.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg.types.range
from sqlalchemy import ColumnElement, delete, or_, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from server.errors import Conflict
from server.extensions import db
from server.models import OCCUPYING, Appointment, Status
from server.services import audit, availability, outbox, reminders
from server.services.access import Actor
from server.services.availability import Found
from server.services.statements import Statement
from server.services.transaction import EXCLUSION_VIOLATION, atomic, retried, sqlstate
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


# One round trip, one statement: the visit (or the hold), its audit event, its letter if there is one, its reminders.
# Its columns are named, because a kept plan could not answer with one that a migration adds.
_COLUMNS = [column.name for column in Appointment.__table__.columns]


def _booking(insert: str, answer: str, found: str = "") -> Statement:
    """`insert`: the columns and where they come from; `found`: another CTE before it; `answer`: the last SELECT."""
    return Statement(f"""
        WITH {found} booked AS (
            INSERT INTO appointments {insert}
            ON CONFLICT DO NOTHING
            RETURNING {", ".join(_COLUMNS)}),
        audited AS (
            INSERT INTO audit_events (id, action, user_id, role, ip, request_id, object_type, object_id, patient_id)
            SELECT CAST(:event_id AS uuid), :action, CAST(:user_id AS uuid), :role, :ip, :request_id, 'Appointment',
                   id, patient_id FROM booked),
        posted AS (
            INSERT INTO outbox_messages (id, letter, appointment_id, patient_id)
            SELECT CAST(:message_id AS uuid), CAST(:letter AS text), id, patient_id
              FROM booked WHERE CAST(:letter AS text) IS NOT NULL),
        reminded AS ({reminders.rows_for("booked")})
        SELECT {answer}
    """)


_BOOK = _booking(
    """ (id, service_id, practitioner_id, location_id, room_id, device_id, patient_id, status, during, occupied, lane,
         session_id, capacity, series_id, reason, override_reason, booked_by_id, hold_owner_id, hold_expires_at,
         answer_by)
        VALUES (:id, :service_id, :practitioner_id, :location_id, :room_id, :device_id, :patient_id, :status, :during,
                :occupied, :lane, :session_id, :capacity, :series_id, :reason, :override_reason, :booked_by_id,
                :hold_owner_id, clock_timestamp() + make_interval(mins => CAST(:hold_minutes AS integer)),
                least(clock_timestamp() + make_interval(mins => CAST(:answer_minutes AS integer)), CASE WHEN
                      CAST(:answer_minutes AS integer) IS NOT NULL THEN lower(CAST(:during AS tstzrange)) END))
    """,
    ", ".join(f"booked.{name} AS booked_{name}" for name in _COLUMNS) + " FROM booked",
)
# Most bookings are plain: then what the rules ask and the booking are one statement, too.
BOOK_IF_PLAIN = _booking(
    """ (id, service_id, practitioner_id, location_id, room_id, device_id, patient_id, status, during, occupied,
         series_id, reason, booked_by_id)
        SELECT CAST(:id AS uuid), found.id, found.practitioner_id, found.place_id, found.room_id, found.device_id,
               CAST(:patient_id AS uuid), 'booked', found.during, found.occupied, CAST(:series_id AS uuid), :reason,
               CAST(:booked_by_id AS uuid)
          FROM found WHERE found.is_plain
    """,
    "found.*, "
    + ", ".join(f"booked.{name} AS booked_{name}" for name in _COLUMNS)
    + " FROM found LEFT JOIN booked ON true",
    found=f"found AS MATERIALIZED ({availability.FACTS}),",
)


def _appointment(row: Any) -> Appointment:
    """What was written. It is not part of the session, and its names are not loaded."""
    values = {name: getattr(row, f"booked_{name}") for name in _COLUMNS}
    for name in ("during", "occupied"):
        values[name] = Range(values[name].lower, values[name].upper, bounds="[)")
    visit = Appointment()
    vars(visit).update(values)  # as if it was loaded: nothing has changed that anybody would have to remember
    return visit


def _told(booked: Appointment, letter: str | None) -> Appointment:
    """The letter is written with the booking; the clinic's own system and the workers hear of it."""
    if letter:
        if booked.patient_id is not None:
            outbox.tell_clinic(letter, appointment_id=booked.id, patient_id=booked.patient_id)
        outbox.hurry()
    return booked


def book_if_plain(
    service_id: UUID,
    *,
    practitioner_id: UUID,
    start: datetime,
    location_id: UUID | None,
    patient_id: UUID,
    reason: str,
    series_id: UUID | None,
    actor: Actor,
    letter: str | None,
) -> tuple[Found, Appointment | None]:
    """Ask the facts and book at once, when no rule has anything to say; else the facts, for `rules.check`.

    Raises NotVisible when there is no such service or practitioner.
    """
    row = BOOK_IF_PLAIN.first(
        {
            **_event("appointment.booked", actor),
            "id": new_id(),
            "service_id": service_id,
            "practitioner_id": practitioner_id,
            "start": start,
            "location_id": location_id,
            "ignore_id": None,
            "patient_id": patient_id,
            "reason": reason,
            "series_id": series_id,
            "booked_by_id": actor.user_id,
            "message_id": new_id(),
            "letter": letter,
        }
    )
    if row is None:
        raise availability.nothing_like_that()
    if row.booked_id is None:
        return row, None
    return row, _told(_appointment(row), letter)


def _for_psycopg(span: Any) -> psycopg.types.range.Range[datetime]:
    """The span of a row of FACTS, or of an appointment, where it is SQLAlchemy's."""
    return psycopg.types.range.Range(span.lower, span.upper)


def _event(action: str, actor: Actor) -> dict[str, Any]:
    event = audit.values(action, actor=actor)
    event["event_id"] = event.pop("id")
    return event


def insert_if_free(
    found: Found,
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
    a place in them, which is why it cannot deadlock. `more`: further columns.
    """
    values = {
        **_event(action, actor),
        "id": new_id(),
        "service_id": found.id,
        "practitioner_id": found.practitioner_id,
        "location_id": found.place_id,
        "room_id": found.room_id,
        "device_id": found.device_id,
        "patient_id": patient_id,
        "status": status.value,
        "during": _for_psycopg(found.during),
        "occupied": _for_psycopg(found.occupied),
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
    row = _BOOK.first(values)
    if row is None and free_expired_holds_near(found, patient_id):
        row = _BOOK.first(values)
    if row is None:
        return None
    return _told(_appointment(row), letter)


def insert_in_any_room(found: Found, *, facts: Callable[[], Found], **booking: Any) -> Appointment | None:
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


def insert_over(found: Found, **booking: Any) -> Appointment:
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


def occupies(which: Any = Appointment) -> ColumnElement[bool]:
    """Whether it takes its time, or its seat, at this moment; a hold that has ended does not, swept or not."""
    is_over = which.hold_expires_at <= text("clock_timestamp()")
    return which.status.in_(OCCUPYING) & ((which.status != Status.PROPOSED) | ~is_over)


def free_expired_holds_near(wanted: Found, patient_id: UUID | None) -> bool:
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


@retried
def free_expired_holds() -> int:
    """Delete the holds whose time is over; returns how many. Conflicts do the same on the spot."""
    with atomic():
        result = db.session.execute(
            delete(Appointment).where(IS_HOLD, Appointment.hold_expires_at <= text("clock_timestamp()"))
        )
    return int(result.rowcount)  # type: ignore[attr-defined]


def refuse(
    found: Found, *, start: datetime, patient_id: UUID | None, actor: Actor, ignore_id: UUID | None = None
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
