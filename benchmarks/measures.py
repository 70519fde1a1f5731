"""What is measured. Each measure answers plain figures; ratios are taken within one run, paired A B A B."""

import pathlib
import statistics
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
from flask import Flask

from benchmarks import clinic as clinics
from benchmarks.clinic import Clinic, Times, Try
from benchmarks.letters import measure_reminders
from benchmarks.load import Outcome, drive, get, post
from benchmarks.rig import Rig
from server.app import create_app
from server.jobs import schema
from server.services import access, availability, booking
from server.settings import load
from server.utils import clock
from server.utils.tokens import new_secret
from tests.running import free_port

REPETITIONS = 3
SECRETS = {"secret_key": "s" * 40, "jwt_secret_key": "j" * 40}
Figures = dict[str, Any]


def spread(values: list[float]) -> Figures:
    """Median with the least and the most of the repetitions."""
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1)}


def app_of(rig: Rig, name: str) -> tuple[str, Flask]:
    """A migrated database and an app on it, in this process."""
    url = rig.new_database(name)
    app = create_app(load({}, **SECRETS, database_url=url, redis_url=f"{rig.redis_server}/0", log_level="ERROR"))
    schema.upgrade(app)
    return url, app


def _book(wanted: Try, clinic: Clinic) -> bytes:
    body = {
        "service_id": str(clinic.service_id),
        "practitioner_id": str(wanted.practitioner_id),
        "start": wanted.start.isoformat(),
    }
    return post("/api/v1/appointments", body, token=wanted.patient.token, key=new_secret())


def _book_thin(wanted: Try, clinic: Clinic) -> bytes:
    body = {
        "service_id": str(clinic.service_id),
        "location_id": str(clinic.location_id),
        "practitioner_id": str(wanted.practitioner_id),
        "patient_id": str(wanted.patient.patient_id),
        "start": wanted.start.isoformat(),
    }
    return post("/bookings", body)


