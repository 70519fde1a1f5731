"""Default deny: every blueprint names the guard that stands at its doors.

A request for a blueprint without one is refused, and a test walks the URL map for such doors.
"""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, current_app, flash, g, redirect, request, session, url_for

from server.errors import NotAllowed, NotVisible
from server.utils import clock
from server.web.identity import current_actor, plain_visitor, token_actor

Guard = Callable[[], Any]
GUARDS: dict[str, Guard] = {}


def guard(blueprint: Blueprint, check: Guard) -> None:
    """Put `check` at every door of the blueprint. It returns None to let in, a response, or raises."""
    GUARDS[blueprint.name] = check
    blueprint.before_request(check)


def init_app(app: Flask) -> None:
    # What libraries bring along: static files, and Flask-Security's sign-in pages (their own checks apply).
    GUARDS.update({"bootstrap": everybody, "security": _whoever_still_is, "swagger_ui": everybody})
    app.before_request(_refuse_unguarded)


def _refuse_unguarded() -> None:
    if request.endpoint in (None, "static"):
        return
    if request.blueprint not in GUARDS:
        raise NotVisible("There is no such page.")
    if request.blueprint == "security":
        _whoever_still_is()


def _whoever_still_is() -> None:
    """Flask-Security's pages ask its session only, which does not know of a sign-in that was ended elsewhere."""
    current_actor()


def everybody() -> None:
    """Pages for anyone; the session says who it is."""


def anyone_by_api() -> None:
    """API doors for anyone; a token is not looked at."""
    g.actor = plain_visitor()


def anyone_or_account_by_api() -> None:
    """API doors for anyone; whoever sends a token is answered as that account."""
    g.actor = token_actor() if "Authorization" in request.headers else plain_visitor()


def account_by_api() -> None:
    """API doors for accounts: a bearer token, and nothing else."""
    # OPTIONS answers with the methods only, and a browser asks so (CORS) before it may send the token.
    g.actor = plain_visitor() if request.method == "OPTIONS" else token_actor()


def account_on_pages() -> Any:
    """Pages for people who are signed in; others come back here after signing in."""
    if current_actor().user_id is None:
        flash("Please sign in to go on.", "info")
        return redirect(url_for("security.login", next=request.full_path if request.method == "GET" else None))
    return None


def auditors_on_pages() -> Any:
    """Pages for whoever may see what is on record."""
    if (answer := account_on_pages()) is not None:
        return answer
    if g.lacks_second_factor:
        return _set_up_second_factor()
    if not current_actor().may("audit"):
        raise NotAllowed("These pages are for those who look after what is on record.")
    return _freshly("audit.show_audit")


def fresh_account_on_pages() -> Any:
    """Pages that change how somebody signs in: for whoever gave their password, or a passkey, a moment ago."""
    return account_on_pages() or _freshly("own_account.show_sign_in")


def fresh_staff_on_pages() -> Any:
    """The same for pages on which staff decide about other people's accounts."""
    return staff_on_pages() or _freshly("staff_accounts.list_accounts")


def _freshly(start: str) -> Any:
    """None, or the way to say once more who one is, and back: to the page, or to `start` when a form was sent."""
    within = current_app.config["SECURITY_FRESHNESS"].total_seconds()
    if not 0 <= clock.now().timestamp() - session.get("fs_paa", 0) <= within:
        flash("To change this, please confirm that it is you.", "info")
        back = request.full_path if request.method == "GET" else url_for(start)
        return redirect(url_for("security.verify", next=back))
    return None


def _set_up_second_factor() -> Any:
    flash("Staff need a second factor here. Please set one up to go on.", "warning")
    return redirect(url_for("own_account.show_sign_in"))


def staff_on_pages() -> Any:
    """Pages for staff; a patient who is signed in is told that they may not."""
    if (answer := account_on_pages()) is not None:
        return answer
    if g.lacks_second_factor:
        return _set_up_second_factor()
    if not current_actor().is_staff:
        raise NotAllowed("These pages are for the staff of the clinic.")
    return None
