"""Reading practitioners' own calendars, one after another, for as long as a task may take."""

import time

from flask import current_app

from server.services import external_calendars
from server.settings import Settings

SECONDS = 150  # a task is ended after 240, and one calendar takes 20 at most


def fetch_due() -> int:
    """Read every calendar that is due; returns how many changed."""
    settings: Settings = current_app.config["FRONTDESK"]
    until = time.monotonic() + SECONDS
    changed = 0
    while time.monotonic() < until:
        came = external_calendars.fetch_one_due(private_urls=settings.allow_private_urls)
        if came is None:
            break
        changed += came
    return changed
