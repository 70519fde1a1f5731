"""What the pages of leave and closures share: the days and the plan of their forms, and names for what is shown."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from flask import request

from server.admin.reading import read_date, read_start, read_time
from server.errors import Invalid
from server.models import Closure
from server.services import closures, directory
from server.utils import clock
from server.utils.text import clean_line
from server.web.forms import read_uuid

MAX_REASON = 200


def read_reason() -> str:
    """The note of the form. Raises Invalid when it is too long."""
    reason = clean_line(request.form.get("reason", ""))
    if len(reason) > MAX_REASON:
        raise Invalid(f"A reason has at most {MAX_REASON} characters.")
    return reason


def read_days(zone: str) -> tuple[datetime, datetime]:
    """Which days (the last one included), between which times, on the clocks of `zone`. Raises Invalid."""
    first, last = read_date("first"), read_date("last") or read_date("first")
    if first is None or last is None:
        raise Invalid("Say from which day on.")
    ends_at = read_time("ends_at")
    end = _instant(last, ends_at, zone) if ends_at else clock.start_of_day(last + timedelta(days=1), zone)
    return _instant(first, read_time("starts_at") or time.min, zone), end


def as_days(closure: Closure, zone: str) -> dict[str, str]:
    """The same the other way round: the fields of the form as the closure stands."""
    assert closure.during.lower  # a CHECK says that it is bounded
    assert closure.during.upper
    start, end = clock.local(closure.during.lower, zone), clock.local(closure.during.upper, zone)
    ends_at_midnight = end.time() == time.min
    return {
        "first": str(start.date()),
        "last": str(end.date() - timedelta(days=1) if ends_at_midnight else end.date()),
        "starts_at": "" if start.time() == time.min else f"{start:%H:%M}",
        "ends_at": "" if ends_at_midnight else f"{end:%H:%M}",
        "reason": closure.reason,
    }


def _instant(day: date, at: time, zone: str) -> datetime:
    return clock.to_instant(datetime.combine(day, at), zone)


def read_plan() -> list[dict[str, Any]]:
    """What was chosen for each visit: "action-<id>", and for a move "to-<id>" as "<instant> <practitioner id>"."""
    plan = []
    for name, action in request.form.items():
        if not name.startswith("action-") or (visit_id := read_uuid(name.removeprefix("action-"))) is None:
            continue
        if action not in ("keep", "move", "cancel"):
            raise Invalid("Choose what becomes of each visit.")
        item: dict[str, Any] = {"appointment_id": visit_id, "action": action}
        if action == "move":
            start, _, practitioner_id = request.form.get(f"to-{visit_id}", "").partition(" ")
            item |= {"start": read_start(start, "UTC"), "practitioner_id": read_uuid(practitioner_id)}
            if item["start"] is None or item["practitioner_id"] is None:
                raise Invalid("Choose a time for each visit that is moved.")
        plan.append(item)
    return plan


def names_of() -> dict[UUID, str]:
    """Of practitioners and locations."""
    people = {each.id: each.name for each in directory.practitioners()}
    return people | {each.id: each.name for each in directory.locations()}


def who_of(practitioner_id: UUID | None, location_id: UUID | None) -> str:
    names = names_of()
    who = [names.get(key, "Somebody who has left") for key in (practitioner_id, location_id) if key]
    return ", ".join(who) or "Everybody"


def zone_of(closure: Closure) -> str:
    try:
        return closures.zone_of(practitioner_id=closure.practitioner_id, location_id=closure.location_id)
    except Invalid:  # of everybody, in several zones
        return "UTC"
