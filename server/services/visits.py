"""Reading appointments: one, a list, a day, a calendar file. Every read of a patient's data goes on record."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_

from server.extensions import db
from server.models import OCCUPYING, Appointment, Closure, Practitioner, Schedule, Status
from server.services import access, audit
from server.services.access import Actor
from server.services.transaction import atomic
from server.settings import Settings
from server.utils.ical import appointment_calendar

START = func.lower(Appointment.during)


def read_visit(appointment_id: UUID, *, actor: Actor) -> Appointment:
    """One appointment with its names. Raises NotVisible."""
    with atomic():
        found = access.appointment(appointment_id, actor=actor, to="read")
        audit.record(
            "appointment.read",
            actor=actor,
            object_type="Appointment",
            object_id=found.id,
            patient_id=found.patient_id,
        )
    return found


def list_visits(
    *,
    actor: Actor,
    limit: int = 50,
    patient_id: UUID | None = None,
    practitioner_id: UUID | None = None,
    status: str | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
    after: dict[str, Any] | None = None,
) -> tuple[Sequence[Appointment], dict[str, str] | None]:
    """Visible appointments by start, and the position to go on from (None when that was all)."""
    query = (
        access.visible_appointments(actor).options(*access.WITH_NAMES).order_by(START, Appointment.id).limit(limit + 1)
    )
    if patient_id:
        query = query.where(Appointment.patient_id == patient_id)
    if practitioner_id:
        query = query.where(Appointment.practitioner_id == practitioner_id)
    if status:
        query = query.where(Appointment.status == status)
    if from_:
        query = query.where(from_ <= START)
    if to:
        query = query.where(to > START)
    if after:
        position = (datetime.fromisoformat(after["start"]), UUID(after["id"]))
        query = query.where(tuple_(START, Appointment.id) > position)
    with atomic():
        found = db.session.scalars(query).all()
        audit.record("appointments.listed", actor=actor, object_type="Appointment", patient_id=patient_id)
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], {"start": last.start.isoformat(), "id": str(last.id)}


def day_at_location(
    location_id: UUID, *, from_at: datetime, to_at: datetime, actor: Actor
) -> tuple[Sequence[Appointment], Sequence[Practitioner], Sequence[Closure]]:
    """What the day board shows for [from_at, to_at): appointments and holds, practitioners, closures.

    Practitioners are those with hours there on any day or a visit on this one. For staff; practitioners see
    their own column only.
    """
    own = actor.practitioner_id if not actor.may("read") else None
    with atomic():
        if not actor.is_staff:
            access.demand("read", actor=actor)
        shown = (*OCCUPYING, Status.NOSHOW)
        query = (
            select(Appointment)
            .options(*access.WITH_NAMES)
            .where(
                Appointment.location_id == location_id,
                from_at <= START,
                to_at > START,
                Appointment.status.in_(shown),
                (Appointment.status != Status.PROPOSED) | (Appointment.hold_expires_at > func.statement_timestamp()),
            )
            .order_by(START)
        )
        people = select(Practitioner).where(
            Practitioner.is_active
            & Practitioner.id.in_(select(Schedule.practitioner_id).where(Schedule.location_id == location_id))
        )
        if own:
            query, people = (
                query.where(Appointment.practitioner_id == own),
                people.where(Practitioner.id == own),
            )
        appointments = db.session.scalars(query).all()
        practitioners = list(db.session.scalars(people.order_by(Practitioner.name)))
        known = {practitioner.id for practitioner in practitioners}
        practitioners += {
            a.practitioner_id: a.practitioner for a in appointments if a.practitioner_id not in known
        }.values()
        closures = db.session.scalars(
            select(Closure).where(
                func.tstzrange(from_at, to_at).op("&&")(Closure.during),
                (Closure.location_id == location_id) | Closure.location_id.is_(None),
            )
        ).all()
        audit.record("day.read", actor=actor, object_type="Location", object_id=location_id)
    return appointments, practitioners, closures


def calendar(appointment_id: UUID, *, settings: Settings, actor: Actor) -> str:
    """RFC 5545 text of one visit, to add to a calendar."""
    found = read_visit(appointment_id, actor=actor)
    return appointment_calendar(
        appointment_id=found.id,
        start=found.start,
        end=found.end,
        time_zone=found.location.time_zone,
        sequence=found.sequence,
        changed_at=found.updated_at,
        summary=f"Visit at {settings.clinic_name}",
        place=f"{found.location.name}, {found.location.address}".strip(", "),
        organizer=settings.mail_sender,
        attendee=None,
        cancelled=found.status == Status.CANCELLED,
        method="PUBLISH",
    )
