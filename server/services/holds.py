"""Holds: a time kept for somebody while they decide; and choosing another one instead."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import delete, func, select, text

from server.errors import Conflict, Invalid, NotVisible
from server.extensions import db
from server.models import Appointment, Status
from server.services import access, audit, availability, occupancy, rules
from server.services.access import Actor
from server.services.occupancy import IS_HOLD
from server.services.transaction import atomic, retried

MAX_HOLDS = 2


class TooManyHolds(Conflict):
    """A person holds two times at most."""

    slug, title = "too-many-holds", "Too many times are held"


@retried
def hold_time(
    *,
    service_id: UUID,
    practitioner_id: UUID,
    start: datetime,
    minutes: int,
    actor: Actor,
    location_id: UUID | None = None,
    patient_id: UUID | None = None,
) -> Appointment:
    """Keep a time for `minutes` while its owner decides; it ends by the database's clock.

    Raises SlotTaken, RulesForbid, TooManyHolds (two for one person).
    """
    owner_id = actor.user_id or actor.visitor_id
    if owner_id is None:
        raise access.Unauthenticated()
    with atomic():
        if patient_id is not None:
            access.patient_id_for(patient_id, actor=actor, to="book")
        facts = partial(
            availability.facts, service_id, practitioner_id=practitioner_id, start=start, location_id=location_id
        )
        found = facts()
        rules.check(found, start=start, actor=actor)
        # Two requests of one owner take turns here, so the count cannot be overtaken.
        db.session.execute(select(func.pg_advisory_xact_lock(owner_id.int % 2**63)))
        owners = [owner for owner in (actor.user_id, actor.visitor_id) if owner]
        held = db.session.scalar(
            select(func.count()).where(
                Appointment.hold_owner_id.in_(owners),
                IS_HOLD,
                Appointment.hold_expires_at > text("clock_timestamp()"),
            )
        )
        if (held or 0) >= MAX_HOLDS:
            raise TooManyHolds(f"You hold {MAX_HOLDS} times already. Book one of them or let it go first.")
        row = occupancy.insert_in_any_room(
            found,
            facts=facts,
            status=Status.PROPOSED,
            patient_id=None,
            hold_minutes=minutes,
            hold_owner_id=owner_id,
            actor=actor,
            action="hold.made",
        )
        return row if row is not None else occupancy.refuse(found, start=start, patient_id=None, actor=actor)


@retried
def release_hold(hold_id: UUID, *, actor: Actor) -> None:
    """Give a held time back. Raises NotVisible when it is not the actor's or has expired."""
    with atomic():
        held = access.hold(hold_id, actor=actor)
        db.session.execute(delete(Appointment).where(Appointment.id == held.id))
        audit.record("hold.released", actor=actor, object_type="Appointment", object_id=hold_id)


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
        return hold_time(
            service_id=service_id,
            practitioner_id=practitioner_id,
            start=start,
            minutes=minutes,
            actor=actor,
            location_id=location_id,
        )


def give_up_for(hold_id: UUID, *, service_id: UUID, practitioner_id: UUID, start: datetime, actor: Actor) -> None:
    """Give up the hold inside this transaction, so that the booking's INSERT finds the time free.

    Nobody else sees the gap: until the commit, others wait for this transaction or find the time taken.
    """
    try:
        held = access.hold(hold_id, actor=actor)
    except NotVisible:
        return  # it has expired: the time may still be free, and the INSERT will tell
    if (held.service_id, held.practitioner_id, held.start) != (service_id, practitioner_id, start):
        raise Invalid("The hold is for another time.", errors={"hold_id": ["This hold is for another time."]})
    db.session.execute(delete(Appointment).where(Appointment.id == held.id))
    db.session.expunge(held)
