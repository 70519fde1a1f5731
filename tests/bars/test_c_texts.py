"""C1 for texts: a worker that is killed between the gateway's answer and its own note hands over the same id again."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from server.app import create_app
from server.extensions import db
from server.jobs import schema
from server.models import OutboxMessage
from server.settings import Settings, load
from server.utils import clock
from server.utils.tokens import new_id
from tests.conftest import SECRETS
from tests.factories import create_appointment, create_location, create_patient, create_practitioner, create_service
from tests.gateway import Gateway
from tests.running import FRONTDESK

pytestmark = pytest.mark.processes


class TextOffice:
    """A clinic with three texts that are due, a gateway, and processes that send."""

    def __init__(self, app: Flask, env: dict[str, str], gateway: Gateway) -> None:
        self.app, self.env, self.gateway = app, env, gateway

    def remind(self) -> None:
        with self.app.app_context():
            place, service = create_location(country="US"), create_service()
            rule = new_id()
            db.session.execute(text("DELETE FROM outbox_messages; DELETE FROM appointments"))
            db.session.execute(
                text("INSERT INTO reminder_rules (id, channel, minutes_before) VALUES (:id, 'sms', 60)"), {"id": rule}
            )
            for number in range(3):
                patient = create_patient(phone=f"+1212555010{number}")
                visit = create_appointment(
                    patient, create_practitioner(), place, service, clock.now() + timedelta(hours=30)
                )
                db.session.add(
                    OutboxMessage(
                        letter="appointment-reminder",
                        channel="sms",
                        rule_id=rule,
                        patient_id=patient.id,
                        appointment_id=visit.id,
                    )
                )
            db.session.commit()

    def run(self, *command: str) -> int:
        return subprocess.run(command, env=self.env, capture_output=True, timeout=60).returncode

    def dies_at(self, point: str, number: int) -> None:
        worker = [sys.executable, "-m", "tests.bars.dying_worker"]
        said = {"input": f"{point} {number}\n", "text": True}
        done = subprocess.run(worker, env=self.env, capture_output=True, timeout=60, **said)  # type: ignore[call-overload]
        assert done.stdout.split()[-1] == "9"

    def leases_end(self) -> None:
        with self.app.app_context():
            db.session.execute(text("UPDATE outbox_messages SET leased_until = clock_timestamp()"))
            db.session.commit()

    def rows(self) -> list[Any]:
        with self.app.app_context():
            return list(db.session.execute(select(OutboxMessage.outcome, OutboxMessage.sent_to)))


@pytest.fixture(scope="module")
def office(new_database: Callable[[str], str], settings: Settings) -> Iterator[TextOffice]:
    gateway, url = Gateway(), new_database("frontdesk_texts")
    app = create_app(load({}, **SECRETS, database_url=url, redis_url=settings.redis_url))
    schema.upgrade(app)
    env = {
        **os.environ,
        **{name.upper(): value for name, value in SECRETS.items()},
        "DATABASE_URL": url,
        "REDIS_URL": settings.redis_url,
        "SMS_URL": gateway.url,
        "SMS_TOKEN": "secret",
    }
    yield TextOffice(app, env, gateway)
    gateway.close()
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize(("point", "handed_over"), [("after-claim", 3), ("after-250", 4)])
def test_C1_a_killed_worker_loses_no_text_and_repeats_none_under_another_id(
    office: TextOffice, point: str, handed_over: int
) -> None:
    office.gateway.texts.clear()
    office.remind()
    office.dies_at(point, 2)
    office.leases_end()
    assert office.run(*FRONTDESK, "job", "send-letters") == 0
    keys = [sent["headers"]["Idempotency-Key"] for sent in office.gateway.texts]
    assert (len(keys), len(set(keys))) == (handed_over, 3), "a repeat is known to be one by its key"
    assert [outcome for outcome, _ in office.rows()] == ["sent"] * 3
    assert all(number.startswith("+1212555010") for _, number in office.rows()), "replies find their text"
