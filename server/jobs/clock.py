"""The clock: APScheduler keeps next runs in PostgreSQL and hands the work to Celery. Any number may run, one leads."""

import logging
import os
import signal
import socket
import time
from typing import Any

import psycopg
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from server.jobs import watching
from server.jobs.sending import send
from server.jobs.timetable import TIMETABLE
from server.services.runs import CLOCK_IS_SEEN_EVERY
from server.settings import Settings

log = logging.getLogger(__name__)
WATCH_SECONDS = 60
LEADER = 7_309_874_113  # any number, the same for every clock


_LEADS = """
    INSERT INTO clock_leads (id, clock, since, seen_at) VALUES (1, %s, clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET clock = excluded.clock, since = excluded.since, seen_at = excluded.seen_at
"""
_IS_SEEN = "UPDATE clock_leads SET seen_at = clock_timestamp() WHERE id = 1"


def run(settings: Settings) -> None:
    """Wait to be the leader, then keep time until a signal or a lost database ends it."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    try:
        _lead(settings, stopping)
    except psycopg.OperationalError as error:
        log.error("The database is lost (%s). This clock ends, so that another one can lead.", type(error).__name__)
        raise SystemExit(1) from None


def _lead(settings: Settings, stopping: list[int]) -> None:
    with psycopg.connect(settings.postgresql_url, autocommit=True) as connection:
        _wait_to_lead(connection, stopping)
        if stopping:
            return
        log.info("This clock leads")
        connection.execute(_LEADS, (f"{socket.gethostname()[:100]}, process {os.getpid()}",))
        scheduler = _start_scheduler(settings)
        try:
            second, watched = 0, time.monotonic()
            while not stopping:
                # The lock lives with this connection: without it another leads.
                connection.execute("SELECT 1" if second % CLOCK_IS_SEEN_EVERY.seconds else _IS_SEEN)
                second += 1
                if time.monotonic() > watched + WATCH_SECONDS:
                    watched = time.monotonic()
                    for sentence in watching.ask(connection).sentences():
                        log.error("%s", sentence)
                time.sleep(1)
        finally:
            scheduler.shutdown(wait=False)


def _wait_to_lead(connection: psycopg.Connection[Any], stopping: list[int]) -> None:
    waiting = False
    while not stopping:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER,)).fetchone()
        if row and row[0]:
            return
        if not waiting:
            log.info("Another clock leads; this one waits")
            waiting = True
        time.sleep(1)


class _Executor(ThreadPoolExecutor):
    """One that takes what a pass under way still hands out while the scheduler ends; it ends with the process."""

    def shutdown(self, wait: bool = True) -> None:
        pass


def _start_scheduler(settings: Settings) -> BackgroundScheduler:
    """Jobs of the timetable; a run missed while nobody led happens once on return."""
    store = SQLAlchemyJobStore(engine=create_engine(settings.sqlalchemy_url, poolclass=NullPool))
    scheduler = BackgroundScheduler(
        jobstores={"default": store},
        executors={"default": _Executor()},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )
    scheduler.start(paused=True)
    known = {job.id: job for job in scheduler.get_jobs()}
    for name in known.keys() - {job.name for job in TIMETABLE}:
        scheduler.remove_job(name)
    for job in TIMETABLE:
        if job.name in known:
            scheduler.modify_job(job.name, func=send, args=[job.name])
            if known[job.name].trigger.interval.total_seconds() != job.every_seconds:
                scheduler.reschedule_job(job.name, trigger="interval", seconds=job.every_seconds)
        else:
            scheduler.add_job(send, "interval", seconds=job.every_seconds, args=[job.name], id=job.name)
    scheduler.resume()
    return scheduler
