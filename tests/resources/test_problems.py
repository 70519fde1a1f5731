"""Whatever goes wrong is said in one form (RFC 9457), in words of ours, and never with a server error."""

import io
import json
import logging
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError, OperationalError

from server.extensions import db
from server.web import logs
from tests.cast import Cast
from tests.resources.asking import Api

JSON = {"Content-Type": "application/json"}


def check_problem(answer: Any, status: int, slug: str) -> None:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    body = answer.json
    assert (body["status"], body["type"]) == (status, slug)
    assert body["title"]
    assert body["detail"].endswith((".", "?"))
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_is_not_there(api_client: Api, context: None) -> None:
    for path in ("/api/v1/nothing", "/api/v1/appointments/not-a-uuid", "/api/v2/me", "/api/", "/api/v1/me/"):
        check_problem(api_client(None).get(path), 404, "not-found")


def test_a_method_that_is_not_taken_names_those_that_are(api_client: Api, cast: Cast) -> None:
    for method, path, allowed in (
        ("DELETE", "/appointments", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PUT", f"/services/{cast.checkup_id}", {"GET", "HEAD", "OPTIONS", "PATCH"}),
        ("TRACE", "/me", {"GET", "HEAD", "OPTIONS"}),
        ("PROPFIND", "/locations", {"GET", "HEAD", "OPTIONS"}),
    ):
        answer = api_client(cast.ana).request(method, path)
        check_problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/me", "/appointments", "/locations", "/auth/login"])
def test_options_names_the_methods_and_asks_for_nothing(api_client: Api, context: None, path: str) -> None:
    answer = api_client(None).request("OPTIONS", path)
    assert (answer.status_code, answer.get_data()) == (200, b"")
    assert "OPTIONS" in answer.headers["Allow"]


def test_a_body_that_is_too_large(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.ana).request("POST", "/appointments", data=b" " * (1024 * 1024 + 1), headers=JSON)
    check_problem(answer, 413, "too-large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"])
def test_a_body_that_is_not_json(api_client: Api, cast: Cast, kind: str) -> None:
    data = b'{"email": "ana@example.com", "password": "x"}'
    answer = api_client(None).request("POST", "/auth/login", data=data, headers={"Content-Type": kind})
    check_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"}", b"{'a': 1}", b'{"a": 1,}', b'"start"', b"[]", b"null", b"7", b"NaN", b'{"reason": Infinity}',
        b"\xff\xfe", '{"reason": "x"}'.encode("utf-16"), b"\xef\xbb\xbf{}", b"\x00", b'{"reason": "\x01"}',
        b'{"reason": "\\ud800"}', b'{"\\udfff": 1}', b"[" * 100_000, b'{"a":' * 50_000,
        b'{"reason": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda data: repr(data[:16]),
)  # fmt: skip
def test_a_body_that_is_no_json_object_in_utf_8(api_client: Api, cast: Cast, data: bytes) -> None:
    answer = api_client(cast.ana).request("POST", "/appointments", data=data, headers=JSON)
    check_problem(answer, 422, "invalid")
    assert answer.json["errors"]["_"]


HOSTILE: list[Any] = [
    "\x00", "x\x00y", "\u202egnp.exe", "\ufffe", "\U0010ffff", "'; DROP TABLE users; --", "%s{{7*7}}", "x" * 100_000,
    "", "\r\nSet-Cookie: x=1", "2026-13-45T99:99:99Z", "１２", "e\u0301" * 300,
    -1, 10**400, 1e308, True, None, [[[[[[]]]]]], {"a": {"b": {}}},
]  # fmt: skip


@pytest.mark.usefixtures("no_limits", "cheap_passwords")
def test_F3_no_value_in_any_field_is_a_server_error(api_client: Api, cast: Cast) -> None:
    olga, visitor = api_client(cast.olga), api_client(None)
    booking = {
        "service_id": str(cast.checkup_id),
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "start": cast.at(9).isoformat(),
        "patient_id": str(cast.ana.patient_id),
    }
    person = {"email": "e@example.com", "password": "a long sentence", "given_name": "E", "family_name": "F"}
    doors: list[tuple[Any, str, str, dict[str, Any], list[str]]] = [
        (olga, "POST", "/appointments", booking, ["reason", "override", "hold_id", "location_id"]),
        (olga, "POST", "/holds", booking, []),
        (visitor, "POST", "/auth/register", {**person, "birth_date": "1990-01-01"}, ["phone", "language"]),
        (visitor, "POST", "/auth/login", {"email": "ana@example.com", "password": "x"}, ["code"]),
        (visitor, "POST", "/auth/confirm", {"token": "x"}, []),
        (olga, "PATCH", f"/services/{cast.checkup_id}", {"name": "Y"}, ["description", "step_minutes", "horizon_days"]),
    ]
    for client, method, path, right, more in doors:
        for field in (*right, *more):
            for value in HOSTILE:
                answer = client.request(method, path, {**right, field: value}, headers={"If-Match": "*"})
                assert answer.status_code < 500, f"{method} {path} {field}={value!r:.60}"
                if answer.status_code >= 400:
                    assert answer.content_type == "application/problem+json"


