"""The waitlist's desk: who waits, what became of freed time, and how well offers do."""

from uuid import UUID

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from server.services import waitlist, waitlist_figures
from server.web.identity import current_actor

STORIES, WAITING = 25, 200

CAUSES = {"cancelled": "Cancelled", "moved": "Moved away", "opened": "New hours", "released": "Ended early"}
# outcome -> (kind of the tag, word)
OUTCOMES = {
    "taken": ("good", "Taken"),
    "nobody": ("", "Nobody left to ask"),
    "over": ("", "Too late to offer"),
    None: ("info", "Being offered"),
}
OFFERS = {
    "open": ("info", "Asked"),
    "accepted": ("good", "Accepted"),
    "declined": ("warn", "Declined"),
    "expired": ("warn", "No answer"),
    "withdrawn": ("", "Taken back"),
}


def show_waitlist() -> str:
    actor = current_actor()
    figures = waitlist_figures.figures(actor=actor)
    stories, _ = waitlist_figures.freed_times(actor=actor, limit=STORIES)
    waiting, has_more = waitlist.list_entries(actor=actor, status="waiting", limit=WAITING)
    return render_template(
        "admin/show_waitlist.html",
        figures=figures,
        stories=stories,
        waiting=waiting,
        has_more=has_more is not None,
        causes=CAUSES,
        outcomes=OUTCOMES,
        offer_words=OFFERS,
    )


def leave_waitlist(entry_id: UUID) -> Response:
    """Take somebody off the list, at their wish."""
    waitlist.leave(entry_id, actor=current_actor())
    flash("Taken off the waitlist.", "success")
    return redirect(url_for("admin.show_waitlist"))
