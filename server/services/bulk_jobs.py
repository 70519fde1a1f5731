"""Imports and exports as jobs: who may see them, how far they are, and how they are stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, select

from server.errors import Conflict, NotAllowed, NotVisible
from server.extensions import db
from server.models import BulkChunk, BulkJob, BulkRow, Closure, ClosurePlanItem, User
from server.services import access, audit, bulk_turns
from server.services.access import Actor
from server.services.transaction import after_commit, atomic
from server.utils.text import clean_line

FILES_FOR = timedelta(days=7)
JOBS_FOR = timedelta(days=90)
PLANS_FOR = timedelta(days=7)
OPEN = ("waiting", "running")

# How to hurry the workers; the factory sets it. The sweep of the clock finds what they were not told of.
wake: Callable[[], object] | None = None


class JobState(Conflict):
    """The job is not in a state from which this is possible."""

    slug, title = "job-state", "That is not possible now"


@dataclass(frozen=True)
class Line:
    """A job and the name of who asked for it."""

    job: BulkJob
    asked_by: str


@dataclass(frozen=True)
class Plan:
    """A closure whose plan is (or was just) carried out, visit by visit."""

    closure: Closure
    done: int
    failed: int
    total: int


# --- for doors ---


def create(
    kind: str,
    *,
    step: str,
    actor: Actor,
    options: Mapping[str, Any],
    total: int = 0,
    file_name: str = "",
    file_hash: bytes | None = None,
    input_file: bytes | None = None,
) -> BulkJob:
    """A job that waits for a worker; for the commands that ask for one, which have asked whether they may."""
    job = BulkJob(
        kind=kind,
        step=step,
        options=dict(options),
        total=total,
        file_name=clean_line(file_name)[:120],
        file_hash=file_hash,
        input_file=input_file,
        asked_by_id=actor.user_id,
    )
    db.session.add(job)
    db.session.flush()
    db.session.refresh(job)
    audit.record(f"{kind}.asked", actor=actor, object_type="BulkJob", object_id=job.id)
    hurry()
    return job


def list_jobs(
    *,
    actor: Actor,
    limit: int = 50,
    after: Mapping[str, str] | None = None,
    kind: str | None = None,
    state: str | None = None,
) -> tuple[Sequence[BulkJob], dict[str, str] | None]:
    """Jobs, newest first: to administrators all, to the front desk their own."""
    query = _visible(actor).order_by(BulkJob.id.desc()).limit(limit + 1)
    if kind:
        query = query.where(BulkJob.kind == kind)
    if state:
        query = query.where(BulkJob.state == state)
    if after is not None:
        query = query.where(BulkJob.id < UUID(after["id"]))
    found = db.session.scalars(query.execution_options(populate_existing=True)).all()
    return found[:limit], {"id": str(found[limit - 1].id)} if len(found) > limit else None


def list_lines(*, actor: Actor, limit: int) -> list[Line]:
    """The newest jobs, with the names of who asked for them."""
    jobs, _ = list_jobs(actor=actor, limit=limit)
    names = _names({job.asked_by_id for job in jobs if job.asked_by_id})
    return [Line(job, names.get(job.asked_by_id, "")) for job in jobs]


def list_plans(*, actor: Actor) -> list[Plan]:
    """Closures whose plans are carried out at this moment, or were entered in the last days; for the front desk."""
    access.demand("read", actor=actor)
    state = ClosurePlanItem.state
    waiting = func.count().filter(state == "waiting")
    rows = db.session.execute(
        select(Closure, func.count().filter(state == "done"), func.count().filter(state == "failed"), func.count())
        .join(ClosurePlanItem, ClosurePlanItem.closure_id == Closure.id)
        .group_by(Closure.id)
        .having((waiting > 0) | (Closure.created_at > func.clock_timestamp() - PLANS_FOR))
        .order_by(Closure.id.desc())
        .limit(20)
    )
    return [Plan(*row) for row in rows]


def read_job(job_id: UUID, *, actor: Actor) -> Line:
    """One job. Raises NotVisible."""
    job = _one(job_id, actor=actor)
    return Line(job, _names({job.asked_by_id}).get(job.asked_by_id, "") if job.asked_by_id else "")


def count_rows(job_id: UUID, *, actor: Actor) -> dict[str, int]:
    """How many rows of an import are in each state. Raises NotVisible."""
    _one(job_id, actor=actor)
    rows = db.session.execute(
        select(BulkRow.state, func.count()).where(BulkRow.job_id == job_id).group_by(BulkRow.state)
    )
    counts = {str(state): int(count) for state, count in rows}
    return {state: counts.get(state, 0) for state in ("ready", "skipped", "wrong", "done", "failed")}


def list_rows(
    job_id: UUID, *, actor: Actor, limit: int = 50, after: Mapping[str, str] | None = None, state: str | None = None
) -> tuple[Sequence[BulkRow], dict[str, str] | None]:
    """Rows of an import in the order of the file, each with what the check found or what became of it; on record."""
    with atomic():
        job = _one(job_id, actor=actor)
        audit.record(f"{job.kind}.read", actor=actor, object_type="BulkJob", object_id=job_id)
    query = select(BulkRow).where(BulkRow.job_id == job_id).order_by(BulkRow.number).limit(limit + 1)
    if state:
        query = query.where(BulkRow.state == state)
    if after is not None:
        query = query.where(BulkRow.number > int(after["number"]))
    found = db.session.scalars(query.execution_options(populate_existing=True)).all()
    return found[:limit], {"number": str(found[limit - 1].number)} if len(found) > limit else None


def cancel_job(job_id: UUID, *, actor: Actor) -> BulkJob:
    """Stop a job: before the next row or chunk. What was imported stays. Raises NotVisible, JobState."""
    with atomic():
        job = _one(job_id, actor=actor, to_change=True)
        if job.is_over:
            raise JobState("This job is over already.", state=job.state)
        bulk_turns.end(job, "cancelled")
        audit.record(f"{job.kind}.cancelled", actor=actor, object_type="BulkJob", object_id=job.id)
        db.session.flush()
        db.session.refresh(job)
    return job


def delete_files(*, kept_for: timedelta = FILES_FOR) -> int:
    """Delete rows and files of jobs that are over (or were checked and left) for so long, later the jobs themselves."""
    now = func.clock_timestamp()
    with atomic():
        old = db.session.scalars(
            select(BulkJob)
            .where(
                BulkJob.files_deleted_at.is_(None),
                ((BulkJob.state == "checked") & (BulkJob.created_at < now - kept_for))
                | (BulkJob.ended_at < now - kept_for),
            )
            .with_for_update(skip_locked=True)
        ).all()
        for job in old:
            if job.state == "checked":
                bulk_turns.end(job, "cancelled", "Nobody wanted it to be imported within a week.")
            _forget(job)
            job.files_deleted_at = now
        db.session.flush()
        db.session.execute(delete(BulkJob).where(BulkJob.ended_at < now - JOBS_FOR))
    return len(old)


def hurry() -> None:
    """Tell the workers after the commit that there is something to do."""
    if wake is not None:
        after_commit(wake)


# --- the parts ---


def _visible(actor: Actor) -> Select[BulkJob]:
    if actor.may("jobs"):
        return select(BulkJob)
    if not actor.may("export-day"):
        raise NotAllowed("Your role does not allow this.")
    return select(BulkJob).where(BulkJob.asked_by_id == actor.user_id)


def _one(job_id: UUID, *, actor: Actor, to_change: bool = False) -> BulkJob:
    query = _visible(actor).where(BulkJob.id == job_id).execution_options(populate_existing=True)
    if to_change:
        query = query.with_for_update()
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotVisible("There is no such job, or it is not yours to see.")
    return found


def locked(job_id: UUID, *, actor: Actor) -> BulkJob:
    """One job, to be changed in this transaction. Raises NotVisible."""
    return _one(job_id, actor=actor, to_change=True)


def _names(user_ids: set[UUID | None]) -> dict[UUID | None, str]:
    rows = db.session.execute(select(User.id, User.name, User.email).where(User.id.in_(user_ids)))
    return {row.id: row.name or row.email for row in rows}


def _forget(job: BulkJob) -> None:
    db.session.execute(delete(BulkRow).where(BulkRow.job_id == job.id))
    db.session.execute(delete(BulkChunk).where(BulkChunk.job_id == job.id))
    job.input_file = None


def expires_at(job: BulkJob) -> datetime | None:
    """When its files are deleted; None while nobody knows."""
    if job.state == "checked":
        return job.created_at + FILES_FOR
    return job.ended_at + FILES_FOR if job.ended_at else None
