"""Reminders: the real delivery beside a bare smtplib loop, and ten thousand that are due in the same minute."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import psycopg
from sqlalchemy import select

from benchmarks.rig import ROOT, Rig
from server.app import create_app
from server.extensions import db
from server.jobs import schema
from server.models import OutboxMessage
from server.services import letters as letters_of
from server.settings import load
from tests.bars.office import HOUSE, VISITS
from tests.running import free_port

SECRETS = {"secret_key": "s" * 40, "jwt_secret_key": "j" * 40}
Figures = dict[str, Any]

_DUE = "UPDATE outbox_messages SET outcome = NULL, outcome_at = NULL, leased_until = NULL, attempts = 0, due_at = now()"


@dataclass
class Office:
    """A clinic whose reminders are due whenever `due` says so."""

    url: str
    env: dict[str, str]
    sink_pid: int

    def due(self, count: int) -> None:
        """So many are due now; the others were sent long ago."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("UPDATE outbox_messages SET outcome = 'sent' WHERE outcome IS NULL")
            ids = "SELECT id FROM outbox_messages LIMIT %s"
            connection.execute(f"{_DUE} WHERE id IN ({ids})", [count])
            connection.execute("VACUUM ANALYZE outbox_messages")
            connection.execute("CHECKPOINT")

    def sent(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM outbox_messages WHERE outcome = 'sent'").fetchone()
        assert row is not None
        return int(row[0])


@contextlib.contextmanager
def an_office(rig: Rig, count: int) -> Iterator[Office]:
    url = rig.new_database("reminders")
    app = create_app(load({}, **SECRETS, database_url=url, redis_url=f"{rig.redis_server}/0", log_level="ERROR"))
    schema.upgrade(app)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(HOUSE)
        connection.execute(VISITS, {"count": count})
        connection.execute("ANALYZE")
    with app.app_context():
        from server.services import reminders

        assert reminders.reconcile() == count
    port = free_port()
    env = {
        **os.environ,
        **{name.upper(): value for name, value in SECRETS.items()},
        "DATABASE_URL": url,
        "REDIS_URL": f"{rig.redis_server}/0",
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(port),
        "MAIL_USE_TLS": "no",
        "LOG_LEVEL": "ERROR",
    }
    sink = subprocess.Popen([sys.executable, "-m", "tests.mail_sink", str(port)], cwd=ROOT)
    try:
        yield Office(url, env, sink.pid)
    finally:
        sink.terminate()
        sink.wait(10)


def _start(office: Office, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.letters", *arguments]
    return subprocess.Popen(command, env=office.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _run(office: Office, what: str, workers: int = 1, *more: str) -> tuple[float, float, int]:
    """(seconds, CPU seconds, letters) of all workers, which begin together once each is ready."""
    running = [_start(office, what, *more) for _ in range(workers)]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    began = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in running]
    seconds = time.perf_counter() - began
    return max(told[0]["seconds"], seconds if workers > 1 else 0), told[0]["cpu"], sum(one["sent"] for one in told)


def measure_reminders(rig: Rig, *, quick: bool) -> Figures:
    """Letters a second of one worker beside smtplib alone, A B A B; then 10,000 in one minute with two workers."""
    size, burst = (300, 1000) if quick else (2000, 10_000)
    ours, bare, built, cpu, bare_cpu = [], [], [], [], []
    with an_office(rig, burst) as office:
        for turn in range(2 if quick else 5):
            office.due(size)
            seconds, used, sent = _run(office, "deliver")
            assert sent == size, sent
            if turn:  # the first one warms
                ours.append(size / seconds)
                cpu.append(used / size * 1e6)
            seconds, used, sent = _run(office, "bare", 1, str(size))
            if turn:
                bare.append(size / seconds)
                bare_cpu.append(used / size * 1e6)
            seconds, _, sent = _run(office, "built", 1, str(size))
            if turn:
                built.append(size / seconds)
        office.due(burst)
        load_before = os.getloadavg()[0]
        seconds, _, sent = _run(office, "deliver", 2)
        assert sent == burst, sent
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    built_ratios = [one / other for one, other in zip(ours, built, strict=True)]
    cpu_ratios = [other / one for one, other in zip(cpu, bare_cpu, strict=True)]
    return {
        "letters a second, one worker": _spread(ours),
        "letters a second, bare smtplib": _spread(bare),
        "letters a second, smtplib that writes each letter": _spread(built),
        "worker/bare": round(statistics.median(ratios), 2),
        "worker/smtplib that writes each letter": round(statistics.median(built_ratios), 2),
        "CPU microseconds a letter, one worker": _spread(cpu),
        "CPU microseconds a letter, bare smtplib": _spread(bare_cpu),
        "bare/worker by CPU": round(statistics.median(cpu_ratios), 2),
        f"{burst:,} due at once, two workers, seconds": round(seconds, 1),
        "load of the machine before that": round(load_before, 1),
    }


def _spread(values: list[float]) -> Figures:
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1)}


# --- the two processes that are compared ---


def _deliver() -> tuple[float, float, int]:
    """What `frontdesk job send-letters` does, without the time to start."""
    from server.jobs import letters

    with create_app(load()).app_context():
        _wait_for_go()
        began, used = time.perf_counter(), time.process_time()
        sent = letters.send_due()
        return time.perf_counter() - began, time.process_time() - used, sent


def _bare(count: int, *, is_built: bool) -> tuple[float, float, int]:
    """smtplib and one connection; letters as long as ours, made before the clock runs.

    `is_built`: each is its own, a message of Python's that smtplib writes, to a reader of its own.
    """
    import smtplib

    from server.jobs import letters

    with create_app(load()).app_context():
        message_id = db.session.scalars(select(OutboxMessage.id).limit(1)).one()
        letter = letters_of.compose(message_id, settings=load())
        content = letters._message(message_id, letter, load()).message().as_bytes(linesep="\r\n")
    connection = smtplib.SMTP("127.0.0.1", int(os.environ["MAIL_PORT"]))
    connection.ehlo()
    _wait_for_go()
    began, used = time.perf_counter(), time.process_time()
    for number in range(count):
        if is_built:
            connection.send_message(_written(letter, number))
        else:
            connection.sendmail("frontdesk@localhost", ["patient@example.com"], content)
    taken = time.perf_counter() - began, time.process_time() - used, count
    connection.quit()
    return taken


def _written(letter: letters_of.Letter, number: int) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = letter.subject, "frontdesk@localhost", f"p{number}@example.com"
    message["Message-ID"] = f"<{number}@localhost>"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message


def _wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    what, size = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
    seconds, cpu, sent = _deliver() if what == "deliver" else _bare(size, is_built=what == "built")
    print(json.dumps({"seconds": seconds, "cpu": cpu, "sent": sent}))
