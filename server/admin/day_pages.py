"""The day at one location: the board of the front desk, and of a practitioner their own column."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import redirect, render_template, session, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.board import agenda, count, lay_out
from server.admin.reading import read_date, read_id
from server.errors import NotVisible
from server.models import Appointment, Location
from server.services import directory, visits
from server.utils import clock
from server.web.identity import current_actor


def go_to_today() -> Response:
    """The day that it is at the location last looked at."""
    locations = visits.locations_of(current_actor())
    if not locations:
        return redirect(url_for("admin.show_day"))
    location = _chosen(locations, None)
    return redirect(url_for("admin.show_day", location=location.id, date=clock.today(location.time_zone)))


def show_day() -> str:
    """The board: who comes to whom, and when, on the location's clocks."""
    actor = current_actor()
    locations = visits.locations_of(actor)
    if not locations:
        return render_template("admin/no_location.html")
    location = _chosen(locations, read_id("location"))
    session["location"] = str(location.id)
    zone = location.time_zone
    today = clock.today(zone)
    day = read_date("date") or today
    bounds = clock.day_bounds(day, zone)
    found, days = visits.day_at_location(location.id, from_at=bounds[0], to_at=bounds[1], actor=actor)
    now = clock.now()
    return render_template(
        "admin/show_day.html",
        locations=locations,
        location=location,
        zone=zone,
        day=day,
        today=today,
        noon=bounds[0] + timedelta(hours=12),
        previous=day - timedelta(days=1),
        next=day + timedelta(days=1),
        clocks_change=bounds[1] - bounds[0] != timedelta(days=1),
        board=lay_out(found, days, bounds=bounds, zone=zone, now=now, may_book=actor.may("book")),
        agenda=agenda(found, days, bounds=bounds, now=now),
        bounds=bounds,
        counts=count(found),
        now=now,
        is_today=day == today,
        last=_last_step(found),
        legend=words.LEGEND,
    )


def remember_step(appointment: Appointment, step: str) -> Response:
    """Back to the board at the appointment's day, which says what was done and offers to undo it."""
    # Ids only: the session is kept in Redis, where no patient's name belongs.
    session["last_step"] = {"id": str(appointment.id), "step": step}
    return redirect(url_for("admin.show_day", **day_of(appointment)))


def day_of(appointment: Appointment) -> dict[str, Any]:
    """The parameters of the board that shows the appointment."""
    location = appointment.location or directory.location(appointment.location_id)  # just booked: names are not loaded
    return {"location": location.id, "date": clock.local(appointment.start, location.time_zone).date()}


def _chosen(locations: Sequence[Location], wanted: UUID | None) -> Location:
    """The location asked for, or the one last looked at, or the first. Raises NotVisible for an unknown one."""
    by_id = {str(location.id): location for location in locations}
    if wanted is not None:
        if str(wanted) not in by_id:
            raise NotVisible("There is no such location.")
        return by_id[str(wanted)]
    return by_id.get(session.get("location", ""), locations[0])


def _last_step(found: Sequence[Appointment]) -> dict[str, Any] | None:
    """What was done on the page before, with its appointment when that is on this board. Said once."""
    last = session.pop("last_step", None)
    if last is None:
        return None
    visit = next((visit for visit in found if str(visit.id) == last["id"]), None)
    return {
        "said": words.STEP_DONE[last["step"]],
        "visit": visit,
        "may_undo": visit is not None and last["step"] in ("arrive", "complete", "no-show"),
    }
