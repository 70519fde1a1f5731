"""Texts to a gateway on loopback: handed over once, refused for good, or kept while it is away."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.jobs.letters import send_due
from server.models import OutboxMessage
from server.services import booking, reminders
from server.utils import clock
from tests.cast import Cast
from tests.running import free_port


class Gateway:
    """What it was sent, and what it answers."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        self.status = 200
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                is_json = self.headers["Content-Type"] == "application/json"
                gateway.texts.append(
                    {**(json.loads(body) if is_json else parse_qs(body)), "headers": dict(self.headers)}
                )
                answer = json.dumps({"id": f"text-{len(gateway.texts)}"}).encode()
                self.send_response(gateway.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/texts"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    running = Gateway()
    yield running
    running.server.shutdown()
    running.server.server_close()


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


@pytest.mark.parametrize(("status", "outcome", "attempts"), [(400, "failed", 1), (500, None, 1), (429, None, 1)])
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
