"""Bookings a second: the full product over HTTP, beside a thin Flask booking and beside raw SQL, in one run."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import clinic, load, raw_sql, report
from benchmarks.clinic import Clinic, Times, Try
from benchmarks.rig import Rig, cpu_seconds
from server.utils.tokens import new_id

PEOPLE, STORED = 500, 10_000
CLIENTS = (1, 8, 32, 64)


@dataclass
class Servers:
    """The product and the thin booking over the same database, and who is there to book."""

    rig: Rig
    database_url: str
    clinic: Clinic
    times: Times
    port: int
    pid: int
    thin_port: int
    thin_pid: int

    def book(self, tries: Sequence[Try], *, clients: int) -> load.Outcome:
        """The tries through the product's API: signed in, each with a key of its own."""
        requests = [
            load.post(
                "/api/v1/appointments",
                {
                    "service_id": str(self.clinic.service_id),
                    "practitioner_id": str(wanted.practitioner_id),
                    "start": wanted.start.isoformat(),
                },
                token=wanted.patient.token,
                key=str(new_id()),
            )
            for wanted in tries
        ]
        return load.drive(self.port, requests, clients=clients)

    def book_thinly(self, tries: Sequence[Try], *, clients: int) -> load.Outcome:
        requests = [
            load.post(
                "/bookings",
                {
                    "service_id": str(self.clinic.service_id),
                    "location_id": str(self.clinic.location_id),
                    "practitioner_id": str(wanted.practitioner_id),
                    "patient_id": str(wanted.patient.patient_id),
                    "start": wanted.start.isoformat(),
                },
            )
            for wanted in tries
        ]
        return load.drive(self.thin_port, requests, clients=clients)


@contextlib.contextmanager
def open_clinic(rig: Rig, name: str) -> Iterator[Servers]:
    """Both servers over a clinic that has been open for some weeks."""
    database_url = rig.new_database(name)
    people = clinic.fill(database_url, people=PEOPLE, app=rig.app(database_url))
    clinic.store(database_url, STORED, first_day=clinic.working_day(-30), a_day=12)
    with rig.product(database_url) as product:
        port = int(product.url.rpartition(":")[2])
        with rig.thin(database_url, port + 1) as thin:
            servers = Servers(
                rig, database_url, people, Times(people), port, product.process.pid, port + 1, thin.pid
            )
            for warm_up in (servers.book, servers.book_thinly):
                warm_up(servers.times.spread(200), clients=16)
            yield servers


@dataclass
class Trial:
    """What one trial gave; CPU in ms for each booking, of the web processes and of PostgreSQL."""

    per_second: float
    p50_ms: float
    p99_ms: float
    web_cpu_ms: float
    database_cpu_ms: float


def run(rig: Rig, *, quick: bool) -> dict[str, Any]:
    """Print the tables, answer the figures."""
    repetitions = 2 if quick else 5
    with open_clinic(rig, "booking") as servers:
        rows, figures = [], {}
        for clients in CLIENTS:
            count = (100 if quick else 300) if clients == 1 else (512 if quick else 1536)
            product, thin, raw = report.paired(
                repetitions,
                lambda clients=clients, count=count: _trial(servers, servers.book, servers.pid, clients, count),
                lambda clients=clients, count=count: _trial(servers, servers.book_thinly, servers.thin_pid, clients, count),
                lambda clients=clients, count=count: _raw(servers, clients, count),
            )
            figures[str(clients)] = _figures(product, thin, raw)
            rows.append({"clients": clients, **figures[str(clients)]})
        shown = ("clients", "product/s", "thin/s", "raw SQL/s", "product : thin", "product : raw", "p50 ms", "p99 ms")
        report.table("Bookings a second, median (min-max)", [{key: row[key] for key in shown} for row in rows])
        cpu = ("clients", "CPU ms web", "CPU ms database", "CPU ms web, thin", "CPU ms database, thin", "CPU, thin : product")
        report.table("Processor time for one booking", [{key: row[key] for key in cpu} for row in rows])
        busy = _busy(servers, repetitions, 256 if quick else 1024)
        report.table("32 clients, one busy practitioner beside many", [busy])
    return {"clients": figures, "one_busy_practitioner_32_clients": busy}


def _trial(servers: Servers, book: Any, pid: int, clients: int, count: int) -> Trial:
    return _measured(servers, book, pid, clients, servers.times.spread(count))


def _measured(servers: Servers, book: Any, pid: int, clients: int, tries: Sequence[Try]) -> Trial:
    web, database = cpu_seconds(pid), cpu_seconds(servers.rig.database_pid)
    outcome = book(tries, clients=clients)
    web, database = cpu_seconds(pid) - web, cpu_seconds(servers.rig.database_pid) - database
    assert outcome.statuses == {201: len(tries)}, f"a free time was refused: {outcome.statuses}"
    return Trial(
        outcome.per_second,
        outcome.percentile(0.5),
        outcome.percentile(0.99),
        1000 * web / len(tries),
        1000 * database / len(tries),
    )


def _raw(servers: Servers, clients: int, count: int) -> float:
    clients = min(clients, 32)  # connections here; PostgreSQL takes 100 as shipped, and the servers hold some
    tries = servers.times.spread(count - count % clients)
    return raw_sql.pgbench(servers.database_url, servers.clinic, tries, clients=clients, folder=servers.rig.folder)


def _figures(product: list[Trial], thin: list[Trial], raw: list[float]) -> dict[str, Any]:
    ours, theirs = [one.per_second for one in product], [one.per_second for one in thin]
    return {
        "product/s": report.spread(ours, 0),
        "thin/s": report.spread(theirs, 0),
        "raw SQL/s": report.spread(raw, 0),
        "product : thin": report.ratio(ours, theirs),
        "product : raw": report.ratio(ours, raw),
        "p50 ms": report.spread([one.p50_ms for one in product], 1),
        "p99 ms": report.spread([one.p99_ms for one in product], 1),
        "CPU ms web": report.spread([one.web_cpu_ms for one in product]),
        "CPU ms database": report.spread([one.database_cpu_ms for one in product]),
        "CPU ms web, thin": report.spread([one.web_cpu_ms for one in thin]),
        "CPU ms database, thin": report.spread([one.database_cpu_ms for one in thin]),
        "CPU, thin : product": report.ratio(
            [one.web_cpu_ms + one.database_cpu_ms for one in thin],
            [one.web_cpu_ms + one.database_cpu_ms for one in product],
        ),
    }


def _busy(servers: Servers, repetitions: int, count: int) -> dict[str, Any]:
    many, busy = report.paired(
        repetitions,
        lambda: _measured(servers, servers.book, servers.pid, 32, servers.times.spread(count)).per_second,
        lambda: _measured(servers, servers.book, servers.pid, 32, servers.times.busy(count)).per_second,
    )
    return {
        "many/s": report.spread(many, 0),
        "one/s": report.spread(busy, 0),
        "one : many": report.ratio(busy, many),
        "free times refused": 0,
    }
