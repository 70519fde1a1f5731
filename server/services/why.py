"""Why a time is not free: to everybody which rule, to staff also what stands in the way."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from server.errors import NotVisible
from server.extensions import db
from server.models import OCCUPIES
from server.services import access, audit, availability, rules
from server.services.access import Actor
from server.services.availability import Found, Reason
from server.services.transaction import atomic
from server.utils import clock


def explain(
    service_id: UUID,
    *,
    practitioner_id: UUID,
    start: datetime,
    actor: Actor,
    location_id: UUID | None = None,
    patient_id: UUID | None = None,
) -> list[Reason]:
    """Why this start is not free; empty when it is.

    A `start` without offset is wall time at the location: one that a clock change skips is answered with
    `clock-change`. With a patient (the actor's own, or for staff any) their limits are asked, too.
    """
    with atomic():
        if patient_id is not None:
            patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        if start.tzinfo is None:
            anywhere = start.replace(tzinfo=clock.now().tzinfo)
            zone = _facts(service_id, practitioner_id, anywhere, location_id).time_zone or "UTC"
            if not clock.exists(start, zone):
                return [Reason("clock-change", f"The clocks in {zone} skip this time that day.")]
            start = clock.to_instant(start, zone)
        found = _facts(service_id, practitioner_id, start, location_id)
        reasons = availability.reasons(found, start=start, actor=actor)
        if patient_id is not None:
            reasons += rules.against_patient(found, start=start, patient_id=patient_id, actor=actor)
        if reasons and actor.may("read"):
            reasons = _with_blocking(reasons, found)
            audit.record("availability.explained", actor=actor, patient_id=patient_id)
    return reasons


def _facts(service_id: UUID, practitioner_id: UUID, start: datetime, location_id: UUID | None) -> Found:
    found = availability.facts(service_id, practitioner_id=practitioner_id, start=start, location_id=location_id)
    if location_id is not None and found.place_id is None:
        raise NotVisible("There is no such location.")
    return found


# What lies in the way of one start: closures, and appointments of the practitioner or in the rooms that it could use.
_BLOCKING = text(f"""
    SELECT CASE c.kind WHEN 'external' THEN 'busy' ELSE 'closure' END AS code, 'Closure' AS type,
           c.id, c.during AS span, c.kind AS state
      FROM closures c
     WHERE c.during && :during AND (c.practitioner_id IS NULL OR c.practitioner_id = :practitioner_id)
       AND (c.location_id IS NULL OR c.location_id = :location_id)
     UNION ALL
    SELECT CASE WHEN a.occupied && :during THEN 'busy' ELSE 'buffer' END, 'Appointment', a.id, a.during, a.status
      FROM appointments a
     WHERE a.practitioner_id = :practitioner_id AND a.occupied && :occupied AND a.{OCCUPIES}
     UNION ALL
    SELECT DISTINCT 'room', 'Appointment', a.id, a.during, a.status
      FROM appointments a JOIN rooms r ON r.id IN (a.room_id, a.device_id)
     WHERE a.occupied && :occupied AND a.{OCCUPIES} AND r.location_id = :location_id
       AND (r.id = CAST(:room_id AS uuid) OR r.kind IN (:room_kind, :device_kind))
     ORDER BY 1, 4
""")  # noqa: S608 - joins its own constants; every value is a bound parameter


def _with_blocking(reasons: Iterable[Reason], found: Found) -> list[Reason]:
    """The same reasons, each with what stands in its way; a rule is blocked by the service that it belongs to."""
    rows = db.session.execute(
        _BLOCKING,
        {
            "during": found.during,
            "occupied": found.occupied,
            "practitioner_id": found.practitioner_id,
            "location_id": found.place_id,
            "room_id": found.room_id,
            "room_kind": found.room_kind or "",
            "device_kind": found.device_kind or "",
        },
    ).all()
    by_code: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_code.setdefault(row.code, []).append(
            {
                "type": row.type,
                "id": str(row.id),
                "start": availability.as_instant(row.span.lower),
                "end": availability.as_instant(row.span.upper),
                "state": row.state,
            }
        )
    rule = {"type": "HealthcareService", "id": str(found.id)}
    return [replace(reason, blocking=tuple(by_code.get(reason.code, [rule]))) for reason in reasons]
