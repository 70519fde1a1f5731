"""The front desk's view of the outbox: what goes out, what became of it, and another try for what failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select

from server.errors import NotVisible
from server.extensions import db
from server.models import Appointment, AuditEvent, Location, OutboxMessage, Patient, User
from server.services import access, addresses, audit, letters, outbox
from server.services.access import Actor
from server.services.letters import Letter
from server.services.outbox import Missed, NoLongerTrue, Undeliverable
from server.services.rules import WrongState
from server.services.transaction import atomic
from server.settings import Settings

RETRIED = "message.retried"
_IS_TROUBLE = OutboxMessage.outcome.in_(("missed", "failed")) | OutboxMessage.receipt.in_(("failed", "undelivered"))
_LAST_HEARD = func.greatest(OutboxMessage.outcome_at, OutboxMessage.receipt_at)


@dataclass(frozen=True)
class Line:
    """A message with the names that its row only points to."""

    message: OutboxMessage
    reader: str
    visit_start: datetime | None
    zone: str | None  # of the visit


@dataclass(frozen=True)
class Story:
    """One message: its line, who had it tried again and when, and the letter as it would leave now (or why not)."""

    line: Line
    retries: Sequence[Row[datetime, str]]  # when, and the name of who
    letter: Letter | None
    would_not_leave: str


def list_messages(
    *, actor: Actor, from_at: datetime, to_at: datetime, outcome: str | None = None, limit: int = 200
) -> Sequence[OutboxMessage]:
    """Messages due in [from_at, to_at), by due time; for the front desk. `outcome`: "waiting", or the table's."""
    with atomic():
        access.demand("read", actor=actor)
        query = _within(select(OutboxMessage), from_at, to_at, outcome).limit(limit)
        audit.record("messages.listed", actor=actor, object_type="OutboxMessage")
        return db.session.scalars(query).all()


def list_lines(
    *, actor: Actor, from_at: datetime, to_at: datetime, outcome: str | None = None, limit: int
) -> tuple[list[Line], Mapping[str, int]]:
    """The same with names, and how many there are of each outcome in that time; a waiting one is "waiting"."""
    with atomic():
        access.demand("read", actor=actor)
        rows = db.session.execute(_within(_with_names(), from_at, to_at, outcome).limit(limit)).all()
        word = func.coalesce(OutboxMessage.outcome, "waiting")
        counts = db.session.execute(
            select(word, func.count())
            .where(OutboxMessage.due_at >= from_at, OutboxMessage.due_at < to_at)
            .group_by(word)
        )
        audit.record("messages.listed", actor=actor, object_type="OutboxMessage")
        return [_line(row) for row in rows], {str(row[0]): int(row[1]) for row in counts}


def list_troubles(*, actor: Actor, from_at: datetime, limit: int) -> list[Line]:
    """What was missed, failed or came back since, newest first."""
    with atomic():
        access.demand("read", actor=actor)
        rows = db.session.execute(
            _with_names()
            .where(_IS_TROUBLE, from_at <= _LAST_HEARD)
            .order_by(_LAST_HEARD.desc(), OutboxMessage.id)
            .limit(limit)
        ).all()
        audit.record("messages.listed", actor=actor, object_type="OutboxMessage")
        return [_line(row) for row in rows]


def read_message(message_id: UUID, *, settings: Settings, actor: Actor) -> Story:
    """One message and what became of it; for the front desk, on record with its patient. Raises NotVisible.

    The letter's links are left out: whoever has them may answer for the patient.
    """
    with atomic():
        access.demand("read", actor=actor)
        row = db.session.execute(_with_names().where(OutboxMessage.id == message_id)).one_or_none()
        if row is None:
            raise NotVisible("There is no such message.")
        line = _line(row)
        retries = db.session.execute(
            select(AuditEvent.created_at, User.name)
            .outerjoin(User, User.id == AuditEvent.user_id)
            .where(AuditEvent.object_id == message_id, AuditEvent.action == RETRIED)
            .order_by(AuditEvent.created_at, AuditEvent.id)
        ).all()
        audit.record(
            "message.read",
            actor=actor,
            object_type="OutboxMessage",
            object_id=message_id,
            patient_id=line.message.patient_id,
        )
        try:
            if line.message.channel == outbox.WEBHOOK:
                raise NoLongerTrue("It carries ids and nothing else, and goes to the clinic's own system.")
            letter, reason = letters.preview(message_id, settings=settings), ""
        except (Missed, NoLongerTrue, Undeliverable) as refused:
            letter, reason = None, str(refused)
    return Story(line, retries, letter, reason)


def retry(message_id: UUID, *, actor: Actor) -> OutboxMessage:
    """One that failed or came back is due again, now, with all its tries. Raises NotVisible, WrongState, NotAllowed."""
    with atomic():
        access.demand("resend", actor=actor)
        found = db.session.get(OutboxMessage, message_id, with_for_update=True, populate_existing=True)
        if found is None:
            raise NotVisible("There is no such message.")
        if not can_be_retried(found):
            raise WrongState("Only a message that failed can be tried again.", state=found.outcome or "waiting")
        found.due_at = func.clock_timestamp()
        found.outcome = found.outcome_at = found.leased_until = None
        found.receipt = found.receipt_at = None
        found.attempts, found.receipt_detail = 0, ""
        found.retries += 1
        if address := addresses.reader_of(message_id):  # it gets another chance
            addresses.reopen(address, because="bounced")
        db.session.flush()
        audit.record(
            RETRIED,
            actor=actor,
            object_type="OutboxMessage",
            object_id=message_id,
            patient_id=found.patient_id,
        )
        outbox.hurry()
        db.session.refresh(found)
    return found


def can_be_retried(message: OutboxMessage) -> bool:
    """Whether it failed, or was sent and did not arrive."""
    came_back = message.outcome == "sent" and message.receipt in ("failed", "undelivered")
    return message.outcome == "failed" or came_back


def retries_of(message_id: UUID) -> int:
    """How often staff had it tried again."""
    return db.session.scalar(select(OutboxMessage.retries).where(OutboxMessage.id == message_id)) or 0


def _with_names() -> Select[Any]:
    return (
        select(
            OutboxMessage,
            Patient.given_name,
            Patient.family_name,
            User.name,
            User.email,
            func.lower(Appointment.during).label("visit_start"),
            Location.time_zone,
        )
        .outerjoin(Patient, Patient.id == OutboxMessage.patient_id)
        .outerjoin(User, User.id == OutboxMessage.user_id)
        .outerjoin(Appointment, Appointment.id == OutboxMessage.appointment_id)
        .outerjoin(Location, Location.id == Appointment.location_id)
    )


def _line(row: Row[Any]) -> Line:
    patient = " ".join(filter(None, (row.given_name, row.family_name)))
    return Line(row[0], patient or row.name or row.email, row.visit_start, row.time_zone)


def _within(query: Select[Any], from_at: datetime, to_at: datetime, outcome: str | None) -> Select[Any]:
    query = query.where(OutboxMessage.due_at >= from_at, OutboxMessage.due_at < to_at)
    if outcome == "waiting":
        query = query.where(OutboxMessage.outcome.is_(None))
    elif outcome:
        query = query.where(OutboxMessage.outcome == outcome)
    return query.order_by(OutboxMessage.due_at, OutboxMessage.id)
