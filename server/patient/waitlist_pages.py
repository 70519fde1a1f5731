"""Waiting for a time that is not free, or for an earlier one: join, leave, and answer an offer."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.errors import Conflict, DomainError, Invalid
from server.models import Appointment, WaitlistEntry, WaitlistOffer
from server.patient.free_times import Offer, offer_of
from server.services import offers, people, visits, waitlist
from server.services.booking import PatientBusy, RulesForbid
from server.services.offers import OfferOver
from server.utils import clock
from server.web.forms import read_uuid
from server.web.identity import current_actor
from server.web.limits import booking_limit
from server.web.wishes import as_asked, read_wishes

Refused = tuple[str, int]


def ask_wishes(service_id: UUID) -> str:
    """The form: what would suit, when no time does."""
    return _join_page(offer_of(service_id))


def ask_wishes_for_visit(visit_id: UUID) -> str:
    """The form: tell me when something earlier than this visit opens."""
    visit = visits.read_visit(visit_id, actor=current_actor())
    return _join_page(offer_of(visit.service_id), visit)


@booking_limit
def join(service_id: UUID) -> Response | Refused:
    """Go on the list for a service."""
    return _join(offer_of(service_id))


@booking_limit
def join_for_visit(visit_id: UUID) -> Response | Refused:
    """Go on the list for an earlier time of a visit."""
    visit = visits.read_visit(visit_id, actor=current_actor())
    return _join(offer_of(visit.service_id), visit)


def leave(entry_id: UUID) -> Response:
    """Wait no more."""
    entry = waitlist.read(entry_id, actor=current_actor())
    name, visit_id = entry.service.name, entry.appointment_id
    waitlist.leave(entry_id, actor=current_actor())
    flash(f"You are not on the list any more: {name}.", "success")
    return _back(visit_id)


def show_offer(offer_id: UUID) -> str:
    """What is offered, what it would replace, and until when."""
    return _offer_page(offers.read_offer(offer_id, actor=current_actor()))


@booking_limit
def accept_offer(offer_id: UUID) -> Response | Refused:
    """Take it; sent twice, it leads to the visit."""
    actor = current_actor()
    try:
        offer = offers.accept_offer(offer_id, actor=actor)
    except OfferOver as refusal:
        offer = offers.read_offer(offer_id, actor=actor)
        if offer.status == "accepted":
            return _back(offer.entry.appointment_id)
        return _offer_page(offer, refusal), refusal.status
    except (PatientBusy, RulesForbid, Conflict) as refusal:
        return _offer_page(offers.read_offer(offer_id, actor=actor), refusal), refusal.status
    flash("The time is yours. We have sent you a letter with the details.", "success")
    return _back(offer.entry.appointment_id)


def decline_offer(offer_id: UUID) -> Response | Refused:
    """Say no, and stay on the list."""
    actor = current_actor()
    try:
        offers.decline_offer(offer_id, actor=actor)
    except OfferOver as refusal:
        return _offer_page(offers.read_offer(offer_id, actor=actor), refusal), refusal.status
    flash("The time goes on to somebody else. You stay on the list.", "info")
    return redirect(url_for("patient_account.list_visits"))


def waiting_of(patient_ids: list[UUID]) -> dict[UUID, list[WaitlistEntry]]:
    """What each of these patients waits for."""
    actor = current_actor()
    return {
        each: list(waitlist.list_entries(patient_id=each, status="waiting", actor=actor)[0]) for each in patient_ids
    }


def _join(offer: Offer, visit: Appointment | None = None) -> Response | Refused:
    wishes, errors = read_wishes()
    actor = current_actor()
    if visit is not None:
        target: dict[str, Any] = {"appointment_id": visit.id}
    else:
        patient_id = read_uuid(request.form.get("patient_id")) or actor.own_patient_id
        target = {"service_id": offer.service.id, "patient_id": patient_id}
        if patient_id is None:
            errors["patient_id"] = ["Choose who is waiting."]
    if errors:
        return _join_page(offer, visit, errors), 422
    try:
        entry = waitlist.join(**target, **wishes, actor=actor)
    except Invalid as refusal:
        return _join_page(offer, visit, refusal.extra.get("errors", {"form": [refusal.detail]})), refusal.status
    except Conflict as refusal:
        return _join_page(offer, visit, {"form": [refusal.detail]}), refusal.status
    flash("You are on the list. We write to you as soon as a time that suits becomes free.", "success")
    return _back(entry.appointment_id)


def _join_page(offer: Offer, visit: Appointment | None = None, errors: dict[str, list[str]] | None = None) -> str:
    actor = current_actor()
    return render_template(
        "patient/join_waitlist.html",
        offer=offer,
        visit=visit,
        patients=[who for who in people.patients_of(actor) if actor.may_for(who["id"], "book")],
        errors=errors or {},
        asked=as_asked(),
    )


def _offer_page(offer: WaitlistOffer, refusal: DomainError | None = None) -> str:
    acts = {
        "accept": url_for("patient_account.accept_offer", offer_id=offer.id),
        "decline": url_for("patient_account.decline_offer", offer_id=offer.id),
        "leave": url_for("patient_account.leave", entry_id=offer.entry_id),
    }
    return offer_page(offer, refusal, acts=acts)


def offer_page(
    offer: WaitlistOffer, refusal: DomainError | None, *, acts: dict[str, str], names_service: bool = True
) -> str:
    """The offer with its buttons, which lead to `acts`; also behind the link of a letter."""
    left = (offer.expires_at - clock.now()) // timedelta(seconds=1)
    return render_template(
        "patient/offer.html",
        offer=offer,
        acts=acts,
        names_service=names_service,
        entry=offer.entry,
        is_open=offer.status == "open" and left > 0,
        seconds_left=max(0, left),
        ended=offers.ENDED.get(offer.status, offers.ENDED["expired"]),
        refusal=refusal,
    )


def _back(visit_id: UUID | None) -> Response:
    if visit_id is None:
        return redirect(url_for("patient_account.list_visits"))
    return redirect(url_for("patient_account.show_visit", visit_id=visit_id))
