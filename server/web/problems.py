"""One handler for everything that goes wrong: problem+json (RFC 9457) for programs, a page for people."""

import logging
import traceback
from typing import Any
from uuid import UUID

from flask import Flask, Response, g, json, render_template, request
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from werkzeug.exceptions import HTTPException, SecurityError

from server.errors import DomainError
from server.extensions import jwt
from server.services import audit
from server.services.transaction import abandon, atomic, sqlstate
from server.web import sentry
from server.web.identity import plain_visitor
from server.web.look import keep_plain

log = logging.getLogger(__name__)

SLUGS = {
    400: "bad-request",
    401: "unauthenticated",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    428: "precondition-required",
    429: "too-many-requests",
    500: "internal-error",
    503: "unavailable",
}
NOTED = (401, 403, 404)  # refusals by policy: they go on record
# What the libraries say is meant for somebody else.
DETAILS = {
    400: "The request cannot be read.",
    404: "There is nothing at this address.",
    405: "This address is not made for that.",
    413: "That is more than this server takes at once.",
    415: "This kind of content is not read here.",
    422: "Some of what was sent is not right.",
    429: "Too many requests. Please wait a little, then try again.",
}


def init_app(app: Flask) -> None:
    """Register last: flask-smorest puts a JSON handler on the whole app, pages included."""
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(SQLAlchemyError, _database_error)
    app.register_error_handler(Exception, _unexpected)
    jwt.unauthorized_loader(_no_token)
    jwt.invalid_token_loader(_forged_token)
    jwt.expired_token_loader(
        lambda _header, _claims: problem(401, "token-expired", "Please sign in again", "The access token has expired.")
    )
    jwt.token_verification_failed_loader(
        lambda _header, _claims: problem(
            401, "invalid-token", "Please sign in", "The token is not meant for this server."
        )
    )


def _no_token(_reason: str) -> Response:
    return problem(401, "invalid-token", "Please sign in", "The request carries no valid access token.")


def _forged_token(reason: str) -> Response:
    abandon()
    _note_refusal(401)
    return _no_token(reason)


def problem(status: int, slug: str, title: str, detail: str, **members: Any) -> Response:
    """An application/problem+json answer; `members` are added to the five standard ones."""
    body = {
        "type": slug,
        "title": title,
        "status": status,
        "detail": detail,
        **members,
        "request_id": g.get("request_id", ""),
    }
    response = Response(json.dumps(body), status=status, content_type="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="frontdesk"'
    return response


def answer(status: int, slug: str, title: str, detail: str, **members: Any) -> Response:
    """The same trouble for whoever asked: JSON for programs, a page elsewhere."""
    if request.path.startswith(("/api", "/fhir", "/hooks")):
        return problem(status, slug, title, detail, **members)
    if status >= 500:
        keep_plain()
    page = render_template("errors/problem.html", status=status, title=title, detail=detail)
    return Response(page, status=status)


def _domain_error(error: DomainError) -> Response:
    abandon()
    if error.status in NOTED:
        _note_refusal(error.status)
    return refusal(error)


def refusal(error: DomainError) -> Response:
    """The answer to a request that a rule forbids."""
    response = answer(error.status, error.slug, error.title, error.detail, **_jsonable(error.extra))
    if retry_after := getattr(error, "retry_after", None):
        response.headers["Retry-After"] = str(retry_after)
    return response


def _note_refusal(status: int) -> None:
    """Who was refused at which door, and about what; the refusal stands whether or not it can be noted."""
    named = request.view_args or {}
    actor = g.get("actor") or plain_visitor()
    if status == 404 and actor.user_id is None and not named.keys() & {"token", "secret"}:
        return  # a visitor to what everybody may see
    ids = [value for value in named.values() if isinstance(value, UUID)]
    try:
        with atomic():
            audit.record(
                "request.refused",
                actor=actor,
                object_type=(request.endpoint or "")[:40],
                object_id=ids[0] if ids else None,
                patient_id=named.get("patient_id"),
                outcome="refused",
            )
    except SQLAlchemyError as failed:
        log.error("A refusal is not on record: %s", sqlstate(failed) or type(failed).__name__)


def _jsonable(extra: dict[str, Any]) -> dict[str, Any]:
    """Alternatives come as FreeTime objects; everything else is JSON already."""
    if "alternatives" in extra:
        extra = {**extra, "alternatives": [free.as_json() for free in extra["alternatives"]]}
    return extra


def _http_error(error: HTTPException) -> Response:
    abandon()
    status = error.code or 500
    if isinstance(error, SecurityError):  # a name that is not ours: there is no address to build a page's links from
        return Response("This server does not answer to that name.\n", status=400, mimetype="text/plain")
    if status < 400:  # a redirect is raised as an exception, too
        return error.get_response()  # type: ignore[return-value]
    members: dict[str, Any] = {}
    messages = getattr(error, "data", {}).get("messages") if hasattr(error, "data") else None
    if messages:
        members["errors"] = _flat(messages)
    theirs = status in (422, 429) or error.description == type(error).description
    detail = (None if theirs else error.description) or DETAILS.get(status) or error.name
    response = answer(status, SLUGS.get(status, "error"), error.name, detail, **members)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _flat(messages: Any) -> dict[str, list[str]]:
    """webargs answers {place: {field: [sentence]}}, the contract {field: [sentence]}."""
    flat: dict[str, list[str]] = {}
    for fields in messages.values():
        for name, sentences in (fields if isinstance(fields, dict) else {"_": fields}).items():
            flat[str(name)] = _sentences(sentences)
    return flat


def _sentences(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {sentence}" for key, inner in value.items() for sentence in _sentences(inner)]
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _database_error(error: SQLAlchemyError) -> Response:
    """The database's own words never leave; a value it could not even read is the sender's."""
    abandon()
    if isinstance(error, DataError):
        return answer(422, "invalid", "Some of what was sent is not right", "A value is outside of what can be stored.")
    if isinstance(error, OperationalError | NoConnectionFree) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        log.error("The database does not answer: %s", sqlstate(error))
        response = answer(
            503, "unavailable", "Not available right now", "The database does not answer. Please try again."
        )
        response.headers["Retry-After"] = "2"
        return response
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    abandon()
    sentry.report(error)
    # Where it happened, never the message: it may hold what somebody typed, or a row of the database.
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("Unexpected %s %s\n%s", type(error).__name__, sqlstate(error) or "", places)
    return answer(500, "internal-error", "Something went wrong", "This is our fault. It has been written down.")
