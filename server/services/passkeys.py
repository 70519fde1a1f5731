"""Passkeys of an account (WebAuthn); the ceremonies themselves are Flask-Security's."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from server.errors import NotVisible
from server.extensions import db
from server.models import Passkey, User
from server.services import audit, outbox, second_factor
from server.services.access import Actor
from server.services.transaction import atomic


@dataclass(frozen=True, kw_only=True)
class OwnPasskey:
    """One row of the owner's list."""

    id: UUID
    name: str
    created_at: datetime
    used_at: datetime


def list_of(user_id: UUID) -> list[OwnPasskey]:
    """An account's passkeys, oldest first."""
    rows = db.session.execute(
        select(Passkey.id, Passkey.name, Passkey.created_at, Passkey.lastuse_datetime)
        .where(Passkey.user_id == user_id)
        .order_by(Passkey.id)
    )
    return [OwnPasskey(id=row[0], name=row[1], created_at=row[2], used_at=row[3]) for row in rows]


def tell_of_new(user_id: UUID, *, actor: Actor) -> None:
    """Put a passkey that was just added on record, and tell its owner, in the transaction that adds it."""
    with atomic():
        audit.record("account.passkey-added", actor=actor, object_type="User", object_id=user_id)
        outbox.post(second_factor.CHANGED, user_id=user_id)


def remove(passkey_id: UUID, *, actor: Actor) -> None:
    """Take one's own passkey away. Raises NotVisible for anybody else's."""
    with atomic():
        user = db.session.get_one(User, actor.user_id, with_for_update=True, populate_existing=True)
        found = next((passkey for passkey in user.webauthn if passkey.id == passkey_id), None)
        if found is None:
            raise NotVisible("There is no such passkey, or it is not yours.")
        user.webauthn.remove(found)
        if not second_factor.has_any(user):
            user.mf_recovery_codes = []
        audit.record("account.passkey-removed", actor=actor, object_type="User", object_id=user.id)
        outbox.post(second_factor.CHANGED, user_id=user.id)
