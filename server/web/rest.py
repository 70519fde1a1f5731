"""What every REST door shares: bodies that are JSON and nothing else, and nothing that goes unread."""

import json
from collections.abc import Callable
from typing import Any

import flask.views
import flask_smorest
from flask import Request, Response, request
from marshmallow import RAISE, Schema
from webargs import missing
from webargs.flaskparser import FlaskParser

from server.errors import DomainError, Invalid


class NotJson(DomainError):
    """The body is of a kind that this server does not read."""

    status, slug, title = 415, "unsupported-media-type", "Send JSON"


def read_json() -> Any:
    """The JSON object of this request's body; `missing` when there is no body.

    UTF-8 only (RFC 8259), without the characters that JSON can spell and text cannot hold (RFC 7493).
    Raises NotJson or Invalid.
    """
    data = request.get_data(cache=True)
    if not request.is_json and (data or request.content_length):  # a form may have been read already
        raise NotJson("Send the body as application/json.")
    if not data:
        return missing
    try:
        text = data.decode()
        body = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair cannot be encoded
    except (ValueError, RecursionError) as error:  # broken, not UTF-8, a number without end, nested without end
        raise Invalid("The body is not JSON.", errors={"_": ["This is not valid JSON in UTF-8."]}) from error
    if not isinstance(body, dict):
        raise Invalid("The body is not a JSON object.", errors={"_": ["Send a JSON object."]})
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictParser(FlaskParser):
    """Reads bodies as `read_json` does; what a query string has too much is an error, never ignored."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def load_json(self, _request: Request, _schema: Schema) -> Any:
        return read_json()


class Blueprint(flask_smorest.Blueprint):
    """Of a noun of the API. Its doors are of `MethodView` below."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: Any, *, location: str = "json", **kwargs: Any) -> Callable[[Any], Any]:
        if isinstance(schema, type):
            schema = schema()  # once, and not anew for each request
        declare = super().arguments(schema, location=location, **kwargs)

        def decorator(view: Any) -> Any:
            reading = declare(view)
            reading.reads_query = location == "query" or getattr(view, "reads_query", False)
            return reading

        return decorator


class MethodView(flask.views.MethodView):
    """A door that refuses a query string it does not read, or in which a name comes twice.

    What it reads out with an ETag is not sent again to whoever has it (If-None-Match), unless what it tells goes
    beyond the thing that the ETag is of.
    """

    tells_more_than_its_etag = False

    def dispatch_request(self, **kwargs: Any) -> Any:
        view = getattr(self, "get" if request.method == "HEAD" else request.method.lower(), None)
        reads = getattr(view, "reads_query", False)
        wrong = {name: ["Give it once."] for name, given in request.args.lists() if len(given) > 1}
        wrong |= {} if reads else {name: ["Unknown field."] for name in request.args}
        if wrong:
            raise Invalid("The query string is not one that this address reads.", errors=wrong)
        answer = super().dispatch_request(**kwargs)
        is_read = request.method in ("GET", "HEAD") and not self.tells_more_than_its_etag
        if is_read and isinstance(answer, Response):
            answer.make_conditional(request)
        return answer
