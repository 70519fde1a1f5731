"""Hurrying the workers after a commit: one task a second at most, which finds all that was written in it."""

import logging
import time

import redis
from flask import Flask

from server.jobs.celery_app import celery, configure
from server.services import directory, outbox
from server.settings import Settings
from server.web.caching import forget_directory

log = logging.getLogger(__name__)
AWAY_SECONDS = 10  # how long a broker that did not answer is left alone


def init_app(app: Flask) -> None:
    """Bind Celery to the app, and the services' hooks to the broker and the cache."""
    settings: Settings = app.config["FRONTDESK"]
    configure(settings.redis_url)
    celery.flask_app = app
    client: redis.Redis = app.config["SESSION_REDIS"]

    away_until = 0.0

    def wake_letters() -> None:
        # The first commit of each second asks for a look at the end of it; the others are found by that look.
        nonlocal away_until
        if time.monotonic() < away_until:
            return
        try:
            if client.set("letters-awake", "1", nx=True, px=500):
                celery.send_task("run-job", args=["send-letters"], countdown=0.5)
        except Exception as error:
            # Somebody waits for the answer of this request: do not make everybody wait for a broker that hangs.
            away_until = time.monotonic() + AWAY_SECONDS
            log.warning("The broker does not answer, the clock's sweep sends the letters: %s", type(error).__name__)

    outbox.wake = wake_letters
    directory.forget = forget_directory
