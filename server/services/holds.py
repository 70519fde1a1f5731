"""Holds of one person: the time they are choosing, and choosing another one instead."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text

from server.extensions import db
from server.models import Appointment, Status
from server.services import access, audit, booking
from server.services.access import Actor
from server.services.transaction import atomic, retried


def current_holds(actor: Actor) -> Sequence[Appointment]:
    """What this person (or browser) holds at this moment, newest first, with names."""
    owners = [owner for owner in (actor.user_id, actor.visitor_id) if owner]
    if not owners:
        return []
    return db.session.scalars(
        select(Appointment)
        .where(
            Appointment.status == Status.PROPOSED,
            Appointment.hold_owner_id.in_(owners),
            Appointment.hold_expires_at > text("clock_timestamp()"),
        )
        .options(*access.WITH_NAMES)
        .order_by(Appointment.id.desc())
    ).all()


@retried
def choose_time(
    *,
    service_id: UUID,
    practitioner_id: UUID,
    start: datetime,
    minutes: int,
    actor: Actor,
    location_id: UUID | None = None,
) -> Appointment:
    """Hold a time instead of whatever this person held before.

    One transaction: when the new time is taken, the earlier one is still held. Raises what `hold_time` does.
    """
    with atomic():
        for earlier_id in [held.id for held in current_holds(actor)]:
            db.session.execute(
                delete(Appointment).where(Appointment.id == earlier_id, Appointment.status == Status.PROPOSED)
            )
            audit.record("hold.released", actor=actor, object_type="Appointment", object_id=earlier_id)
        return booking.hold_time(
            service_id=service_id,
            practitioner_id=practitioner_id,
            start=start,
            minutes=minutes,
            actor=actor,
            location_id=location_id,
        )
