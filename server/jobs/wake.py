"""Hurrying the workers after a commit: a few tasks a second at most, which find all that was written meanwhile."""

import logging
import time

from flask import Flask

from server.jobs.celery_app import celery, configure
from server.jobs.sending import options, send
from server.jobs.timetable import TIMETABLE
from server.services import bulk_jobs, carrying_out, directory, external_calendars, outbox, runs
from server.settings import Settings
from server.web.caching import forget_directory

log = logging.getLogger(__name__)


class Bell:
    """Asks the workers for a look in half a second. Whoever rings until then is found by that look.

    Each process has its own: asking the broker whether another one rang already would cost every booking more
    than the few looks that it saves.
    """

    QUIET = 0.4  # seconds, a little less than the look is ahead
    AWAY = 10.0  # how long a broker that did not answer is left alone

    def __init__(self, job: str) -> None:
        self.job = job
        self.quiet_until = 0.0

    def ring(self) -> None:
        if time.monotonic() < self.quiet_until:
            return
        self.quiet_until = time.monotonic() + self.QUIET
        try:
            celery.send_task("run-job", args=[self.job], countdown=0.5, **options(self.job))
        except Exception as error:
            # Somebody waits for the answer of this request: do not make everybody wait for a broker that hangs.
            self.quiet_until = time.monotonic() + self.AWAY
            log.warning("The broker does not answer, the clock's sweep does %s: %s", self.job, type(error).__name__)


bell = Bell("send-letters")
plans_bell = Bell("carry-out-plans")
calendars_bell = Bell("fetch-external-calendars")
bulk_bell = Bell("work-on-bulk-jobs")


def init_app(app: Flask) -> None:
    """Bind Celery to the app, and the services' hooks to the broker and the cache."""
    settings: Settings = app.config["FRONTDESK"]
    configure(settings.redis_url)
    celery.flask_app = app
    outbox.wake = bell.ring
    outbox.clinic_listens = bool(settings.webhook_url)
    carrying_out.wake = plans_bell.ring
    external_calendars.wake = calendars_bell.ring
    bulk_jobs.wake = bulk_bell.ring
    runs.timetable, runs.ask = TIMETABLE, send
    directory.forget = forget_directory
