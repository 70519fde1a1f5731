"""Processes of a server, to be stopped one by one and by their ids."""

import contextlib
import os
import signal
import subprocess


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
