"""The worker: for each queue a Celery of its own, all forked from one process that has loaded everything before.

So bulk work never keeps a letter waiting, and three Celeries cost little more memory than one.
"""

import ctypes
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery.signals import worker_process_init
from sqlalchemy.orm import configure_mappers

from server.jobs.celery_app import QUEUES, celery
from server.settings import Settings

log = logging.getLogger(__name__)
PAUSE = 1.0  # seconds until a queue whose Celery ended has another one
PRELOADED = (
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.control",
    "celery.worker.loops",
    "kombu.transport.redis",
    "server.jobs.tasks",
)


def run(settings: Settings, queues: Sequence[str], *, concurrency: int | None, keeps_time: bool) -> None:
    """Work until a signal comes. `concurrency`: processes of each queue, by default what QUEUES says.

    With `keeps_time` a clock runs beside them; it waits while another one leads.
    """
    roles: dict[str, Callable[[], None]] = {
        f"queue {queue}": partial(_work, settings, queue, concurrency) for queue in queues
    }
    if keeps_time:
        roles["clock"] = partial(_keep_time, settings)
    _settle([*PRELOADED, "server.jobs.clock"] if keeps_time else PRELOADED)
    stopping: list[int] = []
    children: dict[int, str] = {}

    def stop(received: int, _frame: Any) -> None:
        stopping.append(received)
        for pid in children:
            os.kill(pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def start(name: str) -> None:
        pid = os.fork()
        if pid == 0:
            _child(roles[name])
        children[pid] = name
        if stopping:
            os.kill(pid, signal.SIGTERM)

    for name in roles:
        start(name)
    while children:
        pid, _ = os.wait()
        name = children.pop(pid)
        if not stopping:
            log.error("The worker's %s ended. Another one is started.", name)
            time.sleep(PAUSE)
        if not stopping:
            start(name)


def _child(role: Callable[[], None]) -> None:
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _end_with_parent(signal.SIGTERM)
        role()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except Exception:
        log.exception("The worker's child ends")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # what the parent was about to do is none of its business


def _keep_time(settings: Settings) -> None:
    from server.jobs import clock

    clock.run(settings)


def _work(settings: Settings, queue: str, concurrency: int | None) -> None:
    # Not celery.worker_main: its command line brings a shell along, 10 MB for each process.
    worker = celery.Worker(
        hostname=f"frontdesk-{queue}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        concurrency=concurrency or QUEUES[queue].concurrency,
        pool_cls="prefork",
        loglevel=settings.log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode or 0)


def _settle(names: Sequence[str]) -> None:
    """Load what tasks need, and let it stay shared between the processes that are forked from here."""
    for name in names:
        importlib.import_module(name)
    configure_mappers()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(5)  # a library's; in a fork it would never run
    gc.collect()
    gc.freeze()


def _end_with_parent(number: signal.Signals) -> None:
    """Get this signal when the parent dies, were it by kill -9. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(number))  # PR_SET_PDEATHSIG


@worker_process_init.connect
def _die_with_celery(**_: Any) -> None:
    # One that went on without its Celery would be of no queue, and nobody would end it.
    _end_with_parent(signal.SIGKILL)
