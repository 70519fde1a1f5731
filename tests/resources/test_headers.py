"""I7, J5: every answer protects whoever reads it, errors included, and only public ones may be kept."""

import pytest
from flask import Flask

from tests.cast import Cast
from tests.clients import Client
from tests.resources.asking import Api

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.fixture
def answers(api_client: Api, cast: Cast) -> dict[str, object]:
    """One answer of each kind, by what it is."""
    visitor, ana = api_client(None), api_client(cast.ana)
    body = {
        "service_id": str(cast.checkup_id),
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "start": cast.at(9).isoformat(),
    }
    booked = ana.post("/appointments", body, headers={"Idempotency-Key": "once"})
    return {
        "200 mine": ana.get("/me"),
        "200 list": ana.get("/appointments"),
        "200 free times": visitor.get(f"/availability?service_id={cast.checkup_id}&from={cast.day()}&to={cast.day()}"),
        "200 description": visitor.get("/api/openapi.json"),
        "201": booked,
        "201 again": ana.post("/appointments", body, headers={"Idempotency-Key": "once"}),
        "200 calendar": ana.get(f"{booked.headers['Location']}/calendar.ics"),
        "204": ana.post("/auth/logout"),
        "401": visitor.get("/me"),
        "404": visitor.get("/nothing"),
        "404 directory": visitor.get(f"/services/{cast.location_id}"),
        "405": visitor.delete("/me"),
        "409": api_client(cast.bea).post("/appointments", body),
        "422": visitor.post("/auth/login", {}),
        "OPTIONS": visitor.request("OPTIONS", "/me"),
    }


def test_I7_every_answer_says_how_it_may_be_used(answers: dict[str, object]) -> None:
    for what, answer in answers.items():
        headers = answer.headers  # type: ignore[attr-defined]
        for name, value in ALWAYS.items():
            assert headers[name] == value, f"{what}: {name}"
        policy = headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
            assert part in policy, f"{what}: {part}"
        assert "unsafe" not in policy, what
        assert "camera=()" in headers["Permissions-Policy"], what
        assert "X-Request-ID" in headers, what


def test_J5_what_is_personal_or_wrong_is_never_kept(answers: dict[str, object]) -> None:
    for what, answer in answers.items():
        assert answer.headers["Cache-Control"] == "no-store", what  # type: ignore[attr-defined]
        assert "Set-Cookie" not in answer.headers, what  # type: ignore[attr-defined]


def test_J5_only_the_directory_may_be_kept(api_client: Api, cast: Cast) -> None:
    visitor = api_client(None)
    for path in ("/locations", "/services", "/practitioners", f"/locations/{cast.location_id}"):
        answer = visitor.get(path)
        assert answer.headers["Cache-Control"] == "public, max-age=60", path
        unchanged = visitor.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert unchanged.headers["Cache-Control"] == "public, max-age=60", path
    assert visitor.get(f"/services/{cast.checkup_id}").headers["Cache-Control"] == "public, no-cache"


def test_each_page_has_a_nonce_of_its_own(api_client: Api, context: None) -> None:
    policies = {api_client(None).get("/locations").headers["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


def test_over_tls_the_browser_is_told_to_stay_there(app: Flask, context: None) -> None:
    client = Client(app, app.response_class)
    assert "Strict-Transport-Security" not in client.get("/api/v1/nothing").headers
    answer = client.get("/api/v1/nothing", base_url="https://localhost")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_the_server_does_not_say_what_it_is_made_of(answers: dict[str, object]) -> None:
    for answer in answers.values():
        assert not {"Server", "X-Powered-By"} & set(answer.headers.keys())  # type: ignore[attr-defined]
