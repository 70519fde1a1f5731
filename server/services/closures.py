"""Leave, holidays and blocks. Nobody is stranded by one: it comes with a plan for every visit in the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.dialects.postgresql import Range

from server.errors import Conflict, Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import Appointment, Closure, ClosurePlanItem, Location, Practitioner, Schedule
from server.services import access, audit, carrying_out, openings, replacing, stranded
from server.services.access import Actor
from server.services.booking import lock_practitioners
from server.services.replacing import Proposal, Shut
from server.services.transaction import after_commit, atomic, retried
from server.utils import clock
from server.utils.spans import Span, without

EXTERNAL = "external"
Plan = Sequence[Mapping[str, Any]]  # {appointment_id, action, start?, practitioner_id?}


class PlanIncomplete(Conflict):
    """There are visits in the way that the plan does not say anything about; `missing`: their ids."""

    slug, title = "plan-incomplete", "The plan leaves visits out"


@dataclass(frozen=True)
class Progress:
    """How far the plan of a closure is, and what is in the way although nothing is (or can be) done about it."""

    closure: Closure
    items: Sequence[ClosurePlanItem]
    in_the_way: Sequence[Appointment]

    @property
    def done(self) -> int:
        return sum(item.state == "done" for item in self.items)

    @property
    def waiting(self) -> int:
        return sum(item.state == "waiting" for item in self.items)

    @property
    def failed(self) -> list[ClosurePlanItem]:
        return [item for item in self.items if item.state == "failed"]


def preview_closure(
    *,
    start: datetime,
    end: datetime,
    actor: Actor,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
) -> list[Proposal]:
    """What a closure would be in the way of, and a plan for it; nothing is changed. Raises Invalid, NotAllowed."""
    with atomic():
        access.demand("hours", actor=actor)
        during = _during(start, end)
        _check_whose(practitioner_id, location_id)
        found = stranded.in_the_way(during, practitioner_id=practitioner_id, location_id=location_id)
        audit.record("closure.previewed", actor=actor, object_type="Closure")
        return replacing.propose(found, Shut(during, practitioner_id, location_id))


@retried
def create_closure(
    *,
    start: datetime,
    end: datetime,
    actor: Actor,
    plan: Plan = (),
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    kind: str = "leave",
    reason: str = "",
) -> Closure:
    """Enter a closure with its plan, which a job carries out at once. Raises PlanIncomplete, Invalid, NotAllowed."""
    with atomic():
        access.demand("hours", actor=actor)
        _check_whose(practitioner_id, location_id)
        _lock(practitioner_id)
        made = Closure(
            practitioner_id=practitioner_id,
            location_id=location_id,
            during=_during(start, end),
            kind=kind,
            reason=reason,
        )
        db.session.add(made)
        db.session.flush()
        _plan(made, plan, must_cover_all=True, actor=actor)
        audit.record("closure.added", actor=actor, object_type="Closure", object_id=made.id)
        return _reload(made)


def preview_change(closure_id: UUID, changes: Mapping[str, Any], *, actor: Actor) -> list[Proposal]:
    """What a change of a closure would be in the way of beyond what is settled; nothing is changed."""
    with atomic():
        access.demand("hours", actor=actor)
        found = db.session.scalars(_visible(actor).where(Closure.id == closure_id)).one_or_none()
        if found is None:
            raise NotVisible("There is no such closure.")
        during = _changed_during(found, changes)
        audit.record("closure.previewed", actor=actor, object_type="Closure", object_id=closure_id)
        shut = Shut(during, found.practitioner_id, found.location_id)
        return replacing.propose(_unsettled(found, during), shut)


@retried
def change_closure(
    closure_id: UUID, changes: Mapping[str, Any], *, plan: Plan = (), if_version: int | None, actor: Actor
) -> Closure:
    """Other times or another reason; with other times the plan covers every visit that is newly in the way.

    A plan alone decides anew about visits that are still in the way. Raises PlanIncomplete, Stale, Conflict.
    """
    with atomic():
        changed = _locked(closure_id, if_version=if_version, actor=actor)
        if changed.kind == EXTERNAL and changes:
            raise Conflict("This comes from the practitioner's own calendar and is changed there.")
        old, new = changed.during, _changed_during(changed, changes)
        changed.during = new
        changed.reason = changes.get("reason", changed.reason)
        changed.version += 1
        db.session.flush()
        _plan(changed, plan, must_cover_all=old != new, actor=actor)
        opened = without([_span(old)], [_span(new)])
        openings.tell(
            openings.openings(practitioner_id=changed.practitioner_id, location_id=changed.location_id, spans=opened)
        )
        audit.record("closure.changed", actor=actor, object_type="Closure", object_id=changed.id)
        return _reload(changed)


@retried
def delete_closure(closure_id: UUID, *, if_version: int | None = None, actor: Actor) -> None:
    """Leave is withdrawn and its time free again; what was moved or cancelled stays so. Raises Stale, Conflict."""
    with atomic():
        removed = _locked(closure_id, if_version=if_version, actor=actor)
        if removed.kind == EXTERNAL:
            raise Conflict("This comes from the practitioner's own calendar and is removed there.")
        opened = [_span(removed.during)]
        db.session.delete(removed)
        db.session.flush()
        openings.tell(
            openings.openings(practitioner_id=removed.practitioner_id, location_id=removed.location_id, spans=opened)
        )
        audit.record("closure.removed", actor=actor, object_type="Closure", object_id=closure_id)


def list_closures(
    *,
    actor: Actor,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    kind: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    limit: int = 50,
    after: Mapping[str, str] | None = None,
) -> tuple[Sequence[Closure], dict[str, str] | None]:
    """Closures by id (the order in which they were entered); those of other calendars only when asked for.

    With a practitioner or location: those that bind them, including everybody's. For staff.
    """
    query = _visible(actor).order_by(Closure.id).limit(limit + 1)
    query = query.where(Closure.kind == kind) if kind else query.where(Closure.kind != EXTERNAL)
    if practitioner_id is not None:
        query = query.where(Closure.practitioner_id.is_(None) | (Closure.practitioner_id == practitioner_id))
    if location_id is not None:
        query = query.where(Closure.location_id.is_(None) | (Closure.location_id == location_id))
    if from_at is not None or to_at is not None:
        query = query.where(Closure.during.overlaps(Range(from_at, to_at, bounds="[)")))
    if after is not None:
        query = query.where(Closure.id > UUID(after["id"]))
    found = db.session.scalars(query).all()
    return found[:limit], {"id": str(found[limit - 1].id)} if len(found) > limit else None


def read_progress(closure_id: UUID, *, actor: Actor) -> Progress:
    """One closure, how far its plan is, and the visits that are still in its way. Raises NotVisible."""
    with atomic():
        query = _visible(actor).where(Closure.id == closure_id).execution_options(populate_existing=True)
        found = db.session.scalars(query).one_or_none()
        if found is None:
            raise NotVisible("There is no such closure.")
        items = db.session.scalars(
            select(ClosurePlanItem)
            .where(ClosurePlanItem.closure_id == found.id)
            .order_by(ClosurePlanItem.id)
            .execution_options(populate_existing=True)
        ).all()
        kept = {item.appointment_id for item in items if item.action == "keep"}
        left = [each for each in stranded.in_the_way_of(found) if each.id not in kept]
        if not actor.may("read"):
            left = [each for each in left if each.practitioner_id == actor.practitioner_id]
        audit.record("closure.read", actor=actor, object_type="Closure", object_id=found.id)
        return Progress(found, items, left)


def zone_of(*, practitioner_id: UUID | None, location_id: UUID | None) -> str:
    """On whose clocks the days of a closure are. Raises Invalid when the locations' clocks differ."""
    query = select(Location.time_zone).where(Location.is_active).order_by(Location.id)
    if location_id is not None:
        query = query.where(Location.id == location_id)
    elif practitioner_id is not None:
        own = select(Schedule.location_id).where(Schedule.practitioner_id == practitioner_id)
        query = query.where(Location.id.in_(own))
    zones = set(db.session.scalars(query))
    if not zones and practitioner_id is not None:
        return zone_of(practitioner_id=None, location_id=None)
    if len(zones) != 1:
        raise Invalid("The clocks of the locations differ. Enter it for each location by itself.")
    return zones.pop()


