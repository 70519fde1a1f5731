"""Who guesses is slowed down, whoever they pretend to be; who works is not. With Redis or without."""

from typing import Any

import pytest
import redis
from flask import Flask

from tests.cast import Cast
from tests.clients import Client
from tests.factories import PASSWORD
from tests.resources.asking import Api

pytestmark = pytest.mark.usefixtures("cheap_passwords")


def guess(app: Flask, email: Any = "ana@example.com", *, ip: str = "192.0.2.1", **over: Any) -> Any:
    body = {"email": email, "password": "a guess", **over}
    return Client(app, app.response_class).post("/api/v1/auth/login", json=body, environ_base={"REMOTE_ADDR": ip})


def test_H2_ten_guesses_at_one_account_from_anywhere_and_no_more(app: Flask, cast: Cast) -> None:
    answers = [guess(app, ip=f"192.0.2.{number}") for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert answers[-1].content_type == "application/problem+json"
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert guess(app, "bea@example.com").status_code == 401


def test_H2_the_right_password_does_not_help_a_guesser_who_is_out(app: Flask, cast: Cast) -> None:
    for _ in range(10):
        guess(app)
    assert guess(app, password=PASSWORD).status_code == 429


def test_H2_writing_the_address_differently_is_the_same_account(app: Flask, cast: Cast) -> None:
    for number in range(10):
        guess(app, ["ANA@example.com", " ana@example.com ", "Ana@Example.Com"][number % 3])
    assert guess(app).status_code == 429


def test_H2_one_address_cannot_try_everybody(app: Flask, cast: Cast) -> None:
    answers = [guess(app, f"nobody{number}@example.com").status_code for number in range(121)]
    assert answers == [401] * 120 + [429]
    assert guess(app, "nobody@example.com", ip="192.0.2.2").status_code == 401


def test_H2_refused_guesses_at_one_account_leave_the_address_to_others(app: Flask, cast: Cast) -> None:
    assert [guess(app).status_code for _ in range(130)] == [401] * 10 + [429] * 120
    assert guess(app, "bea@example.com").status_code == 401


@pytest.mark.parametrize("email", [None, 7, ["ana@example.com"], {"a": 1}, "\ud800", "x" * 100_000])
def test_nonsense_instead_of_an_address_is_counted_and_refused(app: Flask, context: None, email: Any) -> None:
    assert [guess(app, email).status_code for _ in range(11)] == [422] * 10 + [429]


def test_E4_a_made_up_forwarded_address_changes_nothing(app: Flask, cast: Cast) -> None:
    client = Client(app, app.response_class)
    for number in range(130):
        answer = client.post(
            "/api/v1/auth/login",
            json={"email": f"nobody{number}@example.com", "password": "x"},
            headers={"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"203.0.113.{number}"},
        )
    assert answer.status_code == 429


def test_registering_and_confirming_are_counted_together(api_client: Api, context: None) -> None:
    visitor = api_client(None)
    answers = [visitor.post("/auth/register", {}).status_code for _ in range(30)]
    answers += [visitor.post("/auth/confirm", {}).status_code for _ in range(31)]
    assert answers == [422] * 60 + [429]


def test_a_busy_front_desk_is_not_in_the_way_of_another(api_client: Api, cast: Cast) -> None:
    dana, olga = api_client(cast.dana), api_client(cast.olga)
    answers = [dana.post("/holds", {}).status_code for _ in range(121)]
    assert answers == [422] * 120 + [429]
    assert olga.post("/holds", {}).status_code == 422


def test_an_answer_that_is_no_refusal_asks_nobody_to_wait(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.ana).post("/holds", {})
    assert "Retry-After" not in answer.headers
    assert answer.status_code == 422


def test_J1_redis_is_told_no_address(app: Flask, cast: Cast, redis_url: str) -> None:
    guess(app)
    keys = b" ".join(redis.Redis.from_url(redis_url).keys())
    assert b"sign-in-email" in keys
    assert b"ana" not in keys


# --- B3: Redis is away ---


def test_B3_guesses_are_counted_without_redis(app: Flask, cast: Cast, redis_away: None) -> None:
    answers = [guess(app) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert "Retry-After" in answers[-1].headers


def test_B3_the_directory_free_times_and_bookings_need_no_redis(api_client: Api, cast: Cast, redis_away: None) -> None:
    visitor, ana = api_client(None), api_client(cast.ana)
    for path in ("/locations", "/services", f"/services/{cast.checkup_id}", "/practitioners"):
        assert visitor.get(path).status_code == 200, path
    day = f"service_id={cast.checkup_id}&from={cast.day()}&to={cast.day()}"
    assert visitor.get(f"/availability?{day}").json["items"]
    body = {
        "service_id": str(cast.checkup_id),
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "start": cast.at(9).isoformat(),
    }
    assert ana.post("/appointments", body).status_code == 201
    olga = api_client(cast.olga)
    assert olga.patch(f"/services/{cast.checkup_id}", {"name": "New"}, headers={"If-Match": "*"}).status_code == 200
    assert ana.get("/me").status_code == 200
