"""Texts to a gateway on loopback: handed over once, refused for good, or kept while it is away."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.jobs import sms
from server.jobs.letters import send_due
from server.jobs.sms import breaker
from server.models import OutboxMessage
from server.services import booking, messages, reminders
from server.utils import clock
from tests.cast import Cast
from tests.gateway import Gateway
from tests.running import free_port


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    running = Gateway()
    yield running
    running.close()


@pytest.fixture
def set_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_up(**settings: str) -> None:
        monkeypatch.setitem(app.config, "FRONTDESK", replace(app.config["FRONTDESK"], **settings))

    return set_up


@pytest.fixture
def due(cast: Cast) -> OutboxMessage:
    """A text to ana that is due."""
    cast.patient(cast.ana).phone = "(212) 555-0141"
    cast.location.country = "US"
    db.session.commit()
    reminders.create_rule({"minutes_before": 1440, "channel": "sms"}, actor=cast.olga.actor)
    booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.ana.actor
    )
    db.session.execute(update(OutboxMessage).where(OutboxMessage.channel == "email").values(outcome="skipped"))
    db.session.execute(update(OutboxMessage).where(OutboxMessage.channel == "sms").values(due_at=clock.now()))
    db.session.commit()
    return db.session.scalars(select(OutboxMessage).where(OutboxMessage.channel == "sms")).one()


def test_ana_gets_one_text_at_her_number(set_up: Any, gateway: Gateway, due: OutboxMessage) -> None:
    set_up(sms_url=gateway.url, sms_token="secret", sms_sender="Clinic")
    assert (send_due(), send_due()) == (1, 0)
    (text,) = gateway.texts
    assert (text["to"], text["from"], text["id"]) == ("+12125550141", "Clinic", str(due.id))
    assert text["headers"]["Authorization"] == "Bearer secret"
    assert "2026, 09:00 (New York time), Riverside" in text["text"]
    assert "Check-up" not in text["text"]
    db.session.refresh(due)
    assert (due.outcome, due.provider_id) == ("sent", "text-1")


def test_twilios_form(set_up: Any, gateway: Gateway, due: OutboxMessage) -> None:
    set_up(sms_gateway="twilio", sms_url=gateway.url, sms_account="AC1", sms_token="secret", sms_sender="+12125550100")
    assert send_due() == 1
    (text,) = gateway.texts
    assert (text["To"], text["From"]) == (["+12125550141"], ["+12125550100"])
    assert text["headers"]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(("status", "outcome", "attempts"), [(400, "failed", 1), (500, None, 1), (429, None, 0)])
def test_a_refusal_ends_it_and_a_hiccup_does_not(
    set_up: Any, gateway: Gateway, due: OutboxMessage, status: int, outcome: str | None, attempts: int
) -> None:
    gateway.status = status
    set_up(sms_url=gateway.url)
    assert send_due() == 0
    db.session.refresh(due)
    assert (due.outcome, due.attempts) == (outcome, attempts)


def test_C5_a_gateway_that_is_away_costs_no_try(set_up: Any, due: OutboxMessage) -> None:
    set_up(sms_url=f"http://127.0.0.1:{free_port()}/")
    assert send_due() == 0
    db.session.refresh(due)
    assert (due.outcome, due.attempts, due.leased_until) == (None, 0, None)


@pytest.mark.parametrize("phone", ["call my wife", "12", ""])
def test_a_number_that_is_none_is_said_to_be(
    set_up: Any, gateway: Gateway, cast: Cast, due: OutboxMessage, phone: str
) -> None:
    cast.patient(cast.ana).phone = phone
    db.session.commit()
    set_up(sms_url=gateway.url)
    assert send_due() == 0
    db.session.refresh(due)
    assert due.outcome == "failed"
    assert gateway.texts == []


def again(message: OutboxMessage) -> None:
    db.session.execute(update(OutboxMessage).where(OutboxMessage.id == message.id).values(due_at=clock.now()))
    db.session.commit()


def state(message: OutboxMessage) -> tuple[str | None, int]:
    db.session.refresh(message)
    return message.outcome, message.attempts


def test_C5_a_gateway_that_keeps_failing_is_left_alone_and_no_more_tries_are_used(
    set_up: Any, gateway: Gateway, due: OutboxMessage
) -> None:
    gateway.status = 503
    set_up(sms_url=gateway.url)
    for _ in range(3):
        again(due)
        assert send_due() == 0
    assert len(gateway.texts) == 3
    assert state(due) == (None, 2), "the third failure is the gateway's"
    assert due.leased_until is not None, "and the next probe is another message's"
    db.session.execute(update(OutboxMessage).values(leased_until=None))
    db.session.commit()
    assert [send_due() for _ in range(5)] == [0] * 5
    assert len(gateway.texts) == 3, "nobody knocks"
    assert state(due) == (None, 2)
    breaker.until = 0.0  # a minute later
    assert send_due() == 0
    assert len(gateway.texts) == 4, "one probe, and it is left alone for longer"
    assert 60 < breaker.seconds_left <= 120
    gateway.status = 200
    breaker.until = 0.0
    db.session.execute(update(OutboxMessage).values(leased_until=None))
    db.session.commit()
    assert send_due() == 1
    assert state(due) == ("sent", 3)


def test_C5_control_without_the_breaker_every_sweep_knocks(
    set_up: Any, gateway: Gateway, due: OutboxMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "patience", 1000)
    gateway.status = 503
    set_up(sms_url=gateway.url)
    for _ in range(8):
        again(due)
        send_due()
    assert (len(gateway.texts), state(due)) == (8, ("failed", 8)), "and the text is lost"


def test_C5_a_gateway_that_says_nothing_keeps_a_worker_three_times_and_costs_no_try(
    set_up: Any, due: OutboxMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system takes the call, and nobody ever answers
        set_up(sms_url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        for _ in range(6):
            assert send_due() == 0
        silent.settimeout(0.2)
        calls = 0
        while True:
            try:
                silent.accept()[0].close()
            except TimeoutError:
                break
            calls += 1
    assert calls == 3
    assert state(due) == (None, 0)


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_what_blames_our_set_up_costs_no_try(set_up: Any, gateway: Gateway, due: OutboxMessage, status: int) -> None:
    gateway.status, gateway.headers = status, {"Location": gateway.url}
    set_up(sms_url=gateway.url)
    assert send_due() == 0
    assert (len(gateway.texts), state(due)) == (1, (None, 0))


def test_a_gateway_that_asks_us_to_wait_is_obeyed(set_up: Any, gateway: Gateway, due: OutboxMessage) -> None:
    gateway.status, gateway.headers = 429, {"Retry-After": "90"}
    set_up(sms_url=gateway.url)
    assert (send_due(), send_due()) == (0, 0)
    assert len(gateway.texts) == 1
    assert 85 < breaker.seconds_left <= 90


@pytest.mark.parametrize("body", [b"OK", b"{", b"[1]", b"null"])
def test_what_was_taken_is_taken_whatever_the_gateway_writes_about_it(
    set_up: Any, gateway: Gateway, due: OutboxMessage, body: bytes
) -> None:
    gateway.body = body
    set_up(sms_url=gateway.url)
    assert (send_due(), send_due()) == (1, 0)
    assert (len(gateway.texts), state(due)) == (1, ("sent", 1))


def test_a_try_that_dana_asks_for_is_not_taken_for_a_repeat(
    set_up: Any, gateway: Gateway, cast: Cast, due: OutboxMessage
) -> None:
    gateway.status = 400
    set_up(sms_url=gateway.url)
    send_due()
    gateway.status = 200
    messages.retry(due.id, actor=cast.dana.actor)
    assert send_due() == 1
    assert [text["headers"]["Idempotency-Key"] for text in gateway.texts] == [str(due.id), f"{due.id}-1"]


def test_twilio_is_told_where_to_say_what_became_of_it(set_up: Any, gateway: Gateway, due: OutboxMessage) -> None:
    set_up(sms_gateway="twilio", sms_url=gateway.url, base_url="https://clinic.example.org")
    send_due()
    assert gateway.texts[0]["StatusCallback"] == [f"https://clinic.example.org/hooks/texts/status?message={due.id}"]


def test_a_number_that_the_gateway_knows_to_have_said_stop_gets_no_more(
    set_up: Any, gateway: Gateway, cast: Cast, due: OutboxMessage
) -> None:
    gateway.status, gateway.body = 400, b'{"code": 21610}'
    set_up(sms_url=gateway.url)
    assert send_due() == 0
    assert state(due) == ("failed", 1)
    messages.retry(due.id, actor=cast.dana.actor)
    assert send_due() == 0
    assert (len(gateway.texts), state(due)[0]) == (1, "skipped")
