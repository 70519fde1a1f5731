"""Choosing a service and a time, holding it, booking it."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from flask import current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.errors import DomainError, NotVisible
from server.models import Status
from server.patient import choice, session_pages
from server.patient.choice import Choice
from server.patient.free_times import FIRST_OF_A_DAY, Offer, find_free_times, offer_of, read_wish
from server.services import booking, directory, holds, own_visits, people
from server.services.booking import PatientBusy, RulesForbid, SlotTaken
from server.utils.text import clean_text
from server.web.forms import read_instant, read_uuid
from server.web.identity import current_actor, visitor_with_id
from server.web.limits import booking_limit, hold_limit

LONGEST_REASON = 500
Refused = tuple[str, int]


def list_services() -> str:
    """The front page: what can be booked, and on top what the reader has going."""
    return render_template(
        "patient/services.html",
        services=directory.services(),
        places=directory.places_of_services(),
        next_visit=own_visits.next_visit(actor=current_actor()),
        choice=choice.current(),
    )


def choose_time(service_id: UUID) -> str:
    """Free times of one service, across practitioners; of one for groups its sessions."""
    offer = offer_of(service_id)
    if offer.is_for_groups:
        return session_pages.list_sessions(offer)
    return _times_page(offer)


@hold_limit
def hold_time(service_id: UUID) -> Response | Refused:
    """Keep the time for a few minutes, instead of what this browser held before."""
    practitioner_id, start = read_uuid(request.values.get("practitioner_id")), read_instant(request.values.get("start"))
    if practitioner_id is None or start is None:
        flash("Please choose one of these times.", "warning")
        return redirect(url_for("patient.choose_time", service_id=service_id))
    try:
        held = holds.choose_time(
            service_id=service_id,
            practitioner_id=practitioner_id,
            start=start,
            location_id=read_uuid(request.values.get("location_id")),
            minutes=current_app.config["FRONTDESK"].hold_minutes,
            actor=visitor_with_id(),
        )
    except (SlotTaken, RulesForbid) as refusal:
        return _times_page(offer_of(service_id), refusal), refusal.status
    choice.keep(held)
    return redirect(url_for("patient.show_hold", hold_id=held.id))


def show_hold(hold_id: UUID) -> str | Response:
    """What is chosen, for how long it is kept, and the way on: sign in, or book."""
    if current_actor().user_id and (visit_id := choice.visit_of(hold_id)):
        return redirect(url_for("patient_account.show_visit", visit_id=visit_id))
    return _hold_page(_choice_of(hold_id))


def release_hold(hold_id: UUID) -> Response:
    """Let the time go."""
    chosen = choice.current(hold_id)
    with suppress(NotVisible):  # it has ended already
        holds.release_hold(hold_id, actor=current_actor())
    choice.forget()
    flash("The time is free again for others.", "info")
    if chosen is None:
        return redirect(url_for("patient.list_services"))
    return redirect(url_for("patient.choose_time", service_id=chosen.service.id))


@booking_limit
def book_hold(hold_id: UUID) -> Response | Refused:
    """Book what was chosen, also when the hold has just ended and the time is still free."""
    if visit_id := choice.visit_of(hold_id):
        return redirect(url_for("patient_account.show_visit", visit_id=visit_id))
    chosen, actor = _choice_of(hold_id), current_actor()
    patient_id = read_uuid(request.form.get("patient_id")) or actor.own_patient_id
    reason = clean_text(request.form.get("reason", ""))
    errors = _wrong(patient_id, reason)
    if errors:
        return _hold_page(chosen, errors, reason), 422
    try:
        visit = booking.book_appointment(
            service_id=chosen.service.id,
            practitioner_id=chosen.practitioner.id,
            start=chosen.start,
            location_id=chosen.location.id,
            patient_id=patient_id,
            reason=reason,
            hold_id=hold_id,
            actor=actor,
        )
    except (SlotTaken, PatientBusy, RulesForbid) as refusal:
        return _refused(refusal, hold_id, chosen, patient_id, reason)
    choice.booked(hold_id, visit.id)
    if visit.status == Status.PENDING:
        flash("We have your request. The time is kept for you until the clinic answers.", "success")
    else:
        flash("Your visit is booked. We have sent you a letter with the details.", "success")
    return redirect(url_for("patient_account.show_visit", visit_id=visit.id))


def _refused(
    refusal: DomainError, hold_id: UUID, chosen: Choice, patient_id: UUID | None, reason: str
) -> Response | Refused:
    twice = own_visits.visit_at(
        chosen.start, practitioner_id=chosen.practitioner.id, patient_id=patient_id, actor=current_actor()
    )
    if twice is not None:  # the form was sent twice, and the first one did it
        choice.booked(hold_id, twice)
        return redirect(url_for("patient_account.show_visit", visit_id=twice))
    if isinstance(refusal, SlotTaken):
        return _times_page(offer_of(chosen.service.id), refusal), refusal.status
    return _hold_page(_choice_of(hold_id), {"form": [refusal.detail]}, reason), refusal.status


def _wrong(patient_id: UUID | None, reason: str) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if patient_id is None:
        errors["patient_id"] = ["Choose for whom the visit is."]
    if len(reason) > LONGEST_REASON:
        errors["reason"] = [f"Write at most {LONGEST_REASON} characters. These are {len(reason)}."]
    return errors


def _choice_of(hold_id: UUID) -> Choice:
    chosen = choice.current(hold_id)
    if chosen is None:
        raise NotVisible("This time is not kept for you any more. Please choose a time again.")
    return chosen


def _times_page(offer: Offer, refusal: DomainError | None = None) -> str:
    if not offer.is_bookable_here:
        return render_template("patient/call.html", offer=offer)
    wish = read_wish(request.args, offer)
    return render_template(
        "patient/times.html",
        offer=offer,
        wish=wish,
        free=find_free_times(offer, wish, actor=current_actor()),
        first_of_a_day=FIRST_OF_A_DAY,
        refusal=refusal,
        choice=choice.current(),
    )


def _hold_page(chosen: Choice, errors: dict[str, list[str]] | None = None, reason: str = "") -> str:
    actor = current_actor()
    patients: list[dict[str, Any]] = [who for who in people.patients_of(actor) if actor.may_for(who["id"], "book")]
    return render_template(
        "patient/hold.html",
        choice=chosen,
        patients=patients,
        errors=errors or {},
        reason=reason,
        longest_reason=LONGEST_REASON,
    )
