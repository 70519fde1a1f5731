"""B3, B4: Redis is away, wiped, full, frozen, and restarted again and again, while people book and workers send."""

import contextlib
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest
import redis
import requests

from tests.bars.live_clinic import Clinic, Town, eventually
from tests.bars.processes import frontdesk
from tests.bars.seeds import tell
from tests.bars.test_b_crashes import OwnRedis, check_sign_in_is_limited
from tests.running import start_live_server

pytestmark = [pytest.mark.processes, pytest.mark.nightly]
LATE = 30  # seconds


@pytest.fixture
def busy_town(new_database: Callable[[str], str], tmp_path: pathlib.Path) -> Iterator[tuple[Town, OwnRedis]]:
    """A web server, a worker and a clock, with a Redis of their own."""
    own = OwnRedis()
    url = f"redis://127.0.0.1:{own.port}/0"
    try:
        with start_live_server(new_database("frontdesk_redis"), url, tmp_path, fill=False) as server:
            with contextlib.ExitStack() as stack:
                for role in (("worker", "--concurrency", "1"), ("clock",)):
                    log = server.mail_folder / f"{role[0]}.log"
                    stack.enter_context(frontdesk(*role, env=server.env, log=log))
                with contextlib.closing(Town(server)) as town:
                    yield town, own
            assert "Unexpected" not in server.log.read_text(errors="replace"), "an error was answered with 500"
    finally:
        own.stop()


@dataclass
class Stream:
    """What people got while the block ran: bookings, records, pages."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    booked: list[str] = field(default_factory=list)
    slowest: float = 0.0


@contextlib.contextmanager
def everyday_life(clinic: Clinic) -> Iterator[Stream]:
    """Each patient books, reads their record, and opens a page, one after the other."""
    stream, over = Stream(), threading.Event()

    def live(number: int) -> None:
        patient = clinic.patients()[number]
        for slot in range(24 * 50):
            if over.is_set():
                return
            booked = patient.book(clinic.slot(slot, practitioner=number))
            read = patient.get("/appointments")
            began = time.monotonic()
            page = requests.get(clinic.server.url + "/login", timeout=30).status_code
            stream.statuses.update([("book", booked.status), ("record", read.status), ("page", page)])
            stream.slowest = max(stream.slowest, booked.seconds, read.seconds, time.monotonic() - began)
            if booked.status == 201:
                stream.booked.append(booked.json["id"])
            time.sleep(0.5)  # the rhythm of their life, not a wait

    with ThreadPoolExecutor(len(clinic.people)) as pool:
        running = [pool.submit(live, number) for number in range(len(clinic.people))]
        try:
            yield stream
        finally:
            over.set()
            for one in running:
                one.result(60)


def letters_of(clinic: Clinic) -> Counter[tuple[str, str | None]]:
    with psycopg.connect(clinic.server.env["DATABASE_URL"]) as connection:
        told = "SELECT appointment_id::text, outcome FROM outbox_messages WHERE letter = 'appointment-booked'"
        return Counter((row[0], row[1]) for row in connection.execute(told).fetchall())


def full(own: OwnRedis) -> None:
    with own.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")


def test_B3_redis_fails_in_every_way_and_nobody_notices(busy_town: tuple[Town, OwnRedis]) -> None:
    town, own = busy_town
    with town.clinic(practitioners=4, patients=4) as clinic:
        with everyday_life(clinic) as stream:
            assert eventually(lambda: len(stream.booked) > 4, within=60)
            with own.client() as client:
                client.flushall()
            time.sleep(5)
            own.stop()  # for a minute
            check_sign_in_is_limited(town.server)
            time.sleep(60)
            own.start()  # empty
            time.sleep(5)
            full(own)
            check_sign_in_is_limited(town.server)
            time.sleep(15)
            with own.client() as client:
                client.config_set("maxmemory", "0")
            with own.paused():
                time.sleep(30)
            time.sleep(2)
        count = len(stream.booked)
        tell(f"B3: {dict(stream.statuses)}, the slowest answer took {stream.slowest:.1f} s")
        assert not [status for _, status in stream.statuses if status >= 500 or status == 0], stream.statuses
        assert {status for what, status in stream.statuses if what == "book"} == {201}
        began = time.monotonic()
        everyone = Counter({(visit, "sent"): 1 for visit in stream.booked})
        assert eventually(lambda: letters_of(clinic) == everyone, within=120, every=0.5), letters_of(clinic)
        tell(f"B3: all {count} letters had left {time.monotonic() - began:.0f} s after Redis was well again")


def test_B4_workers_consume_again_after_each_of_twenty_restarts(busy_town: tuple[Town, OwnRedis]) -> None:
    """From the moment Redis takes connections until a task that was handed to it then has run."""
    town, own = busy_town
    with town.clinic(practitioners=4, patients=4) as clinic:
        with everyday_life(clinic) as stream:
            assert eventually(lambda: len(letters_of(clinic)) > 4, within=60)
            waits = []
            for _ in range(20):
                own.stop()
                time.sleep(0.5)
                own.start()
                began = time.monotonic()
                assert eventually(lambda: is_consumed(own), within=60, every=0.2), "nobody takes tasks any more"
                waits.append(time.monotonic() - began)
        tell(f"B4: seconds until a worker took tasks again: median {sorted(waits)[10]:.1f}, most {max(waits):.1f}")
        assert max(waits) <= LATE
        everyone = Counter({(visit, "sent"): 1 for visit in stream.booked})
        assert eventually(lambda: letters_of(clinic) == everyone, within=60, every=0.5)


def is_consumed(own: OwnRedis) -> bool:
    """A task that is put at the tail of the queue has been taken."""
    from celery import Celery

    url = f"redis://127.0.0.1:{own.port}/0"
    try:
        with own.client() as client:
            if not client.exists("watched"):
                with Celery(broker=url, set_as_current=False) as sender:
                    sender.conf.task_default_queue = "letters"
                    sender.send_task("run-job", args=["send-letters"], retry=False)
                client.set("watched", 1)
            return client.llen("letters") == 0
    except redis.RedisError:
        return False