# --- the parts ---


def _visible(actor: Actor) -> Select[Closure]:
    """Closures that this actor may know of: staff all, practitioners those that bind them."""
    if not actor.is_staff:
        raise NotAllowed("Closures are for the staff of the clinic.")
    own: ColumnElement[bool] = true()
    if not actor.may("read"):
        own = Closure.practitioner_id.is_(None) | (Closure.practitioner_id == actor.practitioner_id)
    return select(Closure).where(own)


def _lock(practitioner_id: UUID | None) -> None:
    """Take turns with every move of these practitioners: one, or all of them."""
    if practitioner_id is not None:
        lock_practitioners(practitioner_id)
    else:
        lock_practitioners(*db.session.scalars(select(Practitioner.id)))


def _locked(closure_id: UUID, *, if_version: int | None, actor: Actor) -> Closure:
    access.demand("hours", actor=actor)
    seen = db.session.get(Closure, closure_id)
    if seen is not None:
        _lock(seen.practitioner_id)
    query = select(Closure).where(Closure.id == closure_id).with_for_update()
    found = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotVisible("There is no such closure.")
    if if_version is not None and found.version != if_version:
        raise Stale("The closure has changed since you read it. Read it again, then decide.")
    return found


def _during(start: datetime, end: datetime) -> Range[datetime]:
    if end <= start:
        raise Invalid("A closure ends after it starts.", errors={"end": ["It ends after it starts."]})
    if end <= clock.now():
        raise Invalid("This closure is over already.", errors={"end": ["This is in the past."]})
    return Range(start, end, bounds="[)")


