"""Letters: written with their cause, delivered by whoever leases them, each with a story.

The row is the promise; the broker only says "look now". A row that nobody was told of is found by the
sweep of the clock, so a lost broker loses nothing.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update

from server.extensions import db
from server.models import OutboxMessage
from server.services.transaction import abandon, after_commit, atomic
from server.utils.tokens import new_id

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
NEEDED = timedelta(minutes=1)  # no letter is begun on a lease that ends sooner
STINT = timedelta(minutes=3)  # then a worker stops, and the next look goes on: no task lives for ever
MAX_ATTEMPTS = 8
BATCH = 50

# How to hurry the workers; the factory sets it. Nothing is lost while it is missing or fails.
wake: Callable[[], object] | None = None

WEBHOOK = "webhook"
# Whether the clinic's own system wants to know what happens to visits (WEBHOOK_URL); the factory sets it.
clinic_listens = False


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


class Overtaken(Exception):
    """Something has changed since the letter was composed: it is composed anew, and that decides."""


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


def tell_clinic(letter: str, *, appointment_id: UUID, patient_id: UUID, sequence: int = 0) -> None:
    """The same news for the clinic's own system, if it has one that listens: a row like any other."""
    if clinic_listens:
        db.session.execute(
            insert(OutboxMessage).values(
                values(letter, channel=WEBHOOK, appointment_id=appointment_id, patient_id=patient_id, sequence=sequence)
            )
        )


def values(letter: str, **more: Any) -> dict[str, Any]:
    """The columns of one letter, for a statement that writes it together with its cause."""
    return {"id": new_id(), "letter": letter, **more}


def hurry() -> None:
    """Tell the workers after the commit that something is due."""
    if wake is not None:
        after_commit(wake)


def deliver_due(
    send: Callable[[UUID], str | None],
    *,
    channel: str = "email",
    prepare: Callable[[list[UUID]], None] | None = None,
    asks_before_sending: bool = False,
) -> int:
    """Lease and send what is due on a channel until nothing is; returns how many were sent.

    `send(message id)` answers what the gateway calls the message, if it does. It raises NoLongerTrue, Missed or
    Undeliverable to end a message, Overtaken to have it looked at anew, Unreachable to stop for now, Later to have this
    one wait, anything else to have it tried again later. A worker that dies leaves leases behind, which end by the
    database's clock. `prepare` gets each batch before the first of it is sent. With `asks_before_sending`, `send` asks
    `unchanged` right before each message begins: the outcome of the one before is then committed by that same question.
    """
    sent, until = 0, time.monotonic() + STINT.total_seconds()
    while time.monotonic() < until and (leased := _lease(channel)):
        if prepare is not None:
            prepare(leased)
        for position, message_id in enumerate(leased):
            try:
                sent += _deliver(message_id, send)
            except Unreachable as reason:
                log.warning("No letter can leave: %s", reason)
                _write_settled()
                _give_back(leased[position:])
                return sent
            if not asks_before_sending:
                _write_settled()
        _write_settled()
    return sent


# What a message is about and goes to, as far as it can change, and whether it is still ours to send. Whoever is not
# sure of the answer composes it anew.
_STATE = """
    SELECT m.id, m.appointment_id, m.outcome, m.leased_until, a.version, a.status,
           lower(a.during) <= clock_timestamp() AS has_begun, o.status AS offer,
           r.is_active, p.email, p.phone, p.wants_email_reminders, p.wants_sms_reminders
      FROM {messages} m
      LEFT JOIN {visits} a ON a.id = m.appointment_id
      LEFT JOIN waitlist_offers o ON o.id = m.offer_id
      LEFT JOIN reminder_rules r ON r.id = m.rule_id
      LEFT JOIN patients p ON p.id = m.patient_id
"""
_STATES = _STATE.format(messages="outbox_messages", visits="appointments")
# The visit and the message, locked, so that nobody changes them meanwhile; of what is locked, PostgreSQL answers the
# newest version. Somebody else's lock is not waited for here: who has a mark in hands must not wait for a second lock.
_CHECK = f"""
    WITH visit AS MATERIALIZED (SELECT * FROM appointments WHERE id = %(appointment_id)s FOR SHARE {{skip}}),
         message AS MATERIALIZED (SELECT * FROM outbox_messages WHERE id = %(id)s FOR SHARE {{skip}})
    {_STATE.format(messages="message", visits="visit")}
     WHERE m.leased_until > clock_timestamp() + interval '{NEEDED.total_seconds()} seconds'
"""
_CHECK_NOW, _CHECK_WAITING = _CHECK.format(skip="SKIP LOCKED"), _CHECK.format(skip="")
_SETTLE = """
    UPDATE outbox_messages
       SET outcome = %s, outcome_at = clock_timestamp(), detail = coalesce(nullif(%s, ''), detail), provider_id = %s,
           leased_until = NULL
     WHERE id = %s
"""


