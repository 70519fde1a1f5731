"""Thin Celery tasks: a name from the timetable, nothing else."""

from flask import current_app

from server.jobs.celery_app import celery
from server.jobs.timetable import BY_NAME
from server.services import runs


@celery.task(name="run-job")
def run_job(name: str) -> int:
    """Run one row of the timetable; answers how much there was to do."""
    with celery.flask_app.app_context():
        done = runs.carry_out(BY_NAME[name])
        if done:
            current_app.logger.info("%s: %d", name, done)
        return done