def measure_booking(rig: Rig, *, quick: bool) -> Figures:
    """Bookings a second of the whole product, beside "thin" and beside the raw statement."""
    url, app = app_of(rig, "booking")
    thin_url, thin_app = app_of(rig, "thin")
    clinic = clinics.fill(url, people=1000, app=app)
    thin_clinic = clinics.fill(thin_url, people=1000, app=thin_app)
    times, thin_times = Times(clinic), Times(thin_clinic)
    count = 150 if quick else 600
    figures: Figures = {}
    with rig.product(url, RATE_LIMITS="yes") as product, rig.thin(thin_url, free_port()) as thin_port:
        port = int(product.url.rpartition(":")[2])
        drive(port, [_book(wanted, clinic) for wanted in times.spread(200)], clients=8)  # warm
        drive(thin_port, [_book_thin(wanted, thin_clinic) for wanted in thin_times.spread(200)], clients=8)
        _analyze(url, thin_url)
        for clients in (1, 8, 32, 64):
            ours, theirs = [], []
            for _ in range(REPETITIONS):
                size = count // 3 if clients == 1 else count
                ours.append(_all(201, drive(port, [_book(w, clinic) for w in times.spread(size)], clients=clients)))
                wanted = [_book_thin(w, thin_clinic) for w in thin_times.spread(size)]
                theirs.append(_all(201, drive(thin_port, wanted, clients=clients)))
            figures[f"{clients} clients"] = _beside(ours, theirs)
        busy = [
            _all(201, drive(port, [_book(w, clinic) for w in times.busy(count // 3)], clients=32))
            for _ in range(REPETITIONS)
        ]
        figures["32 clients, one busy practitioner"] = {"product": spread([trial.per_second for trial in busy])}
    figures["raw statement, 8 clients"] = _raw(thin_url, thin_clinic, clients=8, seconds=2 if quick else 5)
    return figures


def _beside(ours: list[Outcome], theirs: list[Outcome]) -> Figures:
    ratios = [one.per_second / other.per_second for one, other in zip(ours, theirs, strict=True)]
    return {
        "product": spread([trial.per_second for trial in ours]),
        "thin": spread([trial.per_second for trial in theirs]),
        "product/thin": round(statistics.median(ratios), 2),
        "product p99 ms": round(max(trial.percentile(0.99) for trial in ours), 1),
    }


def _all(status: int, trial: Outcome) -> Outcome:
    """The trial, when every answer had this status: a fast refusal is no booking."""
    if set(trial.statuses) != {status}:
        raise AssertionError(f"expected only {status}: {trial.statuses}")
    return trial


def _raw(url: str, clinic: Clinic, *, clients: int, seconds: int) -> Figures:
    """The transaction as one statement over psycopg threads; Python costs most of it, PostgreSQL could do more."""
    statement = """
        WITH booked AS (
            INSERT INTO appointments
                (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
            VALUES (uuidv7(), %s, %s, %s, %s, 'booked', tstzrange(%s, %s), tstzrange(%s, %s))
            ON CONFLICT DO NOTHING RETURNING id, patient_id),
        audited AS (
            INSERT INTO audit_events (id, action, object_type, object_id, patient_id)
            SELECT uuidv7(), 'appointment.booked', 'Appointment', id, patient_id FROM booked)
        INSERT INTO outbox_messages (id, letter, appointment_id, patient_id)
        SELECT uuidv7(), 'appointment-booked', id, patient_id FROM booked"""
    until = time.perf_counter() + seconds
    done = [0] * clients
    first = clinics.working_day(1000)
    noon = clock.start_of_day(first, clinics.ZONE)

    def work(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            step = 0
            while time.perf_counter() < until:
                who = (step * clients + number) % len(clinic.practitioners)
                start = noon + timedelta(minutes=30) * (step * clients // len(clinic.practitioners) + step)
                end = start + timedelta(minutes=30)
                ids = (
                    clinic.service_id,
                    clinic.practitioners[who],
                    clinic.location_id,
                    clinic.patients[who].patient_id,
                )
                connection.execute(statement, (*ids, start, end, start, end))
                done[number] += 1
                step += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"commits a second": round(sum(done) / seconds)}


def _analyze(*urls: str) -> None:
    """What autovacuum does within a minute of the first rows: plans that were kept for an empty table are made anew."""
    for url in urls:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")


def measure_contention(rig: Rig, *, quick: bool) -> Figures:
    """32 clients fight for 100 times with 3,200 tries: how long, and who got what; beside thin, which answers no more
    than "taken", where the product looks for three other times."""
    url, app = app_of(rig, "contention")
    thin_url, thin_app = app_of(rig, "contention_thin")
    clinic, thin_clinic = clinics.fill(url, people=200, app=app), clinics.fill(thin_url, people=200, app=thin_app)
    times, thin_times = Times(clinic), Times(thin_clinic)
    trials, thin_trials = [], []
    with rig.product(url) as product, rig.thin(thin_url, free_port()) as thin_port:
        port = int(product.url.rpartition(":")[2])
        drive(port, [_book(wanted, clinic) for wanted in times.spread(100)], clients=8)
        drive(thin_port, [_book_thin(wanted, thin_clinic) for wanted in thin_times.spread(100)], clients=8)
        _analyze(url, thin_url)
        for _ in range(1 if quick else REPETITIONS):
            wanted = [_book(each, clinic) for each in times.fought_for(times=100, patients=32)]
            trials.append(drive(port, wanted, clients=32))
            wanted = [_book_thin(each, thin_clinic) for each in thin_times.fought_for(times=100, patients=32)]
            thin_trials.append(drive(thin_port, wanted, clients=32))
    ratios = [thin.seconds / ours.seconds for ours, thin in zip(trials, thin_trials, strict=True)]
    return {
        "seconds": spread([trial.seconds for trial in trials]),
        "thin seconds": spread([trial.seconds for trial in thin_trials]),
        "product/thin, tries a second": round(statistics.median(ratios), 2),
        "p99 ms": spread([trial.percentile(0.99) for trial in trials]),
        "thin p99 ms": spread([trial.percentile(0.99) for trial in thin_trials]),
        "answers": [trial.statuses for trial in trials],
    }


def measure_availability(rig: Rig, *, quick: bool) -> Figures:
    """The search, one practitioner and any of 1,000, with 10^4 and 10^6 appointments stored; p50 in ms."""
    figures: Figures = {}
    for stored in (10_000, 100_000 if quick else 1_000_000):
        name = f"{stored:,} stored"
        url, app = app_of(rig, f"availability_{stored}")
        clinic = clinics.fill(url, people=1000, app=app)
        # half of each day is taken, most of the days lie in the past
        days = stored // 1000 // 8
        clinics.store(url, stored, first_day=clinics.working_day(-max(days - 20, 0)), a_day=8)
        with app.app_context(), rig.product(url) as product:
            port = int(product.url.rpartition(":")[2])
            figures[name] = {
                "one practitioner, 7 days": _search(clinic, days=7, practitioner=True),
                "one practitioner, 30 days": _search(clinic, days=30, practitioner=True),
                "any of 1,000, first free time in 30 days": _search(clinic, days=30, practitioner=False, limit=1),
                "any of 1,000, over HTTP": _search_http(port, clinic),
            }
    return figures


def _search(clinic: Clinic, *, days: int, practitioner: bool, limit: int = 200) -> Figures:
    from_at = clock.start_of_day(clinics.working_day(0), clinics.ZONE)
    taken = []
    for turn in range(30):
        who = clinic.practitioners[turn % len(clinic.practitioners)] if practitioner else None
        started = time.perf_counter()
        found = availability.search(
            clinic.service_id, from_at=from_at, to_at=from_at + timedelta(days=days), practitioner_id=who, limit=limit
        )
        taken.append((time.perf_counter() - started) * 1000)
        assert found
    return {"p50 ms": round(statistics.median(taken[5:]), 2)}


def _search_http(port: int, clinic: Clinic) -> Figures:
    first = clinics.working_day(0)
    path = f"/api/v1/availability?service_id={clinic.service_id}&from={first}&to={first + timedelta(days=30)}&limit=1"
    trial = _all(200, drive(port, [get(path)] * 40, clients=1))
    return {"p50 ms": round(trial.percentile(0.5), 2)}


def measure_growth(rig: Rig, *, quick: bool) -> Figures:
    """One booking through the command, in this process, beside 10^4 and 10^6 stored appointments; p50 in ms."""
    medians = {}
    for stored in (10_000, 100_000 if quick else 1_000_000):
        url, app = app_of(rig, f"growth_{stored}")
        clinic = clinics.fill(url, people=1000, app=app)
        clinics.store(url, stored, first_day=clinics.working_day(-stored // 1000 // 8 - 5), a_day=8)
        times, taken = Times(clinic), []
        for wanted in times.spread(150 if quick else 500):
            with app.app_context():
                actor = access.actor_for(wanted.patient.user_id)
                started = time.perf_counter()
                booking.book_appointment(
                    service_id=clinic.service_id,
                    practitioner_id=wanted.practitioner_id,
                    start=wanted.start,
                    actor=actor,
                )
                taken.append((time.perf_counter() - started) * 1000)
        medians[f"{stored:,} stored"] = round(statistics.median(taken[50:]), 2)
    first, last = medians.values()
    return {**{name: {"p50 ms": value} for name, value in medians.items()}, "last/first": round(last / first, 2)}


def measure_footprint(rig: Rig, *, quick: bool) -> Figures:
    """Memory of master and two workers after load (PSS), and the time to the first answer."""
    url, app = app_of(rig, "footprint")
    clinic = clinics.fill(url, people=200, app=app)
    times, starts = Times(clinic), []
    for _ in range(1 if quick else REPETITIONS):
        with rig.product(url) as product:
            starts.append(product.seconds_to_answer)
            port = int(product.url.rpartition(":")[2])
            drive(port, [_book(wanted, clinic) for wanted in times.spread(600)], clients=32)
            memory = _pss_mib(product.process.pid)
    return {
        "web PSS MiB": round(memory),
        "start and first answer, seconds": spread(starts),
    }


def _pss_mib(pid: int) -> float:
    """Proportional set size of a process and its children."""
    total = 0
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (str(pid), *children):
        rollup = pathlib.Path(f"/proc/{each}/smaps_rollup").read_text()
        total += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
    return total / 1024


MEASURES: dict[str, Callable[..., Figures]] = {
    "booking": measure_booking,
    "contention": measure_contention,
    "availability": measure_availability,
    "growth": measure_growth,
    "footprint": measure_footprint,
    "reminders": measure_reminders,
}