def states_of(message_ids: list[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """To be asked before messages are composed, for `unchanged`."""
    with atomic():
        rows = _driver().execute(f"{_STATES} WHERE m.id = ANY(%s)", [message_ids])
        return {row[0]: tuple(row) for row in rows}


@contextmanager
def unchanged(message_id: UUID, before: tuple[Any, ...] | None) -> Iterator[None]:
    """Raises Overtaken when the message is not as it was `before`; inside the block it stays so.

    Whoever cancels or moves the visit waits as long as the block lasts, so it holds one command to the mail server
    and no answer of it. The outcome of the message that was sent before this one is committed with the block: before
    the next letter's content leaves, at the price of no transaction of its own.
    """
    what = {"id": message_id, "appointment_id": before[1] if before else None}
    with atomic():
        driver = _driver()
        with driver.pipeline():  # one journey for all of them
            settled = _settle(driver)
            asked = driver.execute(_CHECK_NOW, what)
        found = asked.fetchone()
        is_same = found is not None and tuple(found) == before
        if is_same:
            yield
    del _settled()[:settled]
    if found is None:  # somebody has it locked at this moment, or it is not ours any more
        with atomic():
            found = _driver().execute(_CHECK_WAITING, what).fetchone()
            is_same = found is not None and tuple(found) == before
            if is_same:
                yield
    if not is_same:
        raise Overtaken("It was overtaken while it was being sent.")


def _driver() -> Any:
    """The bare connection of the surrounding atomic block: these statements run once for every letter."""
    return db.session.connection().connection.driver_connection


def _settled() -> list[tuple[str, str, str, UUID]]:
    """What became of messages, not written yet: at most one of them was sent."""
    noted: list[tuple[str, str, str, UUID]] = db.session().info.setdefault("settled_messages", [])
    return noted


def _settle(driver: Any) -> int:
    noted = list(_settled())
    for one in noted:
        driver.execute(_SETTLE, one)
    return len(noted)


def _write_settled() -> None:
    if not _settled():
        return
    with atomic():
        settled = _settle(_driver())
    del _settled()[:settled]


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
        .order_by(OutboxMessage.due_at, OutboxMessage.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    with atomic():
        leased = db.session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(due))
            .values(leased_until=now + LEASE, attempts=OutboxMessage.attempts + 1)
            .returning(OutboxMessage.due_at, OutboxMessage.id)
            .execution_options(synchronize_session=False)
        )
        return [message_id for _, message_id in sorted((row.due_at, row.id) for row in leased)]  # UPDATE keeps no order


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
    except Overtaken:
        _give_back([message_id])
    except Exception as error:
        log.warning("Letter %s could not be sent, it will be tried again: %s", message_id, type(error).__name__)
        abandon()
        _retry_later(message_id, type(error).__name__)
    else:
        _mark(message_id, outcome="sent", provider_id=provider_id or "")
        return 1
    return 0


def _mark(message_id: UUID, *, outcome: str, detail: str = "", provider_id: str = "") -> None:
    """Note what became of a message; it is written with the next question, or right away by whoever asks none."""
    _settled().append((outcome, detail[:200], provider_id[:120], message_id))


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
