"""`frontdesk demo` as somebody meets it who tries Frontdesk for the first time, and as kill -9 meets it."""

import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psutil
import pytest
import requests

from server.trial.sample_cast import ACCOUNTS, PASSWORD

pytestmark = pytest.mark.processes

T = TypeVar("T")
FRONTDESK = [sys.executable, "-m", "server"]
START_SECONDS = 90  # of a busy machine; an idle one takes a tenth of it


def eventually(look: Callable[[], T], what: str, seconds: float = 60) -> T:
    """What `look` answers as soon as it is true; an error of the network or of a dying process is a no."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException, psutil.Error):
            if found := look():
                return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Demo:
    """A running `frontdesk demo`, seen from outside."""

    def __init__(self, data: pathlib.Path, log: pathlib.Path) -> None:
        self.data, self.log, self.port = data, log, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*FRONTDESK, "demo", "--port", str(self.port), "--data", str(data)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        self.children: set[psutil.Process] = set()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        line = f"Frontdesk is ready: {self.url}"
        eventually(
            lambda: line in self.output.splitlines() or self.process.poll() is not None,
            "the demo is ready",
            START_SECONDS,
        )
        assert line in self.output.splitlines(), self.output

    def wait_until_healthy(self) -> None:
        eventually(lambda: requests.get(f"{self.url}/healthz", timeout=5).status_code == 200, "the demo serves")

    def running(self, *words: str, direct: bool = True) -> list[psutil.Process]:
        """Its processes with these words in their command line; direct children of the supervisor, or theirs."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            self.children.add(child)
            with contextlib.suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if all(word in line for word in words) and (child.ppid() == self.process.pid) == direct:
                    found.append(child)
        return found

    def kill(self, *words: str, direct: bool = True) -> None:
        """kill -9 one process of this kind, and wait until another one is there and the demo serves."""
        before = eventually(lambda: self.running(*words, direct=direct), f"{words} runs")
        before[0].kill()
        eventually(
            lambda: [new for new in self.running(*words, direct=direct) if new not in before],
            f"{words} runs again",
        )
        self.wait_until_healthy()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it with a signal; answers the exit code, once nothing of it is left."""
        self.running()
        self.process.send_signal(number)
        code = self.process.wait(30)
        left = [child for child in self.children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert left == []
        return code


@contextlib.contextmanager
def started(data: pathlib.Path, log: pathlib.Path) -> Iterator[Demo]:
    demo = Demo(data, log)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.terminate()
            try:
                demo.process.wait(30)
            except subprocess.TimeoutExpired:
                demo.process.kill()
                demo.process.wait(10)


class Ana:
    """Ana, over the API."""

    def __init__(self, demo: Demo) -> None:
        self.demo, self.token = demo, ""
        self.token = self.call("POST", "/auth/login", {"email": "ana@example.com", "password": PASSWORD})[
            "access_token"
        ]

    def call(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.request(
            method, f"{self.demo.url}/api/v1{path}", json=body, params=params, headers=headers, timeout=10
        )
        assert answer.ok, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def book(self) -> str:
        """A vaccination at the first time that is free the day after tomorrow; answers the id."""
        service = next(item for item in self.call("GET", "/services")["items"] if item["name"] == "Vaccination")
        day = datetime.now(UTC).date() + timedelta(days=2)
        free = self.call(
            "GET", "/availability", service_id=service["id"], **{"from": str(day), "to": str(day + timedelta(days=3))}
        )["items"][0]
        wanted = {key: free[key] for key in ("service_id", "practitioner_id", "location_id", "start")}
        return str(self.call("POST", "/appointments", wanted)["id"])

    def status_of(self, appointment_id: str) -> str:
        return str(self.call("GET", f"/appointments/{appointment_id}")["status"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """A shell in which nobody has set anything up."""
    unset = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SECRET_KEY")
    return {name: value for name, value in os.environ.items() if name not in unset} | more


def refusal(*arguments: str, **env: str) -> str:
    """What a demo that does not start says."""
    done = subprocess.run(
        [*FRONTDESK, "demo", *arguments], env=environment(**env), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_demo_keeps_a_booking_through_every_kill_and_a_restart(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "with a space"
    with started(data, tmp_path / "first.log") as demo:
        demo.wait_until_ready()
        for account in ACCOUNTS:
            assert account.email in demo.output
        for page in ("/", "/api/docs", "/demo/mail"):
            assert requests.get(demo.url + page, timeout=10).status_code == 200, page
        ana = Ana(demo)
        booked = ana.book()

        for words, direct in (
            (("gunicorn",), False),  # one of the two that answer
            (("gunicorn",), True),
            (("main", " worker"), False),  # one of those that work, or keep time
            (("main", " worker"), True),
            (("valkey-server",), True),
            (("postgres", "-D"), True),
        ):
            demo.kill(*words, direct=direct)
            assert ana.status_of(booked) == "booked", words

        ana.call("POST", f"/appointments/{booked}/cancel", {})
        subject = "Subject: Your visit"
        eventually(
            lambda: [path for path in (data / "mail").glob("*.eml") if "cancelled" in path.read_text()],
            f"clock and worker send the letter ({subject})",
        )
        kept = ana.book()
        visits = ana.call("GET", "/appointments")["items"]
        assert demo.end() == 0
        assert "Traceback" not in demo.output.partition("Frontdesk is ready")[0]

    with started(data, tmp_path / "second.log") as demo:
        demo.wait_until_ready()
        assert "sample clinic" not in demo.output.partition("Frontdesk is ready")[0], "it is not filled twice"
        ana = Ana(demo)
        assert ana.status_of(kept) == "booked"
        assert ana.call("GET", "/appointments")["items"] == visits
        assert demo.end(signal.SIGINT) == 0
        assert "Traceback" not in demo.output


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data"
    for line in ("Making a database", "Starting PostgreSQL", "Making the tables"):
        with started(data, tmp_path / "log") as demo:
            eventually(lambda demo=demo, line=line: line in demo.output, line)
            assert demo.end() == 0
            assert "Traceback" not in demo.output
            assert "ready" not in demo.output


def test_a_port_in_use_is_named(tmp_path: pathlib.Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refusal("--port", str(port), "--data", str(tmp_path / "data"))
    assert f"Port {port} is in use" in said
    assert "--port" in said
    assert not (tmp_path / "data").exists()


def test_a_folder_in_use_is_named(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another demo is using" in refusal("--port", str(free_port()), "--data", str(tmp_path))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = refusal("--port", str(free_port()), "--data", str(tmp_path / "file" / "data"))
    assert "Not a directory" in said
    assert "--data" in said


def test_real_data_are_never_met(tmp_path: pathlib.Path) -> None:
    said = refusal("--data", str(tmp_path / "data"), DATABASE_URL="postgresql:///clinic")
    assert "DATABASE_URL is set" in said
    assert not (tmp_path / "data").exists()
