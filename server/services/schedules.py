"""Weekly hours and extra openings: who is where, when, for what. What a change would strand is answered with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from server.errors import Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import Appointment, HealthcareService, Location, Practitioner, Room, Schedule
from server.services import access, audit, directory, openings, stranded
from server.services.access import Actor
from server.services.booking import lock_practitioners
from server.services.transaction import after_commit, atomic, retried

WITH_NAMES = (
    joinedload(Schedule.practitioner),
    joinedload(Schedule.location),
    joinedload(Schedule.room),
    selectinload(Schedule.services),
)


@dataclass(frozen=True)
class Changed:
    """Hours after a change (or as they were before they were removed), and the visits that now lie outside of any."""

    schedule: Schedule
    outside_hours: Sequence[Appointment]


def list_schedules(
    *,
    actor: Actor,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    limit: int = 50,
    after: Mapping[str, str] | None = None,
) -> tuple[Sequence[Schedule], dict[str, str] | None]:
    """Hours in the order in which they were entered, and where the next page starts. For staff."""
    if not actor.is_staff:
        raise NotAllowed("Hours are for the staff of the clinic; free times are for everybody.")
    query = select(Schedule).options(*WITH_NAMES).order_by(Schedule.id).limit(limit + 1)
    if practitioner_id is not None:
        query = query.where(Schedule.practitioner_id == practitioner_id)
    if location_id is not None:
        query = query.where(Schedule.location_id == location_id)
    if after is not None:
        query = query.where(Schedule.id > UUID(after["id"]))
    found = db.session.scalars(query).all()
    return found[:limit], {"id": str(found[limit - 1].id)} if len(found) > limit else None


def read_schedule(schedule_id: UUID, *, actor: Actor) -> Schedule:
    """One row of hours. Raises NotVisible."""
    found = db.session.get(Schedule, schedule_id, options=WITH_NAMES) if actor.is_staff else None
    if found is None:
        raise NotVisible("There are no such hours.")
    return found


@retried
def create_schedule(*, practitioner_id: UUID, service_ids: Iterable[UUID], actor: Actor, **values: Any) -> Schedule:
    """New hours; for one date they are an extra opening (`valid_from` = `valid_until`, its weekday).

    Raises NotAllowed, Invalid.
    """
    with atomic():
        access.demand("hours", actor=actor)
        lock_practitioners(practitioner_id)
        before = openings.openings(practitioner_id=practitioner_id)
        made = Schedule(practitioner_id=practitioner_id, **values)
        _check(made)
        made.services = _services(service_ids)
        db.session.add(made)
        _flush()
        openings.tell(openings.openings(practitioner_id=practitioner_id), before=before)
        _record("schedule.added", made, actor)
        return _reload(made)


@retried
def change_schedule(schedule_id: UUID, changes: Mapping[str, Any], *, if_version: int | None, actor: Actor) -> Changed:
    """Change hours. The visits that then lie outside of any hours stay, and are answered. Raises Stale, Invalid."""
    with atomic():
        changed = _locked(schedule_id, if_version=if_version, actor=actor)
        before = openings.openings(practitioner_id=changed.practitioner_id)
        outside = stranded.ids_outside_hours(changed.practitioner_id)
        with db.session.no_autoflush:  # our sentences first, the database's refusal only after them
            for name, value in changes.items():
                if name == "service_ids":
                    changed.services = _services(value)
                else:
                    setattr(changed, name, value)
            _check(changed)
        changed.version += 1
        _flush()
        openings.tell(openings.openings(practitioner_id=changed.practitioner_id), before=before)
        _record("schedule.changed", changed, actor)
        return Changed(_reload(changed), _newly_outside(changed.practitioner_id, outside))


@retried
def delete_schedule(schedule_id: UUID, *, if_version: int | None = None, actor: Actor) -> Changed:
    """Remove hours; the visits that then lie outside of any stay, and are answered. Raises Stale."""
    with atomic():
        removed = _reload(_locked(schedule_id, if_version=if_version, actor=actor))
        outside = stranded.ids_outside_hours(removed.practitioner_id)
        _record("schedule.removed", removed, actor)
        db.session.delete(removed)
        db.session.flush()
        return Changed(removed, _newly_outside(removed.practitioner_id, outside))


def _locked(schedule_id: UUID, *, if_version: int | None, actor: Actor) -> Schedule:
    """The row, after its practitioner; for those who may change hours."""
    access.demand("hours", actor=actor)
    practitioner_id = db.session.scalar(select(Schedule.practitioner_id).where(Schedule.id == schedule_id))
    if practitioner_id is not None:
        lock_practitioners(practitioner_id)
    query = select(Schedule).where(Schedule.id == schedule_id).with_for_update()
    found = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotVisible("There are no such hours.")
    if if_version is not None and found.version != if_version:
        raise Stale("The hours have changed since you read them. Read them again, then decide.")
    return found


def _newly_outside(practitioner_id: UUID, before: set[UUID]) -> Sequence[Appointment]:
    return stranded.read(list(stranded.ids_outside_hours(practitioner_id) - before))


def _services(service_ids: Iterable[UUID]) -> list[HealthcareService]:
    wanted = set(service_ids)
    query = select(HealthcareService).where(HealthcareService.id.in_(wanted), HealthcareService.is_active)
    found = list(db.session.scalars(query))
    if len(found) < len(wanted):
        raise Invalid("There is no such service.", errors={"service_ids": ["There is no such service."]})
    return found


def _check(row: Schedule) -> None:
    """What a person can get wrong, each with its sentence beside the field. Raises Invalid."""
    errors = _errors(row)
    if errors:
        raise Invalid(" ".join(sentences[0] for sentences in errors.values()), errors=errors)


def _errors(row: Schedule) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for name, table, key in (
        ("practitioner_id", Practitioner, row.practitioner_id),
        ("location_id", Location, row.location_id),
    ):
        if db.session.scalar(select(table.id).where(table.id == key, table.is_active)) is None:
            errors[name] = [f"There is no such {name.removesuffix('_id')}."]
    room = select(Room.id).where(Room.id == row.room_id, Room.location_id == row.location_id, Room.is_active)
    if row.room_id is not None and db.session.scalar(room.where(~Room.is_device)) is None:
        errors["room_id"] = ["There is no such room at this location."]
    if row.ends_at <= row.starts_at:
        errors["ends_at"] = ["Hours end after they start; hours past midnight are two entries."]
    if row.valid_until is not None and row.valid_until < row.valid_from:
        errors["valid_until"] = ["The last day is not before the first."]
    return errors


def _flush() -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        raise Invalid("These hours break a rule of hours.", errors={"_": ["Look at the values again."]}) from error


def _record(action: str, schedule: Schedule, actor: Actor) -> None:
    audit.record(action, actor=actor, object_type="Schedule", object_id=schedule.id)
    if directory.forget is not None:
        after_commit(directory.forget)


def _reload(schedule: Schedule) -> Schedule:
    return db.session.get_one(Schedule, schedule.id, options=WITH_NAMES, populate_existing=True)
