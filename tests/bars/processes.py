"""Processes of a server: started with their log in a file, stopped one by one and by their ids."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator, Mapping

from tests.running import FRONTDESK


def children(pid: int) -> list[int]:
    """The ids of the processes that `pid` started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, timeout=10)
    return [int(line) for line in found.stdout.split()]


def kill(pid: int) -> None:
    """SIGKILL; it may have ended by itself in between."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_all(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL for a process and its children, the parent first, so that it starts no others."""
    workers = children(process.pid)
    kill(process.pid)
    for pid in workers:
        kill(pid)
    process.wait(10)


@contextlib.contextmanager
def frontdesk(*command: str, env: Mapping[str, str], log: pathlib.Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`frontdesk COMMAND` in the background, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen([*FRONTDESK, *command], env=dict(env), stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                kill_all(process)
