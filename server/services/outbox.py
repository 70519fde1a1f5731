"""Letters: written with their cause, delivered by whoever leases them, each with a story.

The row is the promise; the broker only says "look now". A row that nobody was told of is found by the
sweep of the clock, so a lost broker loses nothing.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, text, update

from server.extensions import db
from server.models import OutboxMessage
from server.services.transaction import abandon, after_commit, atomic
from server.utils.tokens import new_id

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
MAX_ATTEMPTS = 8
BATCH = 50

# How to hurry the workers; the factory sets it. Nothing is lost while it is missing or fails.
wake: Callable[[], object] | None = None


class Undeliverable(Exception):
    """The address or the message is wrong for good: another try cannot help."""


class Unreachable(Exception):
    """Nothing can leave at the moment; no letter is to blame, so none has used up a try."""


class Later(Exception):
    """Not now, through no fault of the message: it waits so many seconds, uses up no try, and others go on."""

    def __init__(self, reason: str, *, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Missed(Exception):
    """Too late to be of use; staff see it in their list."""


class NoLongerTrue(Exception):
    """What the letter would say has been overtaken; it is skipped."""


def post(
    letter: str,
    *,
    user_id: UUID | None = None,
    patient_id: UUID | None = None,
    appointment_id: UUID | None = None,
    offer_id: UUID | None = None,
    rule_id: UUID | None = None,
    sequence: int = 0,
    sample_language: str | None = None,
) -> None:
    """Write a letter into the current transaction and hurry it after the commit."""
    db.session.execute(
        insert(OutboxMessage).values(
            values(
                letter,
                user_id=user_id,
                patient_id=patient_id,
                appointment_id=appointment_id,
                offer_id=offer_id,
                rule_id=rule_id,
                sequence=sequence,
                sample_language=sample_language,
            )
        )
    )
    hurry()


def values(letter: str, **more: Any) -> dict[str, Any]:
    """The columns of one letter, for a statement that writes it together with its cause."""
    return {"id": new_id(), "letter": letter, **more}


def hurry() -> None:
    """Tell the workers after the commit that something is due."""
    if wake is not None:
        after_commit(wake)


def deliver_due(send: Callable[[UUID], str | None], *, channel: str = "email") -> int:
    """Lease and send what is due on a channel until nothing is; returns how many were sent.

    `send(message id)` answers what the gateway calls the message, if it does. It raises NoLongerTrue, Missed or
    Undeliverable to end a message, Unreachable to stop for now, Later to have this one wait, anything else to have it
    tried again later. A worker that dies leaves leases behind, which end by the database's clock.
    """
    sent = 0
    while leased := _lease(channel):
        for position, message_id in enumerate(leased):
            try:
                sent += _deliver(message_id, send)
            except Unreachable as reason:
                log.warning("No letter can leave: %s", reason)
                _give_back(leased[position:])
                return sent
    return sent


# What a message is about, as far as it can change: an answer other than before means that it is overtaken.
_STATE = text("""
    SELECT m.outcome, a.sequence, a.status, o.status AS offer
      FROM outbox_messages m
      LEFT JOIN appointments a ON a.id = m.appointment_id
      LEFT JOIN waitlist_offers o ON o.id = m.offer_id
     WHERE m.id = :id
""")
_LOCK_VISIT = text("""
    SELECT a.id FROM appointments a WHERE a.id = (SELECT appointment_id FROM outbox_messages WHERE id = :id) FOR SHARE
