"""One appointment: who, what, when, what became of it, and the steps that are possible now."""

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.day_pages import day_of, remember_step
from server.admin.reading import read_choice, read_date, read_id, read_scope, read_text, read_version
from server.admin.series_pages import show_move_plan
from server.errors import Invalid, Stale
from server.models import Appointment
from server.services import addresses, availability, booking, directory, series, set_up, steps, visits
from server.services.availability import FreeTime
from server.services.series import Scope, Series
from server.utils import clock
from server.web.identity import current_actor
from server.web.limits import booking_limit

DAYS_AT_ONCE, TIMES_AT_ONCE = 7, 120

Answer = str | Response | tuple[str, int]


def show_appointment(appointment_id: UUID) -> str:
    actor = current_actor()
    found, events, no_shows = visits.read_with_history(appointment_id, actor=actor)
    steps_now = visits.possible_steps(found, actor=actor)
    rooms = set_up.list_rooms(location_id=found.location_id, actor=actor) if "room" in steps_now else ()
    return render_template(
        "admin/show_appointment.html",
        visit=found,
        zone=found.location.time_zone,
        state=words.state_of(found),
        steps=steps_now,
        rooms=[room for room in rooms if room.is_active or room.id in (found.room_id, found.device_id)],
        no_shows=no_shows,
        closed=addresses.closed_of(found.patient, region=found.location.country) if found.patient else {},
        history=[(event, words.history_line(event.action)) for event in events],
        board=day_of(found),
        series=_series_of(found),
    )


def take_step(appointment_id: UUID, step: str) -> Response:
    """confirm, arrive, start, complete, no-show, approve, decline, undo; only on the version that the reader saw."""

    def command() -> Appointment:
        if step == "confirm":
            return booking.confirm_appointment(appointment_id, if_version=read_version(), actor=current_actor())
        if step == "approve":
            return steps.approve_request(appointment_id, if_version=read_version(), actor=current_actor())
        if step == "decline":
            return steps.decline_request(appointment_id, if_version=read_version(), actor=current_actor())
        return steps.take_step(appointment_id, step=step, if_version=read_version(), actor=current_actor())

    return _answer(appointment_id, step, command)


def change_room(appointment_id: UUID) -> Response:
    """Into another room, or beside another device; only on the version that the reader saw."""
    return _answer(
        appointment_id,
        "room",
        lambda: booking.change_room(
            appointment_id,
            room_id=read_id("room"),
            device_id=read_id("device"),
            if_version=read_version(),
            actor=current_actor(),
        ),
    )


def show_cancel(appointment_id: UUID) -> str:
    found = visits.visit_to_change(appointment_id, action="cancel", actor=current_actor())
    return render_template(
        "admin/show_cancel.html", visit=found, zone=found.location.time_zone, series=_series_of(found)
    )


def cancel_appointment(appointment_id: UUID) -> Response:
    """This visit, or more of its series."""
    scope = read_scope()
    if scope != Scope.THIS:
        return _cancel_series(appointment_id, scope)

    def command() -> Appointment:
        return booking.cancel_appointment(
            appointment_id, reason=read_text("reason"), if_version=read_version(), actor=current_actor()
        )

    return _answer(appointment_id, "cancel", command)


def _cancel_series(appointment_id: UUID, scope: Scope) -> Response:
    found = visits.visit_to_change(appointment_id, action="cancel", actor=current_actor())
    if found.series_id is None:
        raise Invalid("This visit belongs to no series.")
    series.cancel_series(
        found.series_id, scope=scope, appointment_id=found.id, reason=read_text("reason"), actor=current_actor()
    )
    flash("The visits are cancelled. The patient gets one letter about them.", "success")
    return redirect(url_for("admin.show_series", series_id=found.series_id))


def _series_of(found: Appointment) -> Series | None:
    """The series that a visit belongs to, if any."""
    return series.read_series(found.series_id, actor=current_actor()) if found.series_id else None


def show_move(appointment_id: UUID) -> str:
    return _move_page(visits.visit_to_change(appointment_id, action="reschedule", actor=current_actor()))


@booking_limit
def move_appointment(appointment_id: UUID) -> Answer:
    """To the chosen free time; when somebody else was faster, the page again with what is free now.

    With more visits of its series the plan is shown first.
    """
    if (scope := read_scope()) != Scope.THIS:
        return show_move_plan(appointment_id, scope)
    start, practitioner_id = read_choice()
    try:
        return _answer(
            appointment_id,
            "move",
            lambda: booking.reschedule_appointment(
                appointment_id,
                start=start,
                practitioner_id=practitioner_id,
                if_version=read_version(),
                actor=current_actor(),
            ),
        )
    except (booking.SlotTaken, booking.PatientBusy, booking.RulesForbid) as refused:
        found = visits.visit_to_change(appointment_id, action="reschedule", actor=current_actor())
        return _move_page(found, refused.detail), refused.status


def _answer(appointment_id: UUID, step: str, command: Callable[[], Appointment]) -> Response:
    """Back to the board; when the visit is not as the reader saw it, to its page with the reason."""
    try:
        changed = command()
    except Stale:
        flash("Somebody else changed this visit after you opened it. This is how it stands now.", "warning")
    except booking.WrongState as refused:
        flash(refused.detail, "warning")
    except booking.SlotTaken as refused:
        if step == "move":
            raise
        flash(refused.detail, "warning")
    else:
        return remember_step(changed, step)
    return redirect(url_for("admin.show_appointment", appointment_id=appointment_id))


def _move_page(found: Appointment, refused: str = "") -> str:
    zone = found.location.time_zone
    today = clock.today(zone)
    day = max(read_date("date") or clock.local(found.start, zone).date(), today)
    practitioners = directory.practitioners(service_id=found.service_id, location_id=found.location_id)
    names = {person.id: person.name for person in practitioners}
    # No such parameter: the same practitioner as now; an empty one: anyone.
    chosen_id = read_id("practitioner") if "practitioner" in request.values else found.practitioner_id
    from_at, to_at = clock.start_of_day(day, zone), clock.start_of_day(day + timedelta(days=DAYS_AT_ONCE), zone)
    free = availability.search(
        found.service_id,
        from_at=from_at,
        to_at=to_at,
        practitioner_id=chosen_id,
        location_id=found.location_id,
        limit=TIMES_AT_ONCE,
        as_staff=True,
        ignore_id=found.id,
    )
    is_cut = len(free) == TIMES_AT_ONCE
    last_day = clock.local(free[-1].start, zone).date() if is_cut else day + timedelta(days=DAYS_AT_ONCE)
    free = [time for time in free if (time.start, time.practitioner_id) != (found.start, found.practitioner_id)]
    return render_template(
        "admin/show_move.html",
        visit=found,
        zone=zone,
        practitioners=practitioners,
        names=names,
        chosen_id=chosen_id,
        day=day,
        today=today,
        earlier=max(day - timedelta(days=DAYS_AT_ONCE), today) if day > today else None,
        later=max(last_day, day + timedelta(days=1)),
        first_noon=from_at + timedelta(hours=12),
        last_noon=to_at - timedelta(hours=12),
        free=_by_day(free, zone),
        is_cut=is_cut,
        refused=refused,
        series=_series_of(found),
    )


def _by_day(free: list[FreeTime], zone: str) -> dict[date, list[FreeTime]]:
    days: dict[date, list[FreeTime]] = {}
    for time in free:
        days.setdefault(clock.local(time.start, zone).date(), []).append(time)
    return days
