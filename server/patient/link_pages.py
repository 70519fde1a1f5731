"""Pages behind the links in letters: opening one does nothing, its buttons do, and nobody has to sign in."""

from flask import current_app, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from server.errors import Conflict, Invalid
from server.extensions import csrf
from server.services import booking, links, visits
from server.services.links import VisitLink
from server.utils import clock


def show_visit_link(token: str) -> str:
    return _page(token, _read(token))


def answer_visit_link(token: str, step: str) -> Response | tuple[str, int]:
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


def ask_unsubscribe(token: str) -> str:
    return render_template("patient/no_more_reminders.html", token=token, done=False)


@csrf.exempt  # the mail program has no session, and the token in the address is what allows it
def unsubscribe(token: str) -> str:
    """One press, here or in the mail program (RFC 8058)."""
    links.unsubscribe(token, secret_key=_secret_key())
    return render_template("patient/no_more_reminders.html", token=token, done=True)


def _read(token: str) -> VisitLink:
    return links.visit_of(token, secret_key=_secret_key())


def _page(token: str, link: VisitLink, refused: str = "") -> str:
    return render_template(
        "patient/visit_link.html",
        token=token,
        visit=link.visit,
        is_current=link.is_current,
        can=visits.possible_steps(link.visit, actor=link.actor) if link.visit.start > clock.now() else frozenset(),
        refused=refused,
    )


def _secret_key() -> str:
    return str(current_app.config["SECRET_KEY"])
