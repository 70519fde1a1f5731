"""Hurrying the workers after a commit: one task a second at most, which finds all that was written in it."""

import redis
from flask import Flask

from server.jobs.celery_app import celery, configure
from server.services import directory, outbox
from server.settings import Settings
from server.web.caching import forget_directory


def init_app(app: Flask) -> None:
    """Bind Celery to the app, and the services' hooks to the broker and the cache."""
    settings: Settings = app.config["FRONTDESK"]
    configure(settings.redis_url)
    celery.flask_app = app
    client: redis.Redis = app.config["SESSION_REDIS"]

    def wake_letters() -> None:
        # The first commit of each second asks for a look at the end of it; the others are found by that look.
        if client.set("letters-awake", "1", nx=True, px=500):
            celery.send_task("run-job", args=["send-letters"], countdown=0.5)

    outbox.wake = wake_letters
    directory.forget = forget_directory
