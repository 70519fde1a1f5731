"""Visits that repeat: the plan before they are booked or moved, and the series as it stands."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.booking_pages import Wanted, read_wanted
from server.admin.reading import read_choice, read_number, read_replacements, read_scope, read_text
from server.errors import Invalid
from server.models import Appointment
from server.services import series, series_moves, visits
from server.services.occurrences import MAX_COUNT, MAX_WEEKS, Plan, SeriesConflict
from server.services.series import Scope
from server.web.identity import current_actor
from server.web.limits import booking_limit

Page = str | tuple[str, int]


def show_series(series_id: UUID) -> str:
    """All visits of a series, with their states."""
    found = series.read_series(series_id, actor=current_actor())
    return render_template("admin/show_series.html", series=found, state_of=words.state_of)


@booking_limit
def plan_series() -> Page:
    """Which of the visits are free, and what is proposed instead of the others."""
    return _booking_plan(read_wanted())


@booking_limit
def book_series() -> Response | Page:
    """Book what is free and what was accepted; the rest is left out, as the plan said."""
    wanted = read_wanted()
    try:
        plan = _ask(wanted, replacements=read_replacements(), skip_conflicts=True)
    except SeriesConflict as refused:
        return _booking_plan(wanted, refused.detail), refused.status
    return _done(plan, "booked")


def show_move_plan(appointment_id: UUID, scope: Scope, refused: str = "") -> str:
    """Where the visits of the scope would go when this one is moved to the time chosen on the page."""
    found = visits.visit_to_change(appointment_id, action="reschedule", actor=current_actor())
    return render_template(
        "admin/show_series_plan.html",
        title="Move the visits",
        patient=found.patient,
        what=found.service,
        plan=_move(found, scope, dry_run=True),
        fields={"choice": request.form.get("choice", ""), "scope": scope.value},
        action=url_for("admin.move_series", appointment_id=found.id),
        submit="Move these visits",
        left_out="stays where it is",
        back=url_for("admin.show_move", appointment_id=found.id),
        refused=refused,
    )


@booking_limit
def move_series(appointment_id: UUID) -> Response | Page:
    """Move what can be moved and what was accepted; the rest stays, as the plan said."""
    found = visits.visit_to_change(appointment_id, action="reschedule", actor=current_actor())
    scope = read_scope()
    try:
        plan = _move(found, scope, replacements=read_replacements(), skip_conflicts=True)
    except SeriesConflict as refused:
        return show_move_plan(appointment_id, scope, refused.detail), refused.status
    return _done(plan, "moved")


def _ask(wanted: Wanted, **over: Any) -> Plan:
    if not (wanted.patient and wanted.practitioner and wanted.service and wanted.start):
        raise Invalid("Choose a patient, a practitioner, a service and a time.")
    return series.book_series(
        service_id=wanted.service.id,
        practitioner_id=wanted.practitioner.id,
        location_id=wanted.location.id,
        patient_id=wanted.patient.id,
        start=wanted.start,
        every_n_weeks=read_number("every_n_weeks", most=MAX_WEEKS),
        count=read_number("count", most=MAX_COUNT),
        reason=read_text("reason"),
        actor=current_actor(),
        **over,
    )


def _move(found: Appointment, scope: Scope, **over: Any) -> Plan:
    if found.series_id is None:
        raise Invalid("This visit belongs to no series.")
    start, practitioner_id = read_choice()
    return series_moves.move_series(
        found.series_id,
        scope=scope,
        appointment_id=found.id,
        start=start,
        practitioner_id=practitioner_id if practitioner_id != found.practitioner_id else None,
        actor=current_actor(),
        **over,
    )


def _booking_plan(wanted: Wanted, refused: str = "") -> str:
    plan = _ask(wanted, dry_run=True)
    repeat = {name: request.form.get(name, "") for name in ("every_n_weeks", "count", "reason")}
    return render_template(
        "admin/show_series_plan.html",
        title="Repeat the visit",
        patient=wanted.patient,
        what=wanted.service,
        plan=plan,
        fields={**wanted.fields(date=None), **repeat},
        action=url_for("admin.book_series"),
        submit="Book these visits",
        left_out="is left out",
        back=f"{url_for('admin.show_booking', **wanted.fields())}#book",
        refused=refused,
    )


def _done(plan: Plan, what: str) -> Response:
    done, asked = sum(each.is_free for each in plan.occurrences), len(plan.occurrences)
    if done == asked:
        flash(f"All {done} visits are {what}." if done > 1 else f"The visit is {what}.", "success")
    else:
        flash(f"{done} of {asked} visits are {what}. The others were not free.", "warning")
    return redirect(url_for("admin.show_series", series_id=plan.id))
