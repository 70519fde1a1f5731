"""A phone that lost the answer sends the request again, and nothing happens twice."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from server.extensions import db
from server.models import Appointment, AuditEvent, HealthcareService, IdempotencyKey
from tests.cast import Cast
from tests.counting import counted
from tests.factories import create_appointment
from tests.resources.asking import Api, wanted
from tests.resources.test_contract import operations

KEY = {"Idempotency-Key": "5a1b-once"}


def count(table: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def same(first: Any, again: Any) -> None:
    assert (again.status_code, again.get_data()) == (first.status_code, first.get_data())
    for name in ("Content-Type", "Location", "ETag"):
        assert again.headers.get(name) == first.headers.get(name), name
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_A4_the_same_request_gets_the_first_answer_byte_for_byte(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    first = ana.post("/appointments", wanted(cast), headers=KEY)
    before = count(AuditEvent)
    again = ana.post("/appointments", wanted(cast), headers=KEY)
    assert (first.status_code, first.headers["ETag"]) == (201, '"v1"')
    same(first, again)
    assert (count(Appointment), count(AuditEvent)) == (1, before)


def test_A4_the_first_answer_stays_even_when_the_visit_has_changed(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    first = ana.post("/appointments", wanted(cast), headers=KEY)
    ana.post(f"{first.headers['Location']}/cancel")
    same(first, ana.post("/appointments", wanted(cast), headers=KEY))


def test_A4_another_body_another_address_or_another_step_is_refused(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    first = ana.post("/appointments", wanted(cast), headers=KEY)
    for answer in (
        ana.post("/appointments", wanted(cast, 10), headers=KEY),
        ana.post("/holds", wanted(cast), headers=KEY),
        ana.post(f"{first.headers['Location']}/cancel", headers=KEY),
    ):
        assert (answer.status_code, answer.json["type"]) == (422, "idempotency-key-reused")
    assert count(Appointment) == 1


def test_A4_refusals_are_remembered_too(api_client: Api, cast: Cast) -> None:
    api_client(cast.bea).post("/appointments", wanted(cast, 9))
    ana = api_client(cast.ana)
    for number, (body, status) in enumerate(
        [
            (wanted(cast, 9), 409),
            (wanted(cast, 7), 422),
            (wanted(cast, 10, patient_id=str(cast.bea.patient_id)), 404),
            (wanted(cast, 10, override={"reason": "please"}), 403),
            (wanted(cast, 10, reason=7), 422),
        ]
    ):
        key = {"Idempotency-Key": f"refused-{number}"}
        first = ana.post("/appointments", body, headers=key)
        assert first.status_code == status
        same(first, ana.post("/appointments", body, headers=key))


def test_A4_a_refused_time_that_became_free_needs_a_new_key(api_client: Api, cast: Cast) -> None:
    taken = api_client(cast.bea).post("/appointments", wanted(cast)).headers["Location"]
    ana = api_client(cast.ana)
    assert ana.post("/appointments", wanted(cast), headers=KEY).status_code == 409
    api_client(cast.bea).post(f"{taken}/cancel")
    assert ana.post("/appointments", wanted(cast), headers=KEY).status_code == 409
    assert ana.post("/appointments", wanted(cast), headers={"Idempotency-Key": "another"}).status_code == 201


@pytest.mark.real_commits
def test_A4_a_refusal_before_anything_was_written_is_remembered_at_once(api_client: Api, cast: Cast) -> None:
    """Who asks, what the rules say, other times, the answer to remember: in one transaction, and nothing twice."""
    api_client(cast.bea).post("/appointments", wanted(cast))
    ana = api_client(cast.ana)
    with counted() as statements:
        first = ana.post("/appointments", wanted(cast), headers=KEY)
    assert (first.status_code, first.json["type"], len(first.json["alternatives"])) == (409, "slot-taken", 3)
    assert len(statements) <= 4, "\n".join(statements)
    same(first, ana.post("/appointments", wanted(cast), headers=KEY))


@pytest.mark.real_commits
def test_A4_what_was_written_before_a_refusal_is_taken_back_and_the_refusal_remembered(
    api_client: Api, cast: Cast
) -> None:
    """The hold is given up before the rules are asked: who is refused still has it."""
    ana = api_client(cast.ana)
    hold = ana.post("/holds", wanted(cast)).json["id"]
    db.session.execute(update(HealthcareService).values(is_active=False))
    db.session.commit()
    body = wanted(cast, hold_id=hold)
    first = ana.post("/appointments", body, headers=KEY)
    assert (first.status_code, count(Appointment)) == (404, 1)
    same(first, ana.post("/appointments", body, headers=KEY))
    assert count(Appointment) == 1


def test_A4_a_key_is_its_owners(api_client: Api, cast: Cast) -> None:
    first = api_client(cast.ana).post("/appointments", wanted(cast), headers=KEY)
    other = api_client(cast.bea).post("/appointments", wanted(cast), headers=KEY)
    assert (first.status_code, other.status_code) == (201, 409)
    assert "Idempotent-Replayed" not in other.headers


def test_A4_not_being_let_in_is_not_remembered(api_client: Api, cast: Cast) -> None:
    assert api_client(None).post("/appointments", wanted(cast), headers=KEY).status_code == 401
    assert count(IdempotencyKey) == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ümlaut"])
def test_a_key_is_short_and_visible(api_client: Api, cast: Cast, key: str) -> None:
    answer = api_client(cast.ana).post("/appointments", wanted(cast), headers={"Idempotency-Key": key})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["Idempotency-Key"])


def test_A4_while_the_first_is_still_running_the_second_is_told_to_wait(api_client: Api, cast: Cast) -> None:
    """The lock of the first request, held by another connection."""
    engine = db.engine.engine
    ana = api_client(cast.ana)
    with engine.connect() as elsewhere:
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
        elsewhere.execute(lock, {"key": f"{cast.ana.user_id} {KEY['Idempotency-Key']}"})
        answer = ana.post("/appointments", wanted(cast), headers=KEY)
    assert (answer.status_code, answer.json["type"]) == (409, "idempotency-key-in-use")
    assert ana.post("/appointments", wanted(cast), headers=KEY).status_code == 201


# What repeats safely without a key, or must not be remembered: its answer holds keys of the house.
WITHOUT_KEYS = {
    "/api/v1/auth/register": "sends the letter again, the answer is the same",
    "/api/v1/auth/confirm": "confirming twice is no error",
    "/api/v1/auth/login": "a repeated sign-in is another sign-in",
    "/api/v1/auth/refresh": "a refresh token is used once, that is its point",
    "/api/v1/auth/logout": "the second one has no token any more",
    "/api/v1/auth/forgot-password": "another letter with another token; the answer is the same",
    "/api/v1/auth/reset-password": "a token is used once, that is its point",
    "/api/v1/closures/{closure_id}/preview": "it changes nothing",
}


@pytest.mark.usefixtures("no_limits")
def test_every_post_of_an_account_takes_a_key(api_client: Api, cast: Cast) -> None:
    dana, rows = api_client(cast.dana), [cast.practitioner(cast.dr_cho), cast.location, cast.checkup]
    described = list(operations(dana.get("/api/openapi.json").json))
    for number, (method, path, operation) in enumerate(described):
        takes_a_key = any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
        assert takes_a_key == (method == "POST" and path not in WITHOUT_KEYS), f"{method} {path}"
        if takes_a_key:
            visit = create_appointment(cast.patient(cast.ana), *rows, cast.at(9) + timedelta(minutes=30 * number))
            db.session.commit()
            later = cast.at(9, weeks=2) + timedelta(minutes=30 * number)
            bodies = {"reschedule": {"start": later.isoformat()}, "holds": wanted(cast, start=later.isoformat())}
            bodies["appointments"] = {**bodies["holds"], "patient_id": str(cast.bea.patient_id)}
            address, body = re.sub(r"{\w+}", str(visit.id), path), bodies.get(path.rpartition("/")[2], {})
            key = {"Idempotency-Key": operation["operationId"]}
            first = dana.post(address, body, headers=key)
            assert first.status_code < 300 or first.status_code in (403, 404, 409, 422), first.text  # refusals, too
            same(first, dana.post(address, body, headers=key))
