"""The alarm of messages, and the sign of life that stays away when they do not leave."""

import logging
from typing import Any

import psycopg
import requests
from flask import current_app

from server.services import watch
from server.services.watch import State
from server.settings import Settings

log = logging.getLogger(__name__)
TIMEOUT = (3, 5)  # seconds to connect, and for the answer


def beat() -> int:
    """Call HEARTBEAT_URL unless messages are overdue. Only a living worker does: silence is the alarm."""
    settings: Settings = current_app.config["FRONTDESK"]
    state = watch.state()
    if state.overdue or not settings.heartbeat_url:
        return 0
    try:
        requests.get(settings.heartbeat_url, timeout=TIMEOUT)
    except requests.RequestException as error:
        log.warning("Nobody answers at HEARTBEAT_URL: %s", type(error).__name__)
        return 0
    return 1


def ask(connection: "psycopg.Connection[Any]") -> State:
    """The same question without an app: by the clock, which sees what a dead worker cannot, and by `doctor`."""
    row = connection.execute(watch.QUESTION.encode()).fetchone()
    assert row is not None
    return State(*row)
