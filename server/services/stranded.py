"""Visits that lie where nobody will be: in a closure, or outside of the hours. Computed, so that none is missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import Range

from server.errors import NotAllowed
from server.extensions import db
from server.models import Appointment, Closure
from server.services import access, audit
from server.services.access import Actor
from server.services.opening_hours import HOURS_OF_APPOINTMENT
from server.services.rules import OPEN
from server.services.transaction import atomic

START = func.lower(Appointment.during)
# Open visits that lie ahead. The seats of a group session go wherever the session goes.
AHEAD = (Appointment.status.in_(OPEN), func.statement_timestamp() < START, Appointment.lane <= 0)

# The very same in SQL.
_AHEAD = "a.status IN ('pending', 'booked') AND lower(a.during) > statement_timestamp() AND a.lane <= 0"
_OUTSIDE = f"NOT EXISTS (SELECT FROM ({HOURS_OF_APPOINTMENT}) AS h WHERE h.hours @> a.during)"

# What staff have put there on purpose, with a reason, is not stranded, nor what a plan keeps. Any other plan that was
# carried out took the visit out of the way; if it is in the way again (a no-show taken back), it is stranded again.
_STRANDED = text(f"""
    SELECT a.id, coalesce(shut.kind, 'hours') AS cause, shut.id AS closure_id, shut.state, shut.detail
      FROM appointments a
      LEFT JOIN LATERAL (
        SELECT c.id, c.kind, i.state, i.detail
          FROM closures c
          LEFT JOIN closure_plan_items i ON i.closure_id = c.id AND i.appointment_id = a.id
         WHERE c.during && a.during
           AND (c.practitioner_id IS NULL OR c.practitioner_id = a.practitioner_id)
           AND (c.location_id IS NULL OR c.location_id = a.location_id)
           AND i.action IS DISTINCT FROM 'keep'
           AND NOT (a.override_reason <> '' AND a.created_at > c.created_at)
         ORDER BY c.kind = 'external', c.id LIMIT 1) AS shut ON true
     WHERE {_AHEAD}
       AND (CAST(:practitioner_id AS uuid) IS NULL OR a.practitioner_id = :practitioner_id)
       AND (CAST(:after_start AS timestamptz) IS NULL OR (lower(a.during), a.id) > (:after_start, :after_id))
       AND (shut.id IS NOT NULL OR (a.override_reason = '' AND {_OUTSIDE}))
     ORDER BY lower(a.during), a.id
     LIMIT :limit
""")  # noqa: S608 - joins its own constants; every value is a bound parameter
_OUTSIDE_HOURS = text(f"""
    SELECT a.id FROM appointments a WHERE {_AHEAD} AND a.practitioner_id = :practitioner_id AND {_OUTSIDE}
""")  # noqa: S608 - as above


@dataclass(frozen=True)
class Stranded:
    """One appointment and what is in its way: `hours`, or the kind of a closure, and how its plan went."""

    appointment: Appointment
    cause: str
    closure_id: UUID | None
    state: str | None
    detail: str


def list_stranded(
    *, actor: Actor, limit: int = 50, after: Mapping[str, str] | None = None
) -> tuple[list[Stranded], dict[str, str] | None]:
    """Stranded appointments by start, and where the next page starts. Practitioners see their own."""
    with atomic():
        if not actor.is_staff:
            raise NotAllowed("This list is for the staff of the clinic.")
        rows = db.session.execute(
            _STRANDED,
            {
                "practitioner_id": None if actor.may("read") else actor.practitioner_id,
                "after_start": datetime.fromisoformat(after["start"]) if after else None,
                "after_id": UUID(after["id"]) if after else None,
                "limit": limit + 1,
                "location_id": None,
            },
        ).all()
        by_id = {found.id: found for found in read([row.id for row in rows[:limit]])}
        audit.record("appointments.listed", actor=actor, object_type="Appointment")
    listed = [
        Stranded(by_id[row.id], row.cause, row.closure_id, row.state, row.detail or "")
        for row in rows[:limit]
        if row.id in by_id
    ]
    if len(rows) <= limit or not listed:
        return listed, None
    last = listed[-1].appointment
    return listed, {"start": last.start.isoformat(), "id": str(last.id)}


def ids_outside_hours(practitioner_id: UUID) -> set[UUID]:
    """Open visits of one practitioner, ahead, outside of the hours for them."""
    values = {"practitioner_id": practitioner_id, "location_id": None}
    return set(db.session.scalars(_OUTSIDE_HOURS, values))


def in_the_way(
    during: Range[datetime], *, practitioner_id: UUID | None, location_id: UUID | None
) -> Sequence[Appointment]:
    """Open visits, ahead, that a closure of this practitioner and location (None: all) would strand; by start."""
    query = select(Appointment).where(*AHEAD, Appointment.during.overlaps(during))
    if practitioner_id is not None:
        query = query.where(Appointment.practitioner_id == practitioner_id)
    if location_id is not None:
        query = query.where(Appointment.location_id == location_id)
    return _read(query)


def in_the_way_of(closure: Closure) -> Sequence[Appointment]:
    """The same for a closure that is there."""
    return in_the_way(closure.during, practitioner_id=closure.practitioner_id, location_id=closure.location_id)


def read(ids: Sequence[UUID]) -> Sequence[Appointment]:
    """These appointments by start, with their names."""
    return _read(select(Appointment).where(Appointment.id.in_(ids)))


def _read(query: Any) -> Sequence[Appointment]:
    fresh = query.options(*access.WITH_NAMES).order_by(START, Appointment.id).execution_options(populate_existing=True)
    return db.session.scalars(fresh).all()
