"""Group sessions as patients see them: which have places left, and taking one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.errors import DomainError
from server.patient.free_times import Offer
from server.services import directory, people, sessions
from server.services.booking import PatientBusy, RulesForbid, WrongState
from server.services.sessions import Session, SessionFull
from server.utils import clock
from server.utils.text import clean_text
from server.web.forms import read_uuid
from server.web.identity import current_actor
from server.web.limits import booking_limit

LONGEST_REASON = 500
SHOWN = 50

Refused = tuple[str, int]


def list_sessions(offer: Offer) -> str:
    """The sessions that can be booked now; full ones are named, so that nobody looks for them."""
    now = clock.now()
    found = sessions.list_sessions(
        from_at=now + timedelta(minutes=offer.service.minimum_notice_minutes),
        to_at=now + timedelta(days=offer.service.horizon_days),
        service_id=offer.service.id,
        limit=SHOWN,
    )
    return render_template(
        "patient/sessions.html",
        offer=offer,
        sessions=found,
        places={place.id: place for place in directory.locations()},
        names={person.id: person.name for person in directory.practitioners()},
    )


def ask_seat(session_id: UUID) -> str:
    """For whom the place is to be."""
    return _seat_page(sessions.read_session(session_id))


@booking_limit
def book_seat(session_id: UUID) -> Response | Refused:
    """Take a place; when the last one is gone, the page says so."""
    found, actor = sessions.read_session(session_id), current_actor()
    patient_id = read_uuid(request.form.get("patient_id")) or actor.own_patient_id
    reason = clean_text(request.form.get("reason", ""))
    if patient_id is None:
        return _seat_page(found, errors={"patient_id": ["Choose for whom the place is."]}), 422
    if len(reason) > LONGEST_REASON:
        sentence = f"Write at most {LONGEST_REASON} characters. These are {len(reason)}."
        return _seat_page(found, errors={"reason": [sentence]}, reason=reason), 422
    try:
        seat = sessions.book_seat(session_id, patient_id=patient_id, reason=reason, actor=actor)
    except (SessionFull, PatientBusy, RulesForbid, WrongState) as refusal:
        return _seat_page(sessions.read_session(session_id), refusal=refusal, reason=reason), refusal.status
    flash("Your place is booked. We have sent you a letter with the details.", "success")
    return redirect(url_for("patient_account.show_visit", visit_id=seat.id))


def _seat_page(
    found: Session,
    *,
    errors: dict[str, list[str]] | None = None,
    refusal: DomainError | None = None,
    reason: str = "",
) -> str:
    actor, time = current_actor(), found.appointment
    patients: list[dict[str, Any]] = [who for who in people.patients_of(actor) if actor.may_for(who["id"], "book")]
    return render_template(
        "patient/seat.html",
        session=found,
        time=time,
        service=directory.service(time.service_id),
        practitioner=directory.practitioner(time.practitioner_id),
        location=directory.location(time.location_id),
        patients=patients,
        errors=errors or {},
        refusal=refusal,
        reason=reason,
        longest_reason=LONGEST_REASON,
    )
