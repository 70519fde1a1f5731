"""A clinic's own web app may call the API from the origins that were named, and nobody else's may."""

import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from server.app import create_app
from server.extensions import db
from server.jobs import wake
from server.settings import Settings
from tests.clients import Client

APP = "https://app.riverside.example"


@pytest.fixture(scope="module")
def open_app(app: Flask, settings: Settings) -> Iterator[Flask]:
    """The same server with one origin allowed."""
    open_app = contextvars.Context().run(create_app, dataclasses.replace(settings, cors_origins=(APP,)))
    yield open_app
    wake.init_app(app)  # the hooks to the broker are one for the process
    with open_app.app_context():
        db.engine.dispose()


def ask(app: Flask, origin: str, method: str = "GET", path: str = "/api/v1/auth/nothing", **headers: str) -> Any:
    return Client(app, app.response_class).open(path, method=method, headers={"Origin": origin, **headers})


def test_no_origin_is_allowed_unless_it_is_named(app: Flask, open_app: Flask) -> None:
    for each, origin in ((app, APP), (open_app, "https://evil.example"), (open_app, "null"), (open_app, f"{APP}.evil")):
        answer = ask(each, origin)
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


def test_the_named_origin_reads_answers_and_the_headers_it_needs(open_app: Flask) -> None:
    answer = ask(open_app, APP)
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Location", "Retry-After", "X-Request-ID", "Idempotent-Replayed"} <= exposed


@pytest.mark.parametrize(
    ("path", "method"), [("/api/v1/me", "GET"), ("/api/v1/appointments", "POST"), ("/api/v1/auth/login", "POST")]
)
def test_a_browser_asks_before_it_sends_the_token(open_app: Flask, path: str, method: str) -> None:
    wanted = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match",
    }
    answer = ask(open_app, APP, "OPTIONS", path, **wanted)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, APP)
    assert method in answer.headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key", "if-match"} <= allowed
    assert answer.headers["Access-Control-Max-Age"] == "600"


def test_the_pages_are_for_no_other_origin(open_app: Flask) -> None:
    for path in ("/login", "/", "/healthz"):
        assert "Access-Control-Allow-Origin" not in ask(open_app, APP, path=path).headers
