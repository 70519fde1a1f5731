"""My visits: what comes and what was; one visit, to move, cancel or put in a calendar."""

from uuid import UUID

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from server.errors import Conflict, DomainError, NotVisible
from server.models import Appointment
from server.patient import choice, moving
from server.patient.booking_pages import LONGEST_REASON, Refused
from server.patient.free_times import offer_of
from server.patient.preference_pages import closed_of, preferences_of
from server.patient.waitlist_pages import waiting_of
from server.services import booking, own_visits, series, visits, waitlist
from server.services.booking import PatientBusy, RulesForbid, SlotTaken, WrongState
from server.services.series import Scope, Series
from server.utils import clock
from server.utils.languages import LANGUAGES
from server.utils.text import clean_text
from server.web.identity import current_actor
from server.web.limits import booking_limit

PAST_AT_FIRST, PAST_AT_MOST = 10, 500


def list_visits() -> str:
    """Upcoming visits, then past ones, of everybody the account may read."""
    past_limit = PAST_AT_MOST if "all" in request.args else PAST_AT_FIRST
    everybody = own_visits.by_person(actor=current_actor(), past_limit=past_limit)
    preferences = preferences_of(everybody)
    return render_template(
        "patient/visits.html",
        everybody=everybody,
        waiting=waiting_of([each.person["id"] for each in everybody if "book" in each.person["may"]]),
        choice=choice.current(),
        preferences=preferences,
        closed=closed_of(preferences.values()),
        zones=clock.common_zones(),
        languages=LANGUAGES,
    )


def show_visit(visit_id: UUID) -> str:
    """One visit and what can be done with it."""
    return _visit_page(visits.read_visit(visit_id, actor=current_actor()))


def download_calendar(visit_id: UUID) -> Response:
    """The visit for a calendar."""
    text = visits.calendar(visit_id, settings=current_app.config["FRONTDESK"], actor=current_actor())
    return Response(
        text,
        content_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": "attachment; filename=visit.ics"},
    )


def choose_new_time(visit_id: UUID) -> str:
    """Free times to move the visit to; with `start` and `with` in the address, the question whether to."""
    return _move_page(visits.read_visit(visit_id, actor=current_actor()))


@booking_limit
def move_visit(visit_id: UUID) -> AnyResponse | Refused:
    """Move it: the old time is kept until the new one is taken."""
    actor = current_actor()
    try:
        if not moving.move(visits.read_visit(visit_id, actor=actor), actor=actor):
            flash("Please choose one of these times.", "warning")
            return redirect(url_for("patient_account.choose_new_time", visit_id=visit_id))
    except (SlotTaken, PatientBusy, RulesForbid) as refusal:
        return _move_page(visits.read_visit(visit_id, actor=actor), refusal), refusal.status
    except WrongState as refusal:
        return _visit_page(visits.read_visit(visit_id, actor=actor), refusal), refusal.status
    flash("Your visit is moved. We have sent you a letter with the new time.", "success")
    return redirect(url_for("patient_account.show_visit", visit_id=visit_id))


def ask_cancel(visit_id: UUID) -> str:
    """Cancelling is asked for once more."""
    return _cancel_page(visits.read_visit(visit_id, actor=current_actor()))


@booking_limit
def cancel_visit(visit_id: UUID) -> AnyResponse | Refused:
    """Cancel it, with a reason if somebody wants to give one."""
    actor = current_actor()
    reason = clean_text(request.form.get("reason", ""))
    if len(reason) > LONGEST_REASON:
        errors = {"reason": [f"Write at most {LONGEST_REASON} characters. These are {len(reason)}."]}
        return _cancel_page(visits.read_visit(visit_id, actor=actor), errors, reason), 422
    visit = visits.read_visit(visit_id, actor=actor)
    try:
        if visit.series_id is not None and request.form.get("scope") == Scope.FOLLOWING:
            series.cancel_series(
                visit.series_id, scope=Scope.FOLLOWING, appointment_id=visit_id, actor=actor, reason=reason
            )
            said = "This visit and the later ones are cancelled. The times are free again for others."
        else:
            booking.cancel_appointment(visit_id, actor=actor, reason=reason)
            said = "Your visit is cancelled. The time is free again for others."
    except (RulesForbid, WrongState) as refusal:
        return _visit_page(visits.read_visit(visit_id, actor=actor), refusal), refusal.status
    flash(said, "success")
    return redirect(url_for("patient_account.show_visit", visit_id=visit_id))


def _visit_page(visit: Appointment, refusal: DomainError | None = None) -> str:
    actor = current_actor()
    return render_template(
        "patient/visit.html",
        visit=visit,
        waits=waitlist.of_visit(visit.id, actor=actor),
        may_wait=visit.service.self_bookable and actor.may_for(visit.patient_id, "book"),
        can=_possible(visit),
        changeable_until=own_visits.changeable_until(visit),
        now=clock.now(),
        refusal=refusal,
        series=_series_of(visit),
    )


def _series_of(visit: Appointment) -> Series | None:
    """The series that a visit belongs to, if any."""
    return series.read_series(visit.series_id, actor=current_actor()) if visit.series_id else None


def _cancel_page(visit: Appointment, errors: dict[str, list[str]] | None = None, reason: str = "") -> str:
    if "cancel" not in _possible(visit):
        return _visit_page(visit)
    return render_template(
        "patient/cancel.html",
        visit=visit,
        errors=errors or {},
        reason=reason,
        longest_reason=LONGEST_REASON,
        series=_series_of(visit),
    )


def _move_page(visit: Appointment, refusal: DomainError | None = None) -> str:
    if "reschedule" not in _possible(visit):
        return _visit_page(visit, refusal)
    try:
        offer = offer_of(visit.service_id)
    except NotVisible:
        return _visit_page(visit, Conflict("This service is not offered any more. Please call the clinic."))
    return moving.page(
        visit,
        offer,
        actor=current_actor(),
        back=url_for("patient_account.show_visit", visit_id=visit.id),
        here=url_for("patient_account.choose_new_time", visit_id=visit.id),
        refusal=refusal,
    )


def _possible(visit: Appointment) -> frozenset[str]:
    """What the reader may still do to this visit. The service decides again when it is done."""
    actor = current_actor()
    can = visits.possible_steps(visit, actor=actor)
    if not actor.may("cancel") and clock.now() >= own_visits.changeable_until(visit):
        can -= {"reschedule", "cancel"}
    return can
