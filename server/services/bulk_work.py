"""Working on imports and exports: each job has its turn, so that a small one does not wait for a large one."""

import logging
import time
from datetime import timedelta

from server.errors import DomainError, Unavailable
from server.services import bulk_jobs, bulk_turns, exports, imports
from server.services.bulk_turns import Lost, Turn
from server.services.transaction import abandon

log = logging.getLogger(__name__)

SECONDS = 100.0  # a task is asked to end after 240
TURN_SECONDS = 15.0
MAX_ATTEMPTS = 5  # without anything done in between

STEPS = {"check": imports.check_rows, "apply": imports.apply_rows, "export": exports.write_chunks}


def work_due() -> int:
    """Work on whatever waits, for a while; returns how many rows were read, checked or written."""
    until = time.monotonic() + SECONDS
    did = 0
    while time.monotonic() < until:
        turn = bulk_turns.lease()
        if turn is None:
            return did
        did += _take(turn)
    if bulk_jobs.wake is not None:
        bulk_jobs.wake()  # there may be more, for a task that begins anew
    return did


def _take(turn: Turn) -> int:
    """One turn of one job. Whatever goes wrong, the job goes on later, or says why it does not."""
    until = time.monotonic() + TURN_SECONDS
    if turn.attempts > MAX_ATTEMPTS:
        bulk_turns.fail(turn, "It was begun several times and came to no end. What was done until then stays.")
        return 0
    try:
        did = STEPS[turn.step](turn, until)
    except Lost:
        return 0
    except Unavailable:
        bulk_turns.put_back(turn, pause=timedelta(seconds=5))
        return 0
    except DomainError as refused:
        bulk_turns.fail(turn, refused.detail)
        return 0
    except Exception as error:  # a time limit is one, too
        abandon()
        log.error("The job %s is put back: %s", turn.job_id, type(error).__name__)
        bulk_turns.put_back(turn, pause=timedelta(seconds=10))
        return 0
    bulk_turns.put_back(turn)
    return did
