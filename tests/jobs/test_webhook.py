"""The clinic's own system is told: ids only, signed, once, and again while it is away."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.jobs.letters import send_due
from server.models import OutboxMessage
from server.services import booking, outbox
from server.settings import SettingsError, load
from server.utils import clock
from tests.cast import Cast
from tests.conftest import SECRETS
from tests.jobs.test_sms import Gateway
from tests.running import free_port

SECRET = "w" * 40


@pytest.fixture
def system() -> Iterator[Gateway]:
    running = Gateway()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def listens(app: Flask, monkeypatch: pytest.MonkeyPatch, system: Gateway) -> Any:
    """The settings of a clinic whose system listens."""

    def listens(**over: Any) -> None:
        values = {"webhook_url": system.url, "webhook_secret": SECRET, "allow_private_urls": True, **over}
        monkeypatch.setitem(app.config, "FRONTDESK", replace(app.config["FRONTDESK"], **values))
        monkeypatch.setattr(outbox, "clinic_listens", True)

    return listens


def book(cast: Cast) -> Any:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
        reason="A secret rash",
    )


def calls() -> list[OutboxMessage]:
    query = select(OutboxMessage).where(OutboxMessage.channel == "webhook").order_by(OutboxMessage.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def test_each_change_of_a_visit_is_told_once_with_ids_only(listens: Any, system: Gateway, cast: Cast) -> None:
    listens()
    visit = book(cast)
    booking.reschedule_appointment(visit.id, start=cast.at(14), actor=cast.ana.actor)
    booking.cancel_appointment(visit.id, actor=cast.dana.actor)
    send_due()
    send_due()
    told = sorted(system.texts, key=lambda one: one["sequence"])  # here all were due at one instant
    assert [(one["event"], one["sequence"]) for one in told] == [
        ("appointment-booked", 0),
        ("appointment-moved", 1),
        ("appointment-cancelled", 2),
    ]
    assert {one["appointment_id"] for one in told} == {str(visit.id)}
    assert {one["patient_id"] for one in told} == {str(cast.ana.patient_id)}
    assert set(told[0]) - {"headers"} == {"id", "event", "appointment_id", "patient_id", "sequence", "created_at"}
    assert [row.outcome for row in calls()] == ["sent"] * 3


def test_the_signature_holds_over_time_and_body_and_not_over_another(listens: Any, system: Gateway, cast: Cast) -> None:
    listens()
    book(cast)
    send_due()
    (told,) = system.texts
    headers = told.pop("headers")
    at, given = (part.partition("=")[2] for part in headers["Frontdesk-Signature"].split(","))
    body = json.dumps(told).encode()
    assert abs(int(at) - clock.now().timestamp()) < 60
    assert given == hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert given != hmac.new(SECRET.encode(), f"{int(at) + 1}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Idempotency-Key"] == told["id"]


@pytest.mark.parametrize(("status", "outcome", "attempts"), [(410, "failed", 1), (503, None, 1), (302, None, 1)])
def test_a_refusal_ends_it_and_a_hiccup_does_not(
    listens: Any, system: Gateway, cast: Cast, status: int, outcome: str | None, attempts: int
) -> None:
    listens()
    system.status = status
    book(cast)
    send_due()
    (row,) = calls()
    assert (row.outcome, row.attempts) == (outcome, attempts)
    if outcome is None:
        system.status = 200
        db.session.execute(update(OutboxMessage).values(due_at=clock.now()))
        send_due()
        assert calls()[0].outcome == "sent"
        assert len({one["id"] for one in system.texts}) == 1, "the same id on a retry"


def test_C5_a_system_that_is_away_costs_no_try_and_no_letter(listens: Any, cast: Cast) -> None:
    listens(webhook_url=f"http://127.0.0.1:{free_port()}/")
    book(cast)
    assert send_due() == 1, "ana's letter"
    (row,) = calls()
    assert (row.outcome, row.attempts, row.leased_until) == (None, 0, None)


def test_it_leads_nowhere_inside_the_network(listens: Any, system: Gateway, cast: Cast) -> None:
    listens(allow_private_urls=False, webhook_url=system.url.replace("http:", "https:"))
    book(cast)
    send_due()
    assert system.texts == []
    assert calls()[0].outcome is None


def test_nobody_is_told_when_nobody_listens(cast: Cast) -> None:
    book(cast)
    assert calls() == []


def test_an_address_needs_a_secret() -> None:
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET"):
        load({}, **SECRETS, database_url="postgresql://x", redis_url="redis://x", webhook_url="https://x")
