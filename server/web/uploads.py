"""Doors that take a whole file: the only ones whose bodies may be larger than MAX_CONTENT_LENGTH."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request

from server.web.identity import current_actor

View = TypeVar("View", bound=Callable[..., Any])
MAX_BODY = 16_000_000  # a file of 10 MB, and what JSON or a form adds to it


def takes_a_file(view: View) -> View:
    """A view whose body may be as large as a file; on pages only of somebody who may import."""
    view.takes_a_file = True  # type: ignore[attr-defined]
    return view


def init_app(app: Flask) -> None:
    """To be called before whatever reads forms."""
    app.before_request(_raise_limit)


def attachment(chunks: Iterator[bytes], *, name: str, size: int | None, content_type: str) -> Response:
    """A file to be saved and never shown, sent piece by piece."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    response = Response(_in_context(app, chunks), content_type=content_type)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    if size is not None:
        response.content_length = size
    return response


def _in_context(app: Flask, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Each piece in a context of its own, so that no session of the database stays open while somebody reads slowly."""
    while True:
        with app.app_context():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _raise_limit() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    # The API reads a body after its guard; a page reads the form before, to find the CSRF token in it.
    if getattr(view, "takes_a_file", False) and (request.path.startswith("/api") or current_actor().may("import")):
        request.max_content_length = MAX_BODY
