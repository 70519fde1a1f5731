"""Signed links in letters: one purpose, one visit in one state; whoever has the letter may do this one thing.

Opening a link does nothing; a button on its page does. A link of a visit that was moved or answered since says so, and
so does one of an offer that is over.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from server.errors import NotVisible
from server.extensions import db
from server.models import Appointment, AuditEvent, Patient, WaitlistEntry, WaitlistOffer
from server.services import access, audit, offers, reminders
from server.services.access import Actor
from server.services.transaction import atomic

# What the sequence of a visit grows with, as the audit calls it.
CHANGES = tuple(f"appointment.{what}" for what in ("rescheduled", "cancelled", "approved", "declined", "expired"))


@dataclass(frozen=True)
class VisitLink:
    """A link's visit and who may act through it. `is_current`: the visit is as the letter said.

    When it is not: `happened` is what the audit calls the newest change, and `happened_at` when that was.
    """

    visit: Appointment
    actor: Actor
    is_current: bool
    happened: str = ""
    happened_at: datetime | None = None


@dataclass(frozen=True)
class OfferLink:
    """A link's offer of a freed time and who may answer through it."""

    offer: WaitlistOffer
    actor: Actor


def make(purpose: str, *parts: object, secret_key: str) -> str:
    """The last part of the address, URL-safe. `parts` are ids and numbers, never a name."""
    return str(_serializer(purpose, secret_key).dumps([str(part) for part in parts]))


def visit_of(token: str, *, secret_key: str, asker: Actor) -> VisitLink:
    """What a link of a letter about a visit leads to; the reading goes on record. `asker`: from where it is opened.

    Raises NotVisible for a token that is not ours.
    """
    appointment_id, sequence = _read("visit", token, secret_key)
    visit = db.session.scalars(
        select(Appointment)
        .where(Appointment.id == UUID(appointment_id), Appointment.patient_id.is_not(None))
        .options(*access.WITH_NAMES)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if visit is None or visit.patient_id is None:
        raise NotVisible("This visit is not there any more.")
    actor = _whoever_has_it(visit.patient_id, asker)
    with atomic():
        audit.record(
            "appointment.read",
            actor=actor,
            object_type="Appointment",
            object_id=visit.id,
            patient_id=visit.patient_id,
        )
    if visit.sequence == int(sequence):
        return VisitLink(visit, actor, True)
    newest = db.session.execute(
        select(AuditEvent.action, AuditEvent.created_at)
        .where(AuditEvent.object_id == visit.id, AuditEvent.action.in_(CHANGES), AuditEvent.outcome == "success")
        .order_by(AuditEvent.id.desc())
        .limit(1)
    ).one_or_none()
    happened, happened_at = newest or ("", None)
    return VisitLink(visit, actor, False, happened.removeprefix("appointment."), happened_at)


def offer_of(token: str, *, secret_key: str, asker: Actor) -> OfferLink:
    """What a link of a letter about an offer leads to; the reading goes on record. `asker`: from where it is opened.

    Raises NotVisible for a token that is not ours.
    """
    (offer_id,) = _read("offer", token, secret_key)
    patient_id = db.session.scalar(
        select(WaitlistEntry.patient_id)
        .join(WaitlistOffer, WaitlistOffer.entry_id == WaitlistEntry.id)
        .where(WaitlistOffer.id == UUID(offer_id))
    )
    if patient_id is None:
        raise NotVisible("This offer is not there any more.")
    actor = _whoever_has_it(patient_id, asker)
    return OfferLink(offers.read_offer(UUID(offer_id), actor=actor), actor)


def unsubscribe(token: str, *, secret_key: str, asker: Actor) -> None:
    """No more reminders by e-mail for the patient whom this link was sent to. Raises NotVisible."""
    (patient_id,) = _read("unsubscribe", token, secret_key)
    with atomic():
        if db.session.get(Patient, UUID(patient_id)) is None:
            raise NotVisible("This link is not valid.")
        actor = _whoever_has_it(UUID(patient_id), asker)
        reminders.set_preferences(UUID(patient_id), {"wants_email_reminders": False}, actor=actor)


def _whoever_has_it(patient_id: UUID, asker: Actor) -> Actor:
    granted = {patient_id: frozenset({"read", "book"})}
    return Actor(grants=granted, is_link=True, ip=asker.ip, request_id=asker.request_id)


def _read(purpose: str, token: str, secret_key: str) -> list[str]:
    try:
        return list(_serializer(purpose, secret_key).loads(token))
    except BadSignature as error:
        raise NotVisible("This link is not valid. Perhaps it was cut off: please copy all of it.") from error


@cache
def _serializer(purpose: str, secret_key: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret_key, salt=f"link {purpose}")
