"""The keys of API tokens: one signs, the one before it is still accepted, and `kid` tells which it was."""

import hashlib
from collections.abc import Mapping
from typing import Any

from flask import Flask

from server.extensions import jwt
from server.settings import Settings


def key_id(key: str) -> str:
    """A name for a key that says nothing of it."""
    return hashlib.sha256(f"kid {key}".encode()).hexdigest()[:12]


def init_app(app: Flask) -> None:
    """Tokens name their key. A name that is not ours, or none, finds the key of today, which then does not fit."""
    settings: Settings = app.config["FRONTDESK"]
    keys = {key_id(key): key for key in (settings.jwt_secret_key, settings.jwt_secret_key_previous) if key}
    app.config["JWT_HEADERS"] = {"kid": key_id(settings.jwt_secret_key)}

    @jwt.decode_key_loader
    def _key_of(headers: Mapping[str, Any], _claims: Mapping[str, Any]) -> str:
        named = headers.get("kid")
        return keys.get(named, settings.jwt_secret_key) if isinstance(named, str) else settings.jwt_secret_key
