"""Who is asking: the actor of this request, from a bearer token or from the session of the pages."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from flask import Flask, current_app, g, request, session
from flask_jwt_extended import get_jwt, verify_jwt_in_request
from flask_login import logout_user, user_logged_in, user_logged_out
from flask_security import current_user
from werkzeug.middleware.proxy_fix import ProxyFix

from server.services import access
from server.services.access import Actor
from server.services.answered import Claim
from server.services.transaction import transaction_now
from server.utils import clock
from server.utils.tokens import new_id, new_secret
from server.web import token_keys

FAMILY = "family"  # what a session calls its sign-in (services/tokens.py)
NO_FAMILY = UUID(int=0)
SEEN = "seen"  # when something came from this browser, in seconds
IDLE_STAFF, IDLE_OTHERS = timedelta(minutes=15), timedelta(minutes=30)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Idle(access.Unauthenticated):
    """A browser that nobody used for too long."""


def init_app(app: Flask) -> None:
    """Give each request an id, and each sign-in and sign-out a new session id (against fixation)."""
    if hops := app.config["FRONTDESK"].proxy_hops:  # without a proxy, forwarded headers are anybody's invention
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    token_keys.init_app(app)
    app.before_request(_name_request)
    app.after_request(_show_request_id)
    user_logged_in.connect(_new_session_id, app)
    user_logged_out.connect(_forget_choice, app)
    user_logged_out.connect(_new_session_id, app)


def current_actor() -> Actor:
    """The actor; a visitor when nobody is signed in. Set by the blueprint's guard, or read from the session."""
    if "actor" not in g:
        g.actor = session_actor()
    return g.actor


def token_actor() -> Actor:
    """The account of the bearer token. Raises what the token handlers answer with 401."""
    claims = _claims_of(request.headers.get("Authorization", ""))
    if claims["exp"] <= clock.now().timestamp():
        verify_jwt_in_request()  # has ended since it was remembered: this says so
    g.token_family_id = UUID(claims["fam"])
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    actor, claim = access.actor_and_claim(
        UUID(claims["sub"]),
        family_id=g.token_family_id,
        key=key,
        ip=request.remote_addr or "",
        request_id=g.request_id,
    )
    if _wants_second_factor():
        access.demand_second_factor(actor=actor)
    if key is not None:
        g.claim = (key, claim, transaction_now())
    return actor


def claim_of_guard(key: str) -> Claim | None:
    """The claim on this request's Idempotency-Key that came with its account, while its transaction lasts."""
    claimed, claim, transaction = g.pop("claim", (None, None, None))
    return claim if claimed == key and transaction is transaction_now() else None


@lru_cache(maxsize=4096)
def _claims_of(_authorization: str) -> dict[str, Any]:
    """What this request's token says, once it was verified. Refusals raise, and are not remembered.

    A signature stays true, so it is checked once in a process; whether the account and the sign-in still stand is
    asked of the database every time.
    """
    verify_jwt_in_request()
    return dict(get_jwt())


def session_actor() -> Actor:
    """The account of the session, or a visitor. One browser keeps its visitor id while it signs in.

    A sign-in that was ended elsewhere is over here, too. Staff who lack a second factor that the clinic wants of them
    are nobody but themselves until they have one.
    """
    visitor_id = UUID(session["visitor"]) if "visitor" in session else None
    ip = request.remote_addr or ""
    if current_user.is_authenticated:
        try:
            family_id = UUID(session[FAMILY]) if FAMILY in session else NO_FAMILY
            actor = access.actor_for(current_user.id, family_id=family_id, ip=ip, request_id=g.request_id)
            _demand_busy(actor)
            g.lacks_second_factor = _wants_second_factor() and actor.is_at_work and not actor.has_second_factor
            return access.as_visitor(access.as_private(actor) if g.lacks_second_factor else actor, visitor_id)
        except access.Unauthenticated as ended:
            if not isinstance(ended, Idle):
                session.pop(FAMILY, None)  # has ended already
            logout_user()
            visitor_id = None
    return access.visitor(visitor_id, ip=ip, request_id=g.request_id)


def _demand_busy(actor: Actor) -> None:
    """Raises Idle when nothing came from this browser for too long; somebody else may sit there now."""
    now = int(clock.now().timestamp())
    idle = now - session.get(SEEN, now)
    if idle > (IDLE_STAFF if actor.is_at_work else IDLE_OTHERS).total_seconds():
        raise Idle("Nothing was done here for a while. Please sign in again.")
    session[SEEN] = now


def _wants_second_factor() -> bool:
    return bool(current_app.config["FRONTDESK"].staff_second_factor)


def plain_visitor() -> Actor:
    """Somebody of whom only the address is known; for doors that ask for no sign-in."""
    return access.visitor(ip=request.remote_addr or "", request_id=g.request_id)


def visitor_with_id() -> Actor:
    """The session's actor; a visitor gets an id that owns what they hold until they sign in."""
    if "visitor" not in session:
        session["visitor"] = str(new_id())
        g.pop("actor", None)
    return current_actor()


def _name_request() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else new_secret()


def _show_request_id(response):  # type: ignore[no-untyped-def]
    response.headers["X-Request-ID"] = g.get("request_id", "")
    return response


def _forget_choice(_app: Flask, **_: object) -> None:
    """The next person at this browser does not see what the last one was choosing."""
    for name in ("visitor", "chosen", SEEN):
        session.pop(name, None)


def _new_session_id(app: Flask, **_: object) -> None:
    app.session_interface.regenerate(session)  # type: ignore[attr-defined]
    g.pop("actor", None)
