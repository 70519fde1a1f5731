"""Idempotency-Key: the same key and the same request get the first answer again, byte for byte."""

import functools
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Response, current_app, make_response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from server.errors import Conflict, DomainError, Invalid
from server.services import answered
from server.services.transaction import atomic, retried
from server.utils.tokens import fingerprint
from server.web import problems
from server.web.identity import claim_of_guard, current_actor

KEPT_HEADERS = ("Content-Type", "Location", "ETag")


class StillRunning(Conflict):
    """The first request with this key has not been answered yet."""

    slug, title = "idempotency-key-in-use", "Still working on it"


class KeyReused(Invalid):
    """The key came with another request before."""

    slug, title = "idempotency-key-reused", "This key was used for another request"


def idempotent(view: Callable[..., Any]) -> Callable[..., Any]:
    """A door whose POST may be repeated safely by sending the same Idempotency-Key.

    The answer is stored in the transaction of its effect, so a crash leaves both or neither. Refusals (403, 409,
    422 and the like) are remembered too; 401, 429 and answers of 5xx never.
    """

    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(*args, **kwargs)
        if not re.fullmatch("[!-~]{1,255}", key):
            raise Invalid(
                "An Idempotency-Key has 1 to 255 visible characters of ASCII.",
                errors={"Idempotency-Key": ["1 to 255 visible characters of ASCII."]},
            )
        return _answer(key, lambda: make_response(view(*args, **kwargs)))

    wrapper.is_idempotent = True  # type: ignore[attr-defined]
    return wrapper


def _answer(key: str, run: Callable[[], Response]) -> Response:
    request_hash = fingerprint(f"{request.method} {request.full_path}\n{request.get_data(as_text=True)}")
    try:
        return _first_or_again(key, request_hash, run)
    except (DomainError, HTTPException) as error:
        if not _is_remembered(error):
            raise
        response: Response = current_app.make_response(current_app.handle_user_exception(error))
        with suppress(_Overtaken), atomic():
            _store(key, request_hash, response)
            return response
    except _Overtaken:
        pass
    return _first_or_again(key, request_hash, run)


def _is_remembered(error: DomainError | HTTPException) -> bool:
    status = error.status if isinstance(error, DomainError) else error.code or 500
    return not (isinstance(error, StillRunning | KeyReused) or status in (401, 429) or status >= 500)


class _Overtaken(Exception):
    """The key's answer is there by now, given to another request while this one was about to begin."""


@retried
def _first_or_again(key: str, request_hash: bytes, run: Callable[[], Response]) -> Response:
    user_id = current_actor().user_id
    with atomic():
        seen = claim_of_guard(key) or answered.claim(key, user_id=user_id)
        if not seen.is_ours:
            raise StillRunning("A request with this Idempotency-Key is still running. Try again in a moment.")
        if seen.request_hash is None:
            try:
                response = run()
            except DomainError as error:
                return _refused_at_once(key, request_hash, error)
            _store(key, request_hash, response)
            return response
    if bytes(seen.request_hash) != request_hash:
        raise KeyReused("This Idempotency-Key was used for another request. Use a new key for each new request.")
    again = Response(bytes(seen.body), status=seen.status, headers=seen.headers)
    again.headers["Idempotent-Replayed"] = "true"
    return again


def _refused_at_once(key: str, request_hash: bytes, error: DomainError) -> Response:
    """Most refusals come before anything was written: they are remembered as if they were an effect.

    Raises the error when there is something to take back first.
    """
    if _is_remembered(error) and error.status not in problems.NOTED:
        response = problems.refusal(error)
        with suppress(_Overtaken, SQLAlchemyError):  # whatever the database says to it: the error takes the long way
            _store(key, request_hash, response, if_nothing_written=True)
            return response
    raise error


def _store(key: str, request_hash: bytes, response: Response, *, if_nothing_written: bool = False) -> None:
    is_first = answered.keep(
        key,
        user_id=current_actor().user_id,
        request_hash=request_hash,
        status=response.status_code,
        headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
        body=response.get_data(),
        if_nothing_written=if_nothing_written,
    )
    if not is_first:
        raise _Overtaken
