"""What the tests of the REST door share."""

import pytest
import redis
from flask import Flask
from flask_security import hash_password
from passlib.context import CryptContext

from server.extensions import security
from tests import factories


@pytest.fixture
def cheap_passwords(app: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with next to no work, for tests that hash a lot and are not about the hash."""
    cheap = CryptContext(schemes=["argon2"], argon2__rounds=1, argon2__memory_cost=8, argon2__parallelism=1)
    monkeypatch.setattr(security, "pwd_context", cheap)
    monkeypatch.setattr(factories, "_hashed", lambda: hash_password(factories.PASSWORD))


@pytest.fixture
def no_limits(app: Flask, context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is refused for asking too often."""
    monkeypatch.setitem(app.config, "RATES", None)


@pytest.fixture
def redis_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is sent to Redis arrives."""

    def refuse(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError("away")

    for name in ("connect", "send_packed_command", "read_response"):
        monkeypatch.setattr(redis.connection.Connection, name, refuse)
