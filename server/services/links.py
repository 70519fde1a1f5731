"""Signed links in letters: one purpose, one visit in one state; whoever has the letter may do this one thing.

Opening a link does nothing; a button on its page does. A link of a visit that was moved or answered since says so.
"""

from dataclasses import dataclass
from functools import cache
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from server.errors import NotVisible
from server.extensions import db
from server.models import Appointment, Patient
from server.services import access, reminders
from server.services.access import Actor
from server.services.transaction import atomic


@dataclass(frozen=True)
class VisitLink:
    """A link's visit and who may act through it. `is_current`: the visit is as the letter said."""

    visit: Appointment
    actor: Actor
    is_current: bool


def make(purpose: str, *parts: object, secret_key: str) -> str:
    """The last part of the address, URL-safe. `parts` are ids and numbers, never a name."""
    return str(_serializer(purpose, secret_key).dumps([str(part) for part in parts]))


def visit_of(token: str, *, secret_key: str) -> VisitLink:
    """What a link of a letter about a visit leads to. Raises NotVisible for a token that is not ours."""
    appointment_id, sequence = _read("visit", token, secret_key)
    visit = db.session.scalars(
        select(Appointment)
        .where(Appointment.id == UUID(appointment_id), Appointment.patient_id.is_not(None))
        .options(*access.WITH_NAMES)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if visit is None or visit.patient_id is None:
        raise NotVisible("This visit is not there any more.")
    actor = Actor(grants={visit.patient_id: frozenset({"read", "book"})}, is_link=True)
    return VisitLink(visit, actor, visit.sequence == int(sequence))


def unsubscribe(token: str, *, secret_key: str) -> None:
    """No more reminders by e-mail for the patient whom this link was sent to. Raises NotVisible."""
    (patient_id,) = _read("unsubscribe", token, secret_key)
    with atomic():
        if db.session.get(Patient, UUID(patient_id)) is None:
            raise NotVisible("This link is not valid.")
        actor = Actor(grants={UUID(patient_id): frozenset({"read", "book"})}, is_link=True)
        reminders.set_preferences(UUID(patient_id), {"wants_email_reminders": False}, actor=actor)


def _read(purpose: str, token: str, secret_key: str) -> list[str]:
    try:
        return list(_serializer(purpose, secret_key).loads(token))
    except BadSignature as error:
        raise NotVisible("This link is not valid. Perhaps it was cut off: please copy all of it.") from error


@cache
def _serializer(purpose: str, secret_key: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret_key, salt=f"link {purpose}")
