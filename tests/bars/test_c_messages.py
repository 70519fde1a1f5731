"""C1 to C3: reminders over a real mail server, by processes that die, that sleep in, and that compete."""

import email
import email.policy
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from flask import Flask
from sqlalchemy import delete, select, text

from server.app import create_app
from server.extensions import db
from server.jobs import schema
from server.models import OutboxMessage, ReminderRule
from server.services import reminders
from server.settings import Settings, load
from server.utils import clock
from server.utils.tokens import new_id
from tests.bars.dying_worker import POINTS
from tests.conftest import SECRETS
from tests.factories import create_appointment, create_location, create_patient, create_practitioner, create_service
from tests.running import FRONTDESK, free_port

pytestmark = pytest.mark.processes


@dataclass
class Sink:
    """A mail server that counts what it took, and kills whoever delivers a certain letter before it says so."""

    port: int
    taken: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    kill_at: int = 0
    victim: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self.lock:
            self.taken.append(letter["Message-ID"])
            if len(self.taken) == self.kill_at:
                os.kill(self.victim, signal.SIGKILL)
        return "250 OK"


@dataclass
class Office:
    """A clinic with reminders that are due, the mail server, and the processes that send."""

    app: Flask
    env: dict[str, str]
    sink: Sink

    def remind(self, count: int) -> None:
        """So many reminders, due now; the letters of before are forgotten."""
        self.sink.taken.clear()
        with self.app.app_context():
            db.session.execute(delete(OutboxMessage))
            db.session.execute(text("DELETE FROM appointments"))
            place, service = create_location(), create_service()
            start = clock.now() + timedelta(hours=30)
            for number in range(count):
                patient = create_patient(email=f"{new_id()}@example.com")
                create_appointment(
                    patient, create_practitioner(), place, service, start + timedelta(minutes=number % 60)
                )
            db.session.commit()
            assert reminders.reconcile() == count
            db.session.execute(text("UPDATE outbox_messages SET due_at = clock_timestamp()"))
            db.session.commit()

    def job(self) -> subprocess.Popen[bytes]:
        return self._start(*FRONTDESK, "job", "send-letters")

    def dying(self, point: str, number: int) -> None:
        process = self._start(sys.executable, "-m", "tests.bars.dying_worker", point, str(number))
        assert process.wait(60) == 9

    def killed_by_the_server(self, number: int) -> None:
        self.sink.kill_at = number
        process = self.job()
        self.sink.victim = process.pid
        assert process.wait(60) == -signal.SIGKILL
        self.sink.kill_at = 0

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def leases_end(self) -> None:
        """What five minutes would do."""
        with self.app.app_context():
            db.session.execute(text("UPDATE outbox_messages SET leased_until = clock_timestamp()"))
            db.session.commit()

    def outcomes(self) -> Counter[str | None]:
        with self.app.app_context():
            return Counter(db.session.scalars(select(OutboxMessage.outcome)))


@pytest.fixture(scope="module")
def office(new_database: Callable[[str], str], settings: Settings) -> Iterator[Office]:
    url, sink = new_database("frontdesk_messages"), Sink(free_port())
    app = create_app(load({}, **SECRETS, database_url=url, redis_url=settings.redis_url))
    schema.upgrade(app)
    with app.app_context():
        db.session.execute(text("UPDATE clinic_settings SET quiet_from = '00:00', quiet_until = '00:00'"))
        db.session.execute(delete(ReminderRule).where(ReminderRule.minutes_before != 1440))
        db.session.commit()
    env = {
        **os.environ,
        **{name.upper(): value for name, value in SECRETS.items()},
        "DATABASE_URL": url,
        "REDIS_URL": settings.redis_url,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(sink.port),
        "MAIL_USE_TLS": "no",
        "MAIL_FOLDER": "",
    }
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port)
    controller.start()
    try:
        yield Office(app, env, sink)
    finally:
        controller.stop()
        with app.app_context():
            db.engine.dispose()


# Eight letters are claimed at once, so there is one claim to die before.
@pytest.mark.parametrize(("point", "number"), [(point, 1 if point == "before-claim" else 3) for point in POINTS])
def test_C1_a_worker_that_dies_loses_no_reminder(office: Office, point: str, number: int) -> None:
    office.remind(8)
    office.dying(point, number)
    office.leases_end()
    assert office.job().wait(60) == 0
    counts = Counter(office.sink.taken)
    assert len(counts) == 8, "none is missed"
    doubled = {name: count for name, count in counts.items() if count > 1}
    # Only between the server's 250 and our commit can nobody know; then once more, under the same Message-ID.
    assert len(doubled) == (point == "before-mark")
    assert set(doubled.values()) <= {2}
    assert office.outcomes() == {"sent": 8}


@pytest.mark.parametrize("number", [5])
def test_C1_a_worker_that_dies_before_it_hears_the_servers_250(office: Office, number: int) -> None:
    office.remind(8)
    office.killed_by_the_server(number)
    office.leases_end()
    assert office.job().wait(60) == 0
    assert sorted(Counter(office.sink.taken).values()) == [1] * 7 + [2]
    assert office.outcomes() == {"sent": 8}


def test_C1_control_a_mark_before_the_letter_loses_one(office: Office) -> None:
    """What healthchecks and LibreBooking do: say that it is sent, then send. A death in between is a lost letter."""
    office.remind(3)
    with office.app.app_context():
        first = "(SELECT id FROM outbox_messages ORDER BY id LIMIT 1)"
        db.session.execute(text(f"UPDATE outbox_messages SET outcome = 'sent' WHERE id = {first}"))
        db.session.commit()
    assert office.job().wait(60) == 0
    assert len(set(office.sink.taken)) == 2


def test_C2_after_three_hours_the_useful_ones_leave_and_the_others_are_listed(office: Office) -> None:
    office.remind(6)
    with office.app.app_context():
        ids = db.session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)).all()
        late = "UPDATE outbox_messages SET due_at = clock_timestamp() - interval '3 hours'"
        db.session.execute(text(late))
        begun = """
            UPDATE appointments SET during = past, occupied = past
              FROM (SELECT tstzrange(clock_timestamp() - interval '1 hour', clock_timestamp()) AS past) AS an_hour_ago
             WHERE id IN (SELECT appointment_id FROM outbox_messages WHERE id = ANY(:ids))"""
        db.session.execute(text(begun), {"ids": ids[:2]})
        db.session.commit()
    assert office.job().wait(60) == 0
    assert len(office.sink.taken) == 4
    assert office.outcomes() == {"sent": 4, "missed": 2}


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_C3_four_workers_at_once_send_each_reminder_once(office: Office, count: int) -> None:
    office.remind(count)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: office.job().wait(560), range(4))) == {0}
    assert set(Counter(office.sink.taken).values()) == {1}
    assert len(office.sink.taken) == count
    assert office.outcomes() == {"sent": count}
