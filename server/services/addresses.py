"""Addresses that are closed: mail that came back, a number that said STOP.

What is closed is the address, whoever has it. So a patient with another address is reachable again by itself, and two
patients with one phone are both left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, distinct, func, select
from sqlalchemy.dialects.postgresql import insert

from server.extensions import db
from server.models import Appointment, ClosedAddress, OutboxMessage, Patient, User
from server.services import access
from server.services.access import Actor
from server.services.outbox import NoLongerTrue, Undeliverable
from server.services.read_once import read_once, remember
from server.utils import phones


@dataclass(frozen=True)
class Bouncing:
    """An address that bounced, and whose it is: names, and the next visit of one of them."""

    closed: ClosedAddress
    names: list[str]
    visit_id: UUID | None


def stored(written: str, *, region: str = "") -> str:
    """How an address is compared: E.164 for a number, lower case for a mail address, empty for what is neither."""
    return written.strip().lower() if "@" in written else phones.e164(written, region) or ""


def checked(written: str) -> tuple[str, list[str]]:
    """A mail address that somebody signs in with, as it is stored, and what is wrong with it."""
    try:
        return validate_email(written, check_deliverability=False).normalized.lower(), []
    except EmailNotValidError as problem:
        return "", [str(problem)]


def close(address: str, *, because: str, detail: str = "") -> bool:
    """Close it in this transaction; answers whether it was open. The first reason stands until it is opened."""
    statement = insert(ClosedAddress).values(address=address, because=because, detail=detail[:200])
    closed = db.session.scalar(statement.on_conflict_do_nothing().returning(ClosedAddress.address))
    return closed is not None


def reopen(address: str, *, because: str) -> bool:
    """Open it again in this transaction, when it was closed for this reason; answers whether it was."""
    found = delete(ClosedAddress).where(ClosedAddress.address == address, ClosedAddress.because == because)
    return db.session.scalar(found.returning(ClosedAddress.address)) is not None


def closed(address: str | None, *, region: str = "") -> ClosedAddress | None:
    """Whether and why an address is closed."""
    known_as = stored(address or "", region=region)
    return _closed(known_as) if known_as else None


@read_once
def _closed(known_as: str) -> ClosedAddress | None:
    return db.session.scalars(select(ClosedAddress).where(ClosedAddress.address == known_as)).one_or_none()


def read_ahead(known_as: set[str]) -> None:
    """Of a batch's addresses, as they are stored, which are closed."""
    found = db.session.scalars(select(ClosedAddress).where(ClosedAddress.address.in_(known_as)))
    remember(_closed, dict.fromkeys(known_as) | {closed.address: closed for closed in found})


def closed_of(patient: Patient, *, region: str) -> Mapping[str, ClosedAddress]:
    """Which of a patient's addresses are closed: {"email" | "phone": why}."""
    found = {"email": closed(patient.email), "phone": closed(patient.phone, region=region)}
    return {name: why for name, why in found.items() if why is not None}


def demand_open(address: str, *, region: str = "") -> None:
    """To be asked before a reminder leaves. Raises Undeliverable for a bounce, NoLongerTrue after a STOP."""
    found = closed(address, region=region)
    if found is None:
        return
    if found.because == "stopped":
        raise NoLongerTrue("Somebody sent STOP from this number.")
    raise Undeliverable(f"The address bounced on {found.created_at:%Y-%m-%d}: {found.detail}")


def list_bouncing(*, actor: Actor, limit: int) -> tuple[Sequence[Bouncing], int]:
    """Addresses of patients and accounts that bounced, newest first, and how many there are; for the front desk."""
    access.demand("read", actor=actor)
    names = func.array_agg(distinct(func.concat_ws(" ", Patient.given_name, Patient.family_name)))
    visit = (
        select(Appointment.id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .where(
            func.lower(Patient.email) == ClosedAddress.address,
            Appointment.status == "booked",
            func.lower(Appointment.during) > func.statement_timestamp(),
        )
        .order_by(func.lower(Appointment.during))
        .limit(1)
        .scalar_subquery()
    )
    whose = select(names).where(func.lower(Patient.email) == ClosedAddress.address).scalar_subquery()
    account = select(User.name).where(User.email == ClosedAddress.address).scalar_subquery()
    in_use = ClosedAddress.because == "bounced", whose.is_not(None) | account.is_not(None)
    rows = db.session.execute(
        select(ClosedAddress, whose, account, visit)
        .where(*in_use)
        .order_by(ClosedAddress.created_at.desc(), ClosedAddress.address)
        .limit(limit)
    ).all()
    count = db.session.scalar(select(func.count()).select_from(ClosedAddress).where(*in_use)) or 0
    return [Bouncing(found, theirs or [name], visit_id) for found, theirs, name, visit_id in rows], count


def reader_of(message_id: UUID) -> str:
    """The mail address that a message would go to today, as it is compared; empty when there is none."""
    email = select(func.coalesce(func.nullif(Patient.email, ""), User.email, ""))
    found = db.session.scalar(
        email.select_from(OutboxMessage)
        .outerjoin(Patient, Patient.id == OutboxMessage.patient_id)
        .outerjoin(User, User.id == OutboxMessage.user_id)
        .where(OutboxMessage.id == message_id)
    )
    return stored(found or "")