def _span(during: Range[datetime]) -> Span:
    return cast(Span, (during.lower, during.upper))  # a CHECK says that it is bounded


def _changed_during(closure: Closure, changes: Mapping[str, Any]) -> Range[datetime]:
    if not {"start", "end"} & set(changes):
        return closure.during
    start, end = changes.get("start", closure.during.lower), changes.get("end", closure.during.upper)
    return _during(cast(datetime, start), cast(datetime, end))


def _check_whose(practitioner_id: UUID | None, location_id: UUID | None) -> None:
    for name, table, key in (
        ("practitioner_id", Practitioner, practitioner_id),
        ("location_id", Location, location_id),
    ):
        if key is not None and db.session.scalar(select(table.id).where(table.id == key)) is None:
            what = name.removesuffix("_id")
            raise Invalid(f"There is no such {what}.", errors={name: [f"There is no such {what}."]})


def _unsettled(closure: Closure, during: Range[datetime]) -> list[Appointment]:
    """Visits in the way for which nothing is decided, or what was decided failed or was no use."""
    settled = set(
        db.session.scalars(
            select(ClosurePlanItem.appointment_id).where(
                ClosurePlanItem.closure_id == closure.id,
                (ClosurePlanItem.state == "waiting") | (ClosurePlanItem.action == "keep"),
            )
        )
    )
    found = stranded.in_the_way(during, practitioner_id=closure.practitioner_id, location_id=closure.location_id)
    return [each for each in found if each.id not in settled]


def _plan(closure: Closure, plan: Plan, *, must_cover_all: bool, actor: Actor) -> None:
    """Write the items of a plan. Those about visits that are not in the way any more are left out."""
    decided = {item["appointment_id"]: item for item in plan}
    found = _unsettled(closure, closure.during)
    missing = [each for each in found if each.id not in decided]
    if missing and must_cover_all:
        visits = "1 visit is" if len(missing) == 1 else f"{len(missing)} visits are"
        raise PlanIncomplete(
            f"{visits} in the way and not in the plan. Look at the plan again.",
            missing=[str(each.id) for each in missing],
        )
    moves = []
    for each in found:
        if (item := decided.get(each.id)) is None:
            continue
        if each.is_session and item["action"] == "move":
            raise _wrong("A group session cannot be moved: keep it, or cancel it.")
        start = item.get("start") if item["action"] == "move" else None
        practitioner_id = (item.get("practitioner_id") or each.practitioner_id) if start else None
        if start is not None and practitioner_id is not None:
            if start <= clock.now():
                raise _wrong("A visit cannot be moved into the past.")
            moves.append((each, start, practitioner_id))
        carrying_out.write_item(
            closure.id, each.id, action=item["action"], start=start, practitioner_id=practitioner_id, actor=actor
        )
    if replacing.collisions(moves):
        raise _wrong("Two visits are moved to the same time of the same practitioner.")
    known = {practitioner_id for _, _, practitioner_id in moves}
    if known - set(db.session.scalars(select(Practitioner.id).where(Practitioner.id.in_(known)))):
        raise _wrong("There is no such practitioner.")
    if carrying_out.wake is not None:
        after_commit(carrying_out.wake)


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, errors={"plan": [sentence]})


def _reload(closure: Closure) -> Closure:
    return db.session.get_one(Closure, closure.id, populate_existing=True)
