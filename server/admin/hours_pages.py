"""Hours of one practitioner: a plain table of the week, extra openings, and the form for both."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin.reading import read_date, read_id, read_time, read_version
from server.errors import Invalid, Stale
from server.models import Practitioner, Schedule
from server.services import directory, schedules
from server.utils import clock
from server.web.forms import read_uuid
from server.web.identity import current_actor

WEEKDAYS = {
    1: "Monday",
    2: "Tuesday",
    3: "Wednesday",
    4: "Thursday",
    5: "Friday",
    6: "Saturday",
    7: "Sunday",
}
ROWS = 200  # of one practitioner

Page = str | Response | tuple[str, int]


def show_hours() -> Page:
    return _page()


def add_hours() -> Page:
    chosen = _chosen()
    try:
        values = _read_hours()
        if (on := read_date("on")) is not None:
            values |= {"weekday": on.isoweekday(), "valid_from": on, "valid_until": on, "every_n_weeks": 1}
        schedules.create_schedule(practitioner_id=chosen.id, **values, actor=current_actor())
    except Invalid as refused:
        return _page(refused.detail), refused.status
    flash("The hours are entered.", "success")
    return redirect(url_for("admin.show_hours", practitioner=chosen.id))


def show_change_hours(schedule_id: UUID) -> Page:
    return _change_page(schedules.read_schedule(schedule_id, actor=current_actor()))


def change_hours(schedule_id: UUID) -> Page:
    try:
        changed = schedules.change_schedule(
            schedule_id, _read_hours(), if_version=read_version(), actor=current_actor()
        )
    except Invalid as refused:
        found = schedules.read_schedule(schedule_id, actor=current_actor())
        return _change_page(found, refused.detail), refused.status
    except Stale:
        return _changed_meanwhile(schedule_id)
    return _done("The hours are changed.", changed)


def remove_hours(schedule_id: UUID) -> Page:
    try:
        removed = schedules.delete_schedule(schedule_id, if_version=read_version(), actor=current_actor())
    except Stale:
        return _changed_meanwhile(schedule_id)
    return _done("The hours are removed.", removed)


def _changed_meanwhile(schedule_id: UUID) -> Response:
    flash("Somebody else changed these hours after you opened them. This is how they stand now.", "warning")
    return redirect(url_for("admin.show_change_hours", schedule_id=schedule_id))


def _done(sentence: str, changed: schedules.Changed) -> Response:
    flash(sentence, "success")
    if count := len(changed.outside_hours):
        visits = "1 visit now lies" if count == 1 else f"{count} visits now lie"
        flash(f"{visits} outside of the hours. Decide what becomes of them.", "warning")
        return redirect(url_for("admin.list_stranded_visits"))
    return redirect(url_for("admin.show_hours", practitioner=changed.schedule.practitioner_id))


def _chosen() -> Practitioner:
    """The practitioner asked for, the reader's own hours, or the first by name."""
    wanted = read_id("practitioner") or current_actor().practitioner_id
    return directory.practitioner(wanted) if wanted else next(iter(directory.practitioners()))


def _page(refused: str = "") -> str:
    actor = current_actor()
    practitioners = directory.practitioners()
    if not practitioners:
        return render_template("admin/no_location.html")
    chosen = _chosen()
    found, _ = schedules.list_schedules(actor=actor, practitioner_id=chosen.id, limit=ROWS)
    locations = directory.locations()
    rows = sorted(found, key=lambda row: (row.weekday, row.starts_at, row.valid_from))
    return render_template(
        "admin/show_hours.html",
        practitioners=practitioners,
        chosen=chosen,
        weekly=[row for row in rows if row.valid_until != row.valid_from],
        extra=sorted((row for row in rows if row.valid_until == row.valid_from), key=lambda row: row.valid_from),
        weekdays=WEEKDAYS,
        may_change=actor.may("hours"),
        refused=refused,
        form=request.form,
        picked=request.form.getlist("service"),
        today=clock.today(locations[0].time_zone) if locations else "",
        locations=locations,
        services=directory.services(),
    )


def _change_page(found: Schedule, refused: str = "") -> str:
    form: Any = {
        "location": str(found.location_id),
        "weekday": str(found.weekday),
        "starts_at": f"{found.starts_at:%H:%M}",
        "ends_at": f"{found.ends_at:%H:%M}",
        "valid_from": found.valid_from,
        "valid_until": found.valid_until or "",
        "every_n_weeks": found.every_n_weeks,
    }
    return render_template(
        "admin/show_change_hours.html",
        schedule=found,
        weekdays=WEEKDAYS,
        refused=refused,
        form=request.form if refused else form,
        picked=request.form.getlist("service") if refused else [str(service.id) for service in found.services],
        locations=directory.locations(),
        services=directory.services(),
        may_change=current_actor().may("hours"),
    )


def _read_hours() -> dict[str, Any]:
    """What the form says, for one weekday. Raises Invalid."""
    starts_at, ends_at = read_time("starts_at"), read_time("ends_at")
    location_id, valid_from = read_id("location"), read_date("valid_from") or read_date("on")
    if starts_at is None or ends_at is None:
        raise Invalid("Say from when to when.")
    if location_id is None or valid_from is None:
        raise Invalid("Say where, and from which day on.")
    service_ids = [read_uuid(value) for value in request.form.getlist("service")]
    if not service_ids or None in service_ids:
        raise Invalid("Choose at least one service.")
    return {
        "location_id": location_id,
        "weekday": _number("weekday", 1, 7),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "valid_from": valid_from,
        "valid_until": read_date("valid_until"),
        "every_n_weeks": _number("every_n_weeks", 1, 52),
        "service_ids": service_ids,
    }


def _number(name: str, lowest: int, highest: int) -> int:
    value = request.form.get(name, "") or "1"
    if not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
        raise Invalid(f"Choose a number from {lowest} to {highest}.")
    return int(value)
