"""Pages behind the links in letters: opening one does nothing, its buttons do, and nobody has to sign in."""

from flask import current_app, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from server.errors import Conflict, DomainError, Invalid, NotVisible
from server.extensions import csrf
from server.patient import moving
from server.patient.free_times import offer_of
from server.patient.waitlist_pages import offer_page
from server.services import booking, links, offers, visits, waitlist
from server.services.booking import PatientBusy, RulesForbid, SlotTaken
from server.services.links import OfferLink, VisitLink
from server.utils import clock
from server.web.identity import plain_visitor

# What became of a visit since its letter left, in words; the page adds when.
HAPPENED = {
    "rescheduled": "This visit was moved after your letter left. This is how it stands now.",
    "cancelled": "This visit is cancelled.",
    "approved": "Your request was approved after your letter left: the visit is booked.",
    "declined": "Your request was declined.",
    "expired": "Nobody answered your request in time, and it is void.",
    "": "This visit was changed after your letter left. This is how it stands now.",
}

Refused = tuple[str, int]


def show_visit_link(token: str) -> str:
    return _page(token, _read(token))


def answer_visit_link(token: str, step: str) -> Response | Refused:
    """Confirm or cancel; only while the visit is as the letter said."""
    link = _read(token)
    if not link.is_current:
        return _page(token, link), 409
    try:
        if step == "confirm":
            booking.confirm_appointment(link.visit.id, actor=link.actor, if_version=link.visit.version)
            flash("Thank you. We expect you.", "success")
        else:
            booking.cancel_appointment(link.visit.id, actor=link.actor, if_version=link.visit.version)
            flash("Your visit is cancelled.", "success")
    except (Conflict, Invalid) as refused:
        return _page(token, _read(token), refused.detail), refused.status
    return redirect(url_for("patient.show_visit_link", token=token))


def choose_other_time(token: str) -> str:
    """Free times to move the visit to."""
    return _move_page(token, _read(token))


def move_by_link(token: str) -> Response | Refused:
    """Move it; only while the visit is as the letter said. The new letter has a new link."""
    link = _read(token)
    if not link.is_current:
        return _page(token, link), 409
    try:
        if not moving.move(link.visit, actor=link.actor, if_version=link.visit.version):
            return redirect(url_for("patient.choose_other_time", token=token))
    except (SlotTaken, PatientBusy, RulesForbid) as refused:
        return _move_page(token, _read(token), refused), refused.status
    except (Conflict, Invalid) as refused:
        return _page(token, _read(token), refused.detail), refused.status
    flash("Your visit is moved. We have sent you a letter with the new time.", "success")
    return redirect(url_for("patient.show_visit_link", token=token))


def show_offer_link(token: str) -> str:
    return _offer_page(token, _read_offer(token))


def answer_offer_link(token: str, step: str) -> Response | Refused:
    """Take the offered time, say no to it, or leave the list."""
    link = _read_offer(token)
    try:
        if step == "accept":
            offers.accept_offer(link.offer.id, actor=link.actor)
            flash("The time is yours. We have sent you a letter with the details.", "success")
        elif step == "decline":
            offers.decline_offer(link.offer.id, actor=link.actor)
            flash("The time goes on to somebody else. You stay on the list.", "info")
        else:
            waitlist.leave(link.offer.entry_id, actor=link.actor)
            flash("You are not on the list any more.", "success")
    except (Conflict, Invalid) as refused:
        return _offer_page(token, _read_offer(token), refused), refused.status
    return redirect(url_for("patient.show_offer_link", token=token))


def ask_unsubscribe(token: str) -> str:
    return render_template("patient/no_more_reminders.html", token=token, done=False)


@csrf.exempt  # the mail program has no session, and the token in the address is what allows it
def unsubscribe(token: str) -> str:
    """One press, here or in the mail program (RFC 8058)."""
    links.unsubscribe(token, secret_key=_secret_key(), asker=plain_visitor())
    return render_template("patient/no_more_reminders.html", token=token, done=True)


def _read(token: str) -> VisitLink:
    return links.visit_of(token, secret_key=_secret_key(), asker=plain_visitor())


def _read_offer(token: str) -> OfferLink:
    return links.offer_of(token, secret_key=_secret_key(), asker=plain_visitor())


def _page(token: str, link: VisitLink, refused: str = "") -> str:
    return render_template(
        "patient/visit_link.html",
        token=token,
        visit=link.visit,
        is_current=link.is_current,
        happened=HAPPENED[link.happened],
        happened_at=link.happened_at,
        can=visits.possible_steps(link.visit, actor=link.actor) if link.visit.start > clock.now() else frozenset(),
        refused=refused,
    )


def _move_page(token: str, link: VisitLink, refusal: DomainError | None = None) -> str:
    try:
        offer = offer_of(link.visit.service_id)
    except NotVisible:
        return _page(token, link, "This cannot be moved here any more. Please call the clinic.")
    if not link.is_current or "reschedule" not in visits.possible_steps(link.visit, actor=link.actor):
        return _page(token, link, refusal.detail if refusal else "")
    return moving.page(
        link.visit,
        offer,
        actor=link.actor,
        back=url_for("patient.show_visit_link", token=token),
        here=url_for("patient.choose_other_time", token=token),
        names_service=False,
        refusal=refusal,
    )


def _offer_page(token: str, link: OfferLink, refusal: DomainError | None = None) -> str:
    acts = {
        step: url_for("patient.answer_offer_link", token=token, step=step) for step in ("accept", "decline", "leave")
    }
    return offer_page(link.offer, refusal, acts=acts, names_service=False)


def _secret_key() -> str:
    return str(current_app.config["SECRET_KEY"])
