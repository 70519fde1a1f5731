"""A clinic with reminders that are due, a mail server, and the processes that send."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from subprocess import PIPE
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import text

from server.app import create_app
from server.extensions import db
from server.jobs import schema
from server.jobs.celery_app import celery
from server.services import reminders
from server.settings import load
from tests.bars.processes import frontdesk
from tests.conftest import SECRETS
from tests.mail_sink import MailSink
from tests.running import FRONTDESK

ROOT = pathlib.Path(__file__).parents[2]

# One location, one service, a hundred practitioners; nobody's night, and one rule: a day before.
HOUSE = """
    UPDATE clinic_settings SET quiet_from = '00:00', quiet_until = '00:00';
    DELETE FROM reminder_rules WHERE minutes_before <> 1440;
    INSERT INTO locations (id, name, time_zone, country) VALUES (gen_random_uuid(), 'Riverside', 'Europe/Lisbon', 'PT');
    INSERT INTO healthcare_services (id, name, duration_minutes, step_minutes)
        VALUES (gen_random_uuid(), 'Check-up', 10, 10);
    INSERT INTO practitioners (id, name, languages)
        SELECT gen_random_uuid(), 'Dr Number ' || n, '{en}' FROM generate_series(0, 99) n;
"""
# Everybody has a visit in thirty hours or later, so that a reminder of the day before is still to come.
VISITS = """
    DELETE FROM outbox_messages;
    DELETE FROM appointments;
    DELETE FROM patients;
    DELETE FROM closed_addresses;
    INSERT INTO patients (id, given_name, family_name, birth_date, email, phone)
        SELECT gen_random_uuid(), 'Pat', 'Number' || n, '1980-01-01', 'pat' || n || '@example.com',
               '+3519100' || lpad(n::text, 5, '0')
          FROM generate_series(0, %(count)s - 1) n;
    INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
        SELECT gen_random_uuid(), s.id, d.id, l.id, p.id, 'booked', at.during, at.during
          FROM (SELECT id, row_number() OVER () - 1 AS n FROM patients) p
          JOIN (SELECT id, row_number() OVER () - 1 AS n FROM practitioners) d ON d.n = p.n %% 100
         CROSS JOIN healthcare_services s CROSS JOIN locations l
         CROSS JOIN LATERAL (SELECT tstzrange(at, at + interval '10 minutes') AS during
                               FROM (SELECT now() + interval '30 hours'
                                            + p.n / 100 * interval '10 minutes' AS at) AS start) AS at;
"""


@dataclass
class Office:
    """`url`, `env`: of the database, and what a process of it needs to know."""

    app: Flask
    url: str
    env: dict[str, str]
    sink: MailSink
    folder: pathlib.Path
    nursery: Any  # where processes are forked that have everything loaded already

    def remind(self, count: int, due: str = "clock_timestamp()") -> None:
        """So many reminders, due now; the letters of before are forgotten."""
        self.sink.taken.clear()
        self.sink.letters.clear()
        with psycopg.connect(self.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute(VISITS, {"count": count})
        with self.app.app_context():
            assert reminders.reconcile() == count
        self.change(f"UPDATE outbox_messages SET due_at = {due}, detail = ''")

    def change(self, statement: str, **values: object) -> None:
        with self.app.app_context():
            db.session.execute(text(statement), values)
            db.session.commit()

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def leases_end(self) -> None:
        """What five minutes would do."""
        self.change("UPDATE outbox_messages SET leased_until = clock_timestamp()")

    def outcomes(self) -> Counter[object]:
        return Counter(row[0] for row in self.ask("SELECT outcome FROM outbox_messages"))

    # --- processes ---

    def job(self, name: str = "send-letters") -> "subprocess.Popen[bytes]":
        """`frontdesk job NAME`, started from nothing."""
        command = [*FRONTDESK, "job", name]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)

    def run(self, name: str = "send-letters") -> None:
        self._say("job", name)
        assert self._hear() == 0

    def dies_at(self, point: str, number: int) -> None:
        self._say(point, number)
        assert self._hear() == 9

    def is_killed(self, when: str, number: int) -> None:
        """kill -9, by the mail server, when it has the n-th letter of this run: before or after its 250."""
        self.sink.kill_when, self.sink.kill_at = when, len(self.sink.taken) + number
        self.sink.victim = self._say("job", "send-letters")
        assert self._hear() == -signal.SIGKILL

    def _say(self, *words: object) -> int:
        """The id of the process that now does this."""
        self.nursery.stdin.write(" ".join(map(str, words)) + "\n")
        self.nursery.stdin.flush()
        return self._hear()

    def _hear(self) -> int:
        return int(self.nursery.stdout.readline())

    @contextlib.contextmanager
    def staff(self, *, workers: int = 0, clocks: int = 0) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """So many real workers and clocks, until the block ends."""
        roles = [("worker", "--concurrency", "1")] * workers + [("clock",)] * clocks
        with contextlib.ExitStack() as stack:
            yield [
                stack.enter_context(frontdesk(*role, env=self.env, log=self.folder / f"{role[0]}-{number}.log"))
                for number, role in enumerate(roles)
            ]


@contextlib.contextmanager
def an_office(url: str, redis_url: str, folder: pathlib.Path, **env: str) -> Iterator[Office]:
    """An office over an empty database."""
    before = celery.conf.broker_url
    app = create_app(load({}, **SECRETS, database_url=url, redis_url=redis_url))
    if before:
        celery.conf.broker_url = before  # of this process; the app here rings for nobody
    schema.upgrade(app)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(HOUSE)
    with MailSink() as sink:
        full_env = {
            **os.environ,
            **{name.upper(): value for name, value in SECRETS.items()},
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": str(sink.port),
            "MAIL_USE_TLS": "no",
            "MAIL_FOLDER": "",
            **env,
        }
        command, pipes = (
            [sys.executable, "-m", "tests.bars.dying_worker"],
            {"stdin": PIPE, "stdout": PIPE, "text": True},
        )
        nursery: Any = subprocess.Popen(command, env=full_env, cwd=ROOT, **pipes)  # type: ignore[call-overload]
        try:
            yield Office(app, url, full_env, sink, folder, nursery)
        finally:
            nursery.stdin.close()
            nursery.wait(20)
            nursery.stdout.close()
            with app.app_context():
                db.engine.dispose()


def each_once(taken: list[str], count: int) -> bool:
    return len(taken) == len(set(taken)) == count
