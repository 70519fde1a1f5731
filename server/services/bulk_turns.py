"""Working on jobs: a lease, and one transaction for each row or chunk.

Each of these locks the job, asks whether it is still this worker's and wanted, and moves its position: so a worker
that is killed loses nothing and doubles nothing, and one that was thought dead finds out before it writes. See
docs/decisions/0010.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, delete, func, select, text, update
from sqlalchemy.orm import undefer

from server.extensions import db
from server.models import BulkChunk, BulkJob
from server.services import access
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils.text import clean_line
from server.utils.tokens import new_id

LEASE = timedelta(seconds=60)


class Lost(Exception):
    """The job is not this worker's any more: it was cancelled, or another worker took it."""


@dataclass(frozen=True)
class Turn:
    """A worker's lease of one job, for a while."""

    job_id: UUID
    lease: UUID
    step: str
    attempts: int  # since something was done last, this one included


_LEASE = text("""
    UPDATE bulk_jobs SET state = 'running', lease = :lease, attempts = attempts + 1,
           leased_until = clock_timestamp() + :duration, started_at = coalesce(started_at, clock_timestamp())
     WHERE id = (
        SELECT id FROM bulk_jobs
         WHERE state IN ('waiting', 'running') AND (leased_until IS NULL OR leased_until <= clock_timestamp())
         ORDER BY leased_until NULLS FIRST, id  -- in turns
         LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, step, attempts
""")


def lease() -> Turn | None:
    """Take the job that waits longest for its next turn; None when there is nothing to do."""
    token = new_id()
    with atomic():
        row = db.session.execute(_LEASE, {"lease": token, "duration": LEASE}).one_or_none()
    return Turn(row.id, token, row.step, row.attempts) if row is not None else None


def read(turn: Turn) -> BulkJob:
    """The job of a turn, with the file of an import. Raises Lost."""
    with atomic():
        job = db.session.scalars(_of(turn).options(undefer(BulkJob.input_file))).one_or_none()
        if job is None:
            raise Lost
        return job


@contextmanager
def work(turn: Turn) -> Iterator[BulkJob]:
    """One transaction of work on a leased job: its row is locked, and its lease is renewed. Raises Lost."""
    with atomic():
        job = db.session.scalars(_of(turn).with_for_update()).one_or_none()
        if job is None:
            raise Lost
        yield job
        if job.state == "running":
            job.leased_until = func.clock_timestamp() + LEASE
            job.attempts = 0
        db.session.flush()


def actor_of(job: BulkJob) -> Actor:
    """Who asked for it, with what they may do by now. Raises Unauthenticated."""
    if job.asked_by_id is None:
        raise access.Unauthenticated("Whoever asked for this has no account any more.")
    try:
        return access.actor_for(job.asked_by_id)
    except access.Unauthenticated as error:
        raise access.Unauthenticated("The account of whoever asked for this is switched off.") from error


def put_back(turn: Turn, *, pause: timedelta = timedelta(0)) -> None:
    """End a turn: somebody else may have the next one, after a pause."""
    with atomic():
        db.session.execute(
            update(BulkJob)
            .where(BulkJob.id == turn.job_id, BulkJob.lease == turn.lease, BulkJob.state == "running")
            .values(lease=None, leased_until=func.clock_timestamp() + pause)
        )


def finish(job: BulkJob) -> None:
    """It is done, in the transaction of its last piece."""
    end(job, "done")


def fail(turn: Turn, sentence: str) -> None:
    """It cannot go on; what was done stays."""
    with atomic():
        job = db.session.scalars(_of(turn).with_for_update()).one_or_none()
        if job is not None:
            end(job, "failed", clean_line(sentence)[:300])


def end(job: BulkJob, state: str, error: str = "") -> None:
    """It is over; of an export that did not get to its end nothing is left."""
    job.state, job.error = state, error
    job.ended_at = func.clock_timestamp()
    job.lease = job.leased_until = job.input_file = None
    if state != "done" and job.step == "export":
        db.session.execute(delete(BulkChunk).where(BulkChunk.job_id == job.id))


def _of(turn: Turn) -> Select[BulkJob]:
    return (
        select(BulkJob)
        .where(BulkJob.id == turn.job_id, BulkJob.lease == turn.lease, BulkJob.state == "running")
        .execution_options(populate_existing=True)
    )
