"""Choosing another time for a visit; for somebody who is signed in, or who came by the link of a letter."""

from typing import Any

from flask import render_template, request

from server.errors import DomainError
from server.models import Appointment
from server.patient.free_times import FIRST_OF_A_DAY, Offer, find_free_times, read_wish
from server.services import booking
from server.services.access import Actor
from server.web.forms import read_instant, read_uuid


def page(
    visit: Appointment,
    offer: Offer,
    *,
    actor: Actor,
    back: str,
    here: str,
    names_service: bool = True,
    refusal: DomainError | None = None,
) -> str:
    """Free times at the address `here`; with `start` and `with` in it, the question whether to move to that one."""
    wish = read_wish(request.args, offer, moving=visit)
    return render_template(
        "patient/move.html",
        visit=visit,
        offer=offer,
        wish=wish,
        here=here,
        back=back,
        names_service=names_service,
        free=find_free_times(offer, wish, actor=actor, moving=visit),
        first_of_a_day=FIRST_OF_A_DAY,
        refusal=refusal,
        new_start=None if refusal else read_instant(request.args.get("start")),
        new_practitioner=next((p for p in offer.practitioners if p.id == read_uuid(request.args.get("with"))), None),
    )


def move(visit: Appointment, *, actor: Actor, **more: Any) -> bool:
    """Move it to the time of the form; False when there was none. Raises what `reschedule_appointment` raises."""
    start = read_instant(request.form.get("start"))
    if start is None:
        return False
    practitioner_id = read_uuid(request.form.get("practitioner_id"))
    booking.reschedule_appointment(visit.id, start=start, practitioner_id=practitioner_id, actor=actor, **more)
    return True
