"""How the timetable runs: each run leaves its mark, and whoever administers the clinic sees who keeps time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text

from server.errors import NotVisible, Unavailable
from server.extensions import db
from server.models import ClockLead, JobRun
from server.services import access, audit
from server.services.access import Actor
from server.services.transaction import abandon, atomic, database_now
from server.utils.text import minutes_in_words

NOW, LETTERS, BULK = "now", "letters", "bulk"  # the queues: people wait; messages; what takes long
CLOCK_IS_SEEN_EVERY = timedelta(seconds=10)
CLOCK_IS_LOST_AFTER = timedelta(minutes=1)
WORKER_IS_LOST_AFTER = timedelta(minutes=2)  # or four times the rhythm, if that is longer


@dataclass(frozen=True)
class Job:
    """One row of the timetable. `every_seconds`: the rhythm of the clock; `run` answers how much there was to do."""

    name: str
    every_seconds: int
    run: Callable[[], int]
    what: str
    queue: str


# The timetable, and how to ask a worker for one row of it (False: the broker is away). The factory sets both.
timetable: Sequence[Job] = ()
ask: Callable[[str], bool] | None = None


@dataclass(frozen=True)
class Line:
    """A row of the timetable: how it ran last (None: never), and when it is due."""

    job: Job
    run: JobRun | None
    next_at: datetime | None


@dataclass(frozen=True)
class Report:
    """The timetable as it runs. `troubles`: what stands still, in sentences."""

    lines: Sequence[Line]
    clock: ClockLead | None
    troubles: Sequence[str]
    now: datetime

    @property
    def has_clock(self) -> bool:
        return self.clock is not None and self.now - self.clock.seen_at <= CLOCK_IS_LOST_AFTER


_BEGIN = text("""
    INSERT INTO job_runs (name, started_at) VALUES (:name, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at, ended_at = NULL
""")
_END = text("""
    UPDATE job_runs SET ended_at = clock_timestamp(), took_ms = :took_ms, did = :did, runs = runs + 1,
           did_in_all = did_in_all + :did
     WHERE name = :name
""")
_FAIL = text("""
    UPDATE job_runs SET ended_at = clock_timestamp(), failed_at = clock_timestamp(), failures = failures + 1,
           error = :error
     WHERE name = :name
""")
# The table is APScheduler's, and made when the first clock starts.
_HAS_NEXT = text("SELECT to_regclass('apscheduler_jobs') IS NOT NULL")
_NEXT = text("SELECT id, to_timestamp(next_run_time) AS next_at FROM apscheduler_jobs WHERE next_run_time IS NOT NULL")


def carry_out(job: Job) -> int:
    """Run one row of the timetable and write down how it went; answers how much there was to do."""
    with atomic():
        db.session.execute(_BEGIN, {"name": job.name})
    began = time.monotonic()
    try:
        did = job.run()
    except BaseException as error:  # a time limit, too
        abandon()
        with atomic():
            db.session.execute(_FAIL, {"name": job.name, "error": type(error).__name__})
        raise
    with atomic():
        took_ms = int((time.monotonic() - began) * 1000)
        db.session.execute(_END, {"name": job.name, "took_ms": took_ms, "did": did})
    return did


def read_timetable(*, actor: Actor) -> Report:
    """Every row of the timetable with its last run and the next; for administrators."""
    with atomic():
        access.demand("jobs", actor=actor)
        ran = {run.name: run for run in db.session.scalars(select(JobRun).execution_options(populate_existing=True))}
        due = {row.id: row.next_at for row in db.session.execute(_NEXT)} if db.session.scalar(_HAS_NEXT) else {}
        clock = db.session.scalars(select(ClockLead).execution_options(populate_existing=True)).one_or_none()
        now = database_now()
        lines = [Line(job, ran.get(job.name), due.get(job.name)) for job in timetable]
        return Report(lines, clock, _troubles(lines, clock, now), now)


def run_now(name: str, *, actor: Actor) -> None:
    """Ask a worker for one row of the timetable, now. Raises NotVisible, Unavailable."""
    with atomic():
        access.demand("jobs", actor=actor)
        if name not in {job.name for job in timetable}:
            raise NotVisible("There is no such row in the timetable.")
        audit.record("timetable.run", actor=actor, object_type=name)
    if ask is None or not ask(name):
        raise Unavailable("The broker (Redis) does not answer, so no worker can be asked. Please try again.")


def _troubles(lines: Sequence[Line], clock: ClockLead | None, now: datetime) -> list[str]:
    if clock is None:
        return ["No clock has led yet, so nothing happens by itself. Start one: frontdesk clock"]
    if (silent := now - clock.seen_at) > CLOCK_IS_LOST_AFTER:
        return [
            f"The clock has not been heard of for {_words(silent)}: nothing happens by itself. "
            "Start one: frontdesk clock"
        ]
    found = []
    for queue in (NOW, LETTERS, BULK):
        of_queue = [line for line in lines if line.job.queue == queue]
        started = [line.run.started_at for line in of_queue if line.run is not None]
        rhythm = min((line.job.every_seconds for line in of_queue), default=0)
        # A clock that leads again has asked at once, whatever lay still before.
        silent = now - max([*started, clock.since])
        if of_queue and silent > max(WORKER_IS_LOST_AFTER, timedelta(seconds=4 * rhythm)):
            found.append(
                f"Nothing of the queue “{queue}” ran for {_words(silent)}: no worker takes it, or it is stuck. "
                f"Start one: frontdesk worker --queues {queue}"
            )
    return found


def _words(silent: timedelta) -> str:
    return minutes_in_words(max(int(silent.total_seconds()) // 60, 1))
