"""The clock: APScheduler keeps next runs in PostgreSQL and hands the work to Celery. Any number may run, one leads."""

import logging
import signal
import time
from typing import Any

import psycopg
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from server.jobs import watching
from server.jobs.celery_app import celery
from server.jobs.timetable import TIMETABLE
from server.settings import Settings

log = logging.getLogger(__name__)
WATCH_SECONDS = 60
LEADER = 7_309_874_113  # any number, the same for every clock


def send(name: str) -> None:
    """Ask a worker for one row of the timetable; while the broker is away the next tick asks again."""
    try:
        celery.send_task("run-job", args=[name], expires=300)
    except Exception as error:
        log.warning("The broker does not take %s: %s", name, type(error).__name__)


def run(app: Flask) -> None:
    """Wait to be the leader, then keep time until a signal or a lost database ends it."""
    settings: Settings = app.config["FRONTDESK"]
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
        scheduler = _start_scheduler(settings)
        try:
            watched = time.monotonic()
            while not stopping:
                connection.execute("SELECT 1")  # the lock lives with this connection: without it another leads
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


def _start_scheduler(settings: Settings) -> BackgroundScheduler:
    """Jobs of the timetable; a run missed while nobody led happens once on return."""
    store = SQLAlchemyJobStore(engine=create_engine(settings.sqlalchemy_url, poolclass=NullPool))
    scheduler = BackgroundScheduler(
        jobstores={"default": store},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )
    scheduler.start(paused=True)
    known = {job.id for job in scheduler.get_jobs()}
    for name in known - {job.name for job in TIMETABLE}:
        scheduler.remove_job(name)
    for job in TIMETABLE:
        if job.name in known:
            scheduler.modify_job(job.name, func=send, args=[job.name])
        else:
            scheduler.add_job(send, "interval", seconds=job.every_seconds, args=[job.name], id=job.name)
    scheduler.resume()
    return scheduler
