"""A clinic behind a live server, and the people who press its doors: threads with a session and a token each."""

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import requests

from tests.bars import ledger
from tests.running import LiveServer

ROOT = pathlib.Path(__file__).parents[2]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Answer:
    """What came back, or did not: `status` 0 is a connection that broke before the answer."""

    status: int
    seconds: float
    body: bytes = b""
    headers: Any = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return self.json.get("type", "") if self.status >= 400 else ""

    def __str__(self) -> str:
        return f"{self.status} after {self.seconds:.1f} s: {self.body[:300]!r}"


class Visitor:
    """One person's program: a connection kept alive and a bearer token."""

    def __init__(self, url: str, token: str, patient_id: str = "") -> None:
        self.url, self.patient_id = f"{url}/api/v1", patient_id
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        began = time.monotonic()
        try:
            sent = self.session.request(method, self.url + path, json=body, headers=headers, timeout=30)
        except requests.RequestException:
            return Answer(0, time.monotonic() - began)
        return Answer(sent.status_code, time.monotonic() - began, sent.content, sent.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, body, **headers)

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def book(self, slot: dict[str, str], key: str | None = None, **over: Any) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        return self.post("/appointments", {**slot, **over}, **headers)


@dataclass(frozen=True)
class Clinic:
    """What `fill` made. A slot is the body of a booking without its patient."""

    server: LiveServer
    practitioner_ids: list[str]
    service_ids: list[str]
    people: list[dict[str, str]]
    desks: list[dict[str, str]]
    administrator: dict[str, str]
    location_id: str
    mornings: list[datetime]
    visitors: contextlib.ExitStack

    def patients(self) -> list[Visitor]:
        """One connection each."""
        return [self._visitor(one) for one in self.people]

    def devices(self, count: int, patient: int = 0) -> list[Visitor]:
        """Several connections of one patient."""
        return [self._visitor(self.people[patient]) for _ in range(count)]

    def front_desks(self) -> list[Visitor]:
        """Eight people, one connection each."""
        return [self._visitor(one) for one in self.desks]

    def administrators(self, count: int) -> list[Visitor]:
        """Several connections of one administrator."""
        return [self._visitor(self.administrator) for _ in range(count)]

    def _visitor(self, person: dict[str, str]) -> Visitor:
        visitor = Visitor(self.server.url, person["token"], person.get("patient_id", ""))
        self.visitors.callback(visitor.session.close)
        return visitor

    def slot(self, number: int, practitioner: int = 0, service: int = 0) -> dict[str, str]:
        """The practitioner's n-th half hour; a day has 24."""
        start = self.mornings[number // 24] + timedelta(minutes=30) * (number % 24)
        return {
            "service_id": self.service_ids[service],
            "practitioner_id": self.practitioner_ids[practitioner],
            "start": start.isoformat(),
        }

    def connect(self) -> ledger.Connection:
        return ledger.connect(self.server.env["DATABASE_URL"])


class Town:
    """A live server and a process that fills its database with clinics, one for each test."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        command = [sys.executable, "-m", "tests.bars.fill"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._builder: Any = subprocess.Popen(command, env=server.env, cwd=ROOT, **pipes)

    @contextlib.contextmanager
    def clinic(
        self, *, practitioners: int = 1, patients: int = 1, rooms: int = 0, pool: int = 0, **service: Any
    ) -> Iterator[Clinic]:
        """A new clinic; `service`: columns of its services."""
        wish = {"practitioners": practitioners, "patients": patients, "rooms": rooms, "pool": pool, "service": service}
        self._builder.stdin.write(json.dumps(wish) + "\n")
        self._builder.stdin.flush()
        made = json.loads(self._builder.stdout.readline())
        mornings = [datetime.fromisoformat(at) for at in made.pop("mornings")]
        with contextlib.ExitStack() as visitors:
            yield Clinic(server=self.server, mornings=mornings, visitors=visitors, **made)

    def close(self) -> None:
        self._builder.stdin.close()
        self._builder.stdout.close()
        self._builder.wait(20)


def all_at_once(people: Sequence[T], act: Callable[[T], R]) -> list[R]:
    """Everybody acts in a thread of their own, none before all are ready. Answers in the order of `people`."""
    barrier = threading.Barrier(len(people))

    def wait_and_act(person: T) -> R:
        barrier.wait(30)
        return act(person)

    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(wait_and_act, people))


def shuffled(things: Sequence[T], rng: random.Random) -> list[T]:
    return rng.sample(list(things), len(things))


def eventually(what: Callable[[], Any], *, within: float, every: float = 0.05) -> Any:
    """Ask until the answer is true; the last answer when the time is over."""
    deadline = time.monotonic() + within
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(every)
    return found
