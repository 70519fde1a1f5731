"""One supervisor over the demo's processes: whatever dies is named and started again, and one signal ends all."""

import io
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import honcho.manager
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Process

from server.trial.servers import Server, ServerError
from server.trial.signals import Interrupted, Signals

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a restart; doubled while restarts do not last
LASTED = 20.0  # seconds after which a process counts as well again
honcho.manager.KILL_WAIT = 10  # seconds before force: the worker ends its task first


class Role(Process):
    """A child in a session of its own, watched for its end and not for the end of its output.

    Children of a child that was killed hold its output open, and its work: they are ended first.
    """

    def launch(self, events: "queue.Queue[Any]") -> int:
        """Start it; answers its process id. Its lines and its end arrive in `events`."""
        self._events = events
        self._child = subprocess.Popen(
            self.cmd,
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        Thread(target=self._watch, daemon=True).start()
        return self._child.pid

    def _watch(self) -> None:
        relay = Thread(target=self._relay, daemon=True)
        relay.start()
        self._child.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        relay.join()
        self._send_message({"returncode": self._child.returncode}, type="stop")

    def _relay(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._send_message(line)


class Leaders:
    """Signals go to the first process of a child, which ends the others in its own order; force goes to all."""

    def terminate(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


class Restarts:
    """When something that died is started again: soon, and later each time when that does not help."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._started_at = time.monotonic()
        self.due_at: float | None = None

    def plan(self) -> float:
        """It died just now; answers the seconds until it is due."""
        now = time.monotonic()
        self._pause = FIRST_PAUSE if now - self._started_at > LASTED else min(self._pause * 2, LONGEST_PAUSE)
        self.due_at = now + self._pause
        return self._pause

    def is_due(self) -> bool:
        return self.due_at is not None and time.monotonic() >= self.due_at

    def begin(self) -> None:
        self.due_at, self._started_at = None, time.monotonic()


class Supervisor(Manager):
    """honcho's manager, which ends everything when one process stops, taught to start that one again."""

    def __init__(
        self,
        *,
        servers: Sequence[Server],
        signals: Signals,
        is_ready: Callable[[], bool],
        when_ready: Callable[[], None],
    ) -> None:
        super().__init__(Printer(sys.stdout))
        self.events: queue.Queue[Any] = queue.Queue()  # of this process: the children are watched by threads
        self._process_ctor = Role
        self._procmgr = Leaders()
        self._servers = servers
        self._signals, self._is_ready, self._when_ready = signals, is_ready, when_ready
        self._ready = False
        self._restarts: dict[str, Restarts] = {}

    def add(self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        """A child to be kept running."""
        self.add_process(name, list(command), env=dict(env), cwd=cwd)

    def terminate(self) -> None:
        self._signals.received = True  # honcho's handlers stand before ours in its loop; a start that waits looks here
        super().terminate()

    def end(self) -> None:
        """Whatever made the loop end: no child is left."""
        self._printer.output = io.StringIO()  # the terminal may be gone
        self.kill()

    def _start(self) -> None:
        for server in self._servers:
            self._restarts[server.name] = Restarts()
        for name in self._processes:
            self._restarts[name] = Restarts()
            self._launch(name)

    def _launch(self, name: str) -> None:
        child = self._processes[name]
        child.pop("returncode", None)
        child["pid"] = child["obj"].launch(self.events)

    # honcho's loop asks these two in every round; the first is where it would decide to end everything.
    def _any_stopped(self) -> bool:
        if self._signals.received:
            self.terminate()
        if self._terminating:
            return True
        for server in self._servers:
            self._tend_server(server)
        if all(server.is_alive() for server in self._servers):
            for name, child in self._processes.items():
                self._tend_child(name, child)
        if not self._ready and self._is_ready():
            self._ready = True
            self._when_ready()
        return False

    def _all_stopped(self) -> bool:
        return self._terminating and bool(super()._all_stopped())

    def _tend_child(self, name: str, child: dict[str, Any]) -> None:
        restarts = self._restarts[name]
        if "returncode" in child and restarts.due_at is None:
            self._system_print(f"{name} is started again in {restarts.plan():.1f} s\n")
        if restarts.is_due():
            restarts.begin()
            self._launch(name)

    def _tend_server(self, server: Server) -> None:
        restarts = self._restarts[server.name]
        if not server.is_alive() and restarts.due_at is None:
            self._system_print(f"{server.name} stopped\n{server.name} is started again in {restarts.plan():.1f} s\n")
        if restarts.is_due():
            restarts.begin()
            try:
                server.start()
            except Interrupted:
                return
            except ServerError as problem:
                self._system_print(f"{problem}\n")
            else:
                self._system_print(f"{server.name} started again (pid={server.pid})\n")
