"""Visits as people see their own: for each person they may read, what comes and what was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from server.extensions import db
from server.models import Appointment, Status
from server.services import access, audit, people
from server.services.access import Actor
from server.services.transaction import atomic

START, END = func.lower(Appointment.during), func.upper(Appointment.during)
OPEN = (Status.PENDING, Status.BOOKED, Status.ARRIVED)


@dataclass(frozen=True)
class PersonVisits:
    """`person`: {id, name, relationship, may} as `people.patients_of` gives it. Past: newest first."""

    person: dict[str, Any]
    upcoming: Sequence[Appointment]
    past: Sequence[Appointment]
    has_more_past: bool


def by_person(*, actor: Actor, past_limit: int) -> list[PersonVisits]:
    """The visits of everybody this account may read, itself first. The reading goes on record."""
    with atomic():
        listed = [
            _of(person, actor=actor, past_limit=past_limit)
            for person in people.patients_of(actor)
            if actor.may_for(person["id"], "read")
        ]
        for each in listed:
            audit.record("appointments.listed", actor=actor, object_type="Appointment", patient_id=each.person["id"])
    return listed


def _of(person: dict[str, Any], *, actor: Actor, past_limit: int) -> PersonVisits:
    theirs = (
        access.visible_appointments(actor)
        .where(Appointment.patient_id == person["id"], Appointment.status != Status.ENTERED_IN_ERROR)
        .options(*access.WITH_NAMES)
    )
    is_upcoming = Appointment.status.in_(OPEN) & (func.statement_timestamp() < END)
    upcoming = db.session.scalars(theirs.where(is_upcoming).order_by(START)).all()
    past = db.session.scalars(theirs.where(~is_upcoming).order_by(START.desc()).limit(past_limit + 1)).all()
    return PersonVisits(person, upcoming, past[:past_limit], len(past) > past_limit)


def next_visit(*, actor: Actor) -> Appointment | None:
    """The next visit of anybody this account may read."""
    readable = [patient_id for patient_id in actor.grants if actor.may_for(patient_id, "read")]
    if not readable:
        return None
    with atomic():
        found = db.session.scalars(
            select(Appointment)
            .where(
                Appointment.patient_id.in_(readable),
                Appointment.status.in_(OPEN),
                func.statement_timestamp() < END,
            )
            .options(*access.WITH_NAMES)
            .order_by(START)
            .limit(1)
        ).one_or_none()
        if found is not None:
            audit.record(
                "appointment.read",
                actor=actor,
                object_type="Appointment",
                object_id=found.id,
                patient_id=found.patient_id,
            )
    return found


def visit_at(start: datetime, *, practitioner_id: UUID, patient_id: UUID | None, actor: Actor) -> UUID | None:
    """The id of the open visit this patient has with this practitioner at this very time."""
    found = db.session.scalars(
        access.visible_appointments(actor).where(
            Appointment.patient_id == patient_id,
            Appointment.practitioner_id == practitioner_id,
            func.lower(Appointment.during) == start,
            Appointment.status.in_(OPEN),
        )
    ).first()
    return found.id if found else None


def changeable_until(visit: Appointment) -> datetime:
    """Until when a patient may move or cancel it without calling: the service's cut-off."""
    return visit.start - timedelta(minutes=visit.service.cancel_cutoff_minutes)
