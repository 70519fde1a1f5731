"""Random secrets, their fingerprints, and time-ordered keys."""

import hashlib
import secrets
from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): unique, and in the order of its making, so that indexes grow at one end."""
    return uuid7()


def new_secret() -> str:
    """128 bits from the system's generator, URL-safe, 22 characters."""
    return secrets.token_urlsafe(16)


def fingerprint(secret: str) -> bytes:
    """SHA-256 of a high-entropy secret: 32 bytes. Not for passwords."""
    return hashlib.sha256(secret.encode()).digest()
