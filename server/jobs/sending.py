"""Asking workers for rows of the timetable: the name, the queue and its time limits, nothing else."""

import logging
from typing import Any

from server.jobs.celery_app import QUEUES, celery
from server.jobs.timetable import BY_NAME

log = logging.getLogger(__name__)


def options(name: str) -> dict[str, Any]:
    """How a row of the timetable is sent."""
    queue = BY_NAME[name].queue
    limits = QUEUES[queue]
    return {"queue": queue, "soft_time_limit": limits.soft_seconds, "time_limit": limits.hard_seconds}


def send(name: str) -> bool:
    """Ask a worker for one row of the timetable; while the broker is away the next tick asks again."""
    try:
        celery.send_task("run-job", args=[name], expires=_worth_while(name), **options(name))
    except Exception as error:
        log.warning("The broker does not take %s: %s", name, type(error).__name__)
        return False
    return True


def _worth_while(name: str) -> int:
    """Seconds in which a worker may still take it: about as long as until the clock asks again."""
    return max(60, min(BY_NAME[name].every_seconds, 3600))
