"""Group sessions: those of a place, one with who comes, a place for a patient, and calling it off."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.reading import read_date, read_id, read_number, read_start, read_text
from server.errors import Conflict, DomainError, Invalid, NotVisible
from server.models import Location, Patient
from server.services import access, booking, directory, people, sessions, visits
from server.services.booking import PatientBusy, RulesForbid, SlotTaken
from server.services.sessions import SessionFull
from server.utils import clock
from server.utils.text import clean_line
from server.web.identity import current_actor
from server.web.limits import booking_limit

DAYS_AT_ONCE = 28
MOST_PLACES = 500

Page = str | tuple[str, int]


def list_sessions() -> str:
    """Four weeks of sessions at one location, and a form for a new one."""
    access.demand("book", actor=current_actor())
    return _list_page(_location())


@booking_limit
def create_session() -> Response | Page:
    location = _location()
    service_id, practitioner_id = read_id("service"), read_id("practitioner")
    start = read_start(request.form.get("start", ""), location.time_zone)
    if not (service_id and practitioner_id and start):
        raise Invalid("Choose a service, a practitioner and a time.")
    try:
        made = sessions.create_session(
            service_id=service_id,
            practitioner_id=practitioner_id,
            location_id=location.id,
            start=start,
            capacity=read_number("capacity", most=MOST_PLACES) if request.form.get("capacity") else None,
            actor=current_actor(),
        )
    except (SlotTaken, RulesForbid) as refused:
        return _list_page(location, refused.detail), refused.status
    flash("The session is made.", "success")
    return redirect(url_for("admin.show_session", session_id=made.id))


def show_session(session_id: UUID) -> str:
    """Who comes; for the front desk with a search for one more."""
    return _session_page(session_id)


def find_patient_for_session(session_id: UUID) -> str:
    """The page with the patients of that name. Sent as a form, because a name does not belong in an address."""
    searched = clean_line(request.form.get("name", ""))[:100]
    found = people.find_patients(searched, actor=current_actor()) if searched else []
    return _session_page(session_id, searched=searched, patients=found)


@booking_limit
def book_seat(session_id: UUID) -> Response | Page:
    try:
        sessions.book_seat(session_id, patient_id=read_id("patient"), actor=current_actor())
    except (SessionFull, PatientBusy, RulesForbid, booking.WrongState) as refused:
        return _session_page(session_id, refused=refused), refused.status
    flash("The place is booked.", "success")
    return redirect(url_for("admin.show_session", session_id=session_id))


def change_capacity(session_id: UUID) -> Response | Page:
    """More or fewer places. When more are taken than that, the page again with whose places would have to go."""
    capacity = read_number("capacity", most=MOST_PLACES)
    try:
        sessions.change_capacity(session_id, capacity=capacity, actor=current_actor())
    except Conflict as refused:
        return _session_page(session_id, refused=refused, too_few=capacity), refused.status
    flash("The number of places is changed.", "success")
    return redirect(url_for("admin.show_session", session_id=session_id))


def cancel_session(session_id: UUID) -> Response | Page:
    """It and every place in it."""
    try:
        sessions.cancel_session(session_id, reason=read_text("reason"), actor=current_actor())
    except booking.WrongState as refused:
        return _session_page(session_id, refused=refused), refused.status
    flash("The session is cancelled, and everybody is told.", "success")
    return redirect(url_for("admin.show_session", session_id=session_id))


def _location() -> Location:
    asked = read_id("location")
    found = directory.location(asked) if asked else next(iter(visits.locations_of(current_actor())), None)
    if found is None:
        raise NotVisible("There is no location yet.")
    return found


def _list_page(location: Location, refused: str = "") -> str:
    zone = location.time_zone
    day = read_date("date") or clock.today(zone)
    practitioners = directory.practitioners(location_id=location.id)
    services = directory.services(location_id=location.id)
    return render_template(
        "admin/list_sessions.html",
        locations=directory.locations(),
        location=location,
        zone=zone,
        day=day,
        sessions=sessions.list_sessions(
            from_at=clock.start_of_day(day, zone),
            to_at=clock.start_of_day(day + timedelta(days=DAYS_AT_ONCE), zone),
            location_id=location.id,
        ),
        practitioners=practitioners,
        services=[service for service in services if service.capacity > 1],
        names={person.id: person.name for person in practitioners} | {service.id: service.name for service in services},
        refused=refused,
    )


def _session_page(
    session_id: UUID,
    *,
    searched: str = "",
    patients: Sequence[Patient] = (),
    refused: DomainError | None = None,
    too_few: int | None = None,
) -> str:
    found = sessions.read_session(session_id)
    time = visits.read_visit(found.appointment.id, actor=current_actor())
    seats = visits.seats_of(session_id, actor=current_actor())
    last_booked = sorted(seats, key=lambda seat: (seat.created_at, seat.id))
    return render_template(
        "admin/show_session.html",
        session=found,
        time=time,
        seats=seats,
        too_few=too_few,
        without_place=[] if too_few is None else last_booked[too_few:],
        state_of=words.state_of,
        searched=searched,
        patients=patients,
        refused=refused.detail if refused else "",
    )