def test_F3_no_value_in_any_query_is_a_server_error(api_client: Api, cast: Cast) -> None:
    dana = api_client(cast.dana)
    right = {"service_id": str(cast.checkup_id), "from": str(cast.day()), "to": str(cast.day())}
    why = {
        "service_id": str(cast.checkup_id),
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "start": cast.at(9).isoformat(),
    }
    lists = ["limit", "cursor", "patient_id", "practitioner_id", "status", "from", "to"]
    doors: list[tuple[str, dict[str, str], list[str]]] = [
        ("/appointments", {}, lists),
        ("/availability", right, ["limit", "practitioner_id", "location_id"]),
        ("/availability/why", why, ["location_id"]),
        ("/practitioners", {}, ["limit", "cursor", "service_id", "location_id", "language"]),
    ]
    for path, query, more in doors:
        for field in (*query, *more):
            for value in [value for value in HOSTILE if isinstance(value, str | int) and len(str(value)) < 1000]:
                answer = dana.get(path, query_string={**query, field: str(value)})
                assert answer.status_code < 500, f"{path} {field}={value!r:.60}"


def test_the_request_id_of_the_caller_is_kept_when_it_is_harmless(api_client: Api, context: None) -> None:
    visitor = api_client(None)
    assert visitor.get("/me", headers={"X-Request-ID": "phone-1234.5_6"}).json["request_id"] == "phone-1234.5_6"
    for wrong in ("short", "x" * 65, "with space", "new\tline", '"><script>', "1234567;drop"):
        named = visitor.get("/me", headers={"X-Request-ID": wrong}).json["request_id"]
        assert named != wrong
        assert len(named) == 22


def test_a_good_answer_carries_its_request_id_too(api_client: Api, cast: Cast) -> None:
    first, second = (api_client(None).get("/locations").headers["X-Request-ID"] for _ in range(2))
    assert len(first) == 22
    assert first != second


@pytest.mark.usefixtures("cheap_passwords")
def test_too_many_requests_say_how_long_to_wait(api_client: Api, cast: Cast) -> None:
    visitor = api_client(None)
    for _ in range(10):
        visitor.post("/auth/login", {"email": "nobody@example.com", "password": "x"})
    answer = visitor.post("/auth/login", {"email": "nobody@example.com", "password": "x"})
    check_problem(answer, 429, "too-many-requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (ZeroDivisionError("canary"), 500, "internal-error"),
        (OperationalError("SELECT canary", {}, Exception("canary")), 503, "unavailable"),
        (DBAPIError("SELECT canary", {}, Exception("canary")), 500, "internal-error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_breaks_inside_stays_inside(
    app: Flask, api_client: Api, cast: Cast, caplog: pytest.LogCaptureFixture, error: Exception, status: int, slug: str
) -> None:
    """A door that fails: neither the answer nor the log repeats what was in it."""

    def fail() -> None:
        raise error

    app.before_request_funcs.setdefault("availability", []).append(fail)
    try:
        answer = api_client(None).get("/availability")
    finally:
        app.before_request_funcs["availability"].remove(fail)
    check_problem(answer, status, slug)
    assert "canary" not in answer.text
    assert "canary" not in caplog.text
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_value_the_database_cannot_hold_is_the_senders(api_client: Api, cast: Cast) -> None:
    answer = api_client(None).get("/practitioners?language=%00")
    check_problem(answer, 422, "invalid")
    assert db.session.is_active


def test_a_page_that_goes_wrong_is_a_page(api_client: Api, context: None) -> None:
    answer = api_client(None)._client.get("/nothing-here")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1" in answer.text


def test_a_strange_host_is_refused(api_client: Api, context: None) -> None:
    answer = api_client(None).get("/locations", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil" not in json.dumps(answer.json or answer.text)


def test_the_request_id_of_the_answer_finds_the_line_in_the_log(app: Flask, api_client: Api, context: None) -> None:
    def fail() -> None:
        raise LookupError

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs._Line("%(levelname)s [%(request_id)s] %(message)s"))
    logging.getLogger("server").addHandler(handler)
    app.before_request_funcs.setdefault("availability", []).append(fail)
    try:
        answer = api_client(None).get("/availability")
    finally:
        app.before_request_funcs["availability"].remove(fail)
        logging.getLogger("server").removeHandler(handler)
    assert f"ERROR [{answer.json['request_id']}]" in written.getvalue()
