"""Sessions of the pages: on the server, in Redis, as JSON; a browser holds a random id and nothing else."""

import json
import logging
from datetime import timedelta
from typing import Any

from flask import Flask
from flask_session.redis import RedisSessionInterface
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class Sessions(RedisSessionInterface):
    """Flask-Session's interface, that never unpickles, and lets people in as visitors while Redis is away."""

    def _retrieve_session_data(self, store_id: str) -> dict[str, Any] | None:
        try:
            stored = self.client.get(store_id)
            return json.loads(stored) if stored else None
        except (RedisError, ValueError) as error:
            log.warning("A session could not be read: %s", type(error).__name__)
            return None

    def _upsert_session(self, session_lifetime: timedelta, session: Any, store_id: str) -> None:
        try:
            self.client.set(store_id, json.dumps(dict(session)), ex=session_lifetime)
        except RedisError as error:
            log.warning("A session could not be kept: %s", type(error).__name__)

    def _delete_session(self, store_id: str) -> None:
        try:
            self.client.delete(store_id)
        except RedisError as error:
            log.warning("A session could not be ended: %s", type(error).__name__)


def init_app(app: Flask) -> None:
    """Keep the app's sessions in the Redis of its settings."""
    app.session_interface = Sessions(
        app,
        client=app.config["SESSION_REDIS"],
        key_prefix="session:",
        permanent=True,
        sid_length=32,
        serialization_format="json",
    )