""")
_LOCK_MESSAGE = text("SELECT id FROM outbox_messages WHERE id = :id FOR SHARE")


def state_of(message_id: UUID) -> tuple[Any, ...]:
    """To be asked before a message is composed, for `unchanged`."""
    with atomic():
        return tuple(db.session.execute(_STATE, {"id": message_id}).one())


@contextmanager
def unchanged(message_id: UUID, before: tuple[Any, ...]) -> Iterator[None]:
    """Raises NoLongerTrue when the message was overtaken since `before`; inside the block it cannot be.

    Whoever cancels or moves the visit waits as long as the block lasts, so it holds one command to the mail server
    and no answer of it.
    """
    with atomic():
        db.session.execute(_LOCK_VISIT, {"id": message_id})  # first the visit, as everybody else does
        db.session.execute(_LOCK_MESSAGE, {"id": message_id})
        if tuple(db.session.execute(_STATE, {"id": message_id}).one()) != before:
            raise NoLongerTrue("It was overtaken while it was being sent.")
        yield


def _lease(channel: str) -> list[UUID]:
    now = func.clock_timestamp()
    due = (
        select(OutboxMessage.id)
        .where(
            OutboxMessage.outcome.is_(None),
            OutboxMessage.channel == channel,
            OutboxMessage.due_at <= now,
            or_(OutboxMessage.leased_until.is_(None), OutboxMessage.leased_until < now),
        )
        .order_by(OutboxMessage.due_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    with atomic():
        return list(
            db.session.scalars(
                update(OutboxMessage)
                .where(OutboxMessage.id.in_(due))
                .values(leased_until=now + LEASE, attempts=OutboxMessage.attempts + 1)
                .returning(OutboxMessage.id)
                .execution_options(synchronize_session=False)
            )
        )


def _deliver(message_id: UUID, send: Callable[[UUID], str | None]) -> int:
    try:
        provider_id = send(message_id)
    except Missed as reason:
        _mark(message_id, outcome="missed", detail=str(reason))
    except NoLongerTrue as reason:
        _mark(message_id, outcome="skipped", detail=str(reason))
    except Undeliverable as reason:
        _mark(message_id, outcome="failed", detail=str(reason))
    except Unreachable:
        raise
    except Later as wait:
        _put_off(message_id, seconds=wait.seconds, detail=str(wait))
    except Exception as error:
        log.warning("Letter %s could not be sent, it will be tried again: %s", message_id, type(error).__name__)
        abandon()
        _retry_later(message_id, type(error).__name__)
    else:
        _mark(message_id, outcome="sent", provider_id=provider_id or "")
        return 1
    return 0


def _mark(message_id: UUID, *, outcome: str, detail: str = "", provider_id: str = "") -> None:
    with atomic():
        db.session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id)
            .values(
                outcome=outcome,
                outcome_at=func.clock_timestamp(),
                detail=detail[:200],
                provider_id=provider_id[:120],
                leased_until=None,
            )
        )


def _give_back(message_ids: list[UUID]) -> None:
    abandon()
    with atomic():
        db.session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(message_ids))
            .values(leased_until=None, attempts=OutboxMessage.attempts - 1)
            .execution_options(synchronize_session=False)
        )


def _put_off(message_id: UUID, *, seconds: float, detail: str) -> None:
    """Nobody takes it for so many seconds; when it was due stays as it was, and so does how often it was tried."""
    abandon()
    with atomic():
        db.session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id)
            .values(
                leased_until=func.clock_timestamp() + timedelta(seconds=seconds),
                attempts=OutboxMessage.attempts - 1,
                detail=detail[:200],
            )
            .execution_options(synchronize_session=False)
        )


def _retry_later(message_id: UUID, detail: str) -> None:
    """Half a minute, then twice as long each time; after the last attempt it has failed."""
    with atomic():
        attempts = db.session.scalar(select(OutboxMessage.attempts).where(OutboxMessage.id == message_id)) or 0
        done = attempts >= MAX_ATTEMPTS
        db.session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id)
            .values(
                leased_until=None,
                detail=detail[:200],
                due_at=func.clock_timestamp() + timedelta(seconds=30 * 2 ** max(attempts - 1, 0)),
                outcome="failed" if done else None,
                outcome_at=func.clock_timestamp() if done else None,
            )
        )
