"""Token families: one sign-in of an API client, whose refresh tokens are each used once (RFC 9700, 4.14.2)."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update

from server.errors import DomainError
from server.extensions import db
from server.models import RefreshToken, TokenFamily
from server.services import audit
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils.tokens import fingerprint, new_id


class TokenReused(DomainError):
    """A refresh token came twice: it may have been stolen, so its whole family ends."""

    status, slug, title = 401, "token-reused", "This sign-in was ended"


class TokenRefused(DomainError):
    """Unknown, expired or revoked."""

    status, slug, title = 401, "invalid-token", "The token is not valid"


def begin_family(user_id: UUID, *, secret: str, lifetime: timedelta, actor: Actor) -> UUID:
    """A new sign-in with its first refresh token; returns the family's id."""
    with atomic():
        family = TokenFamily(id=new_id(), user_id=user_id)
        db.session.add(family)
        db.session.flush()
        _add(family.id, secret, lifetime)
        audit.record("token.issued", actor=actor, object_type="TokenFamily", object_id=family.id)
    return family.id


def rotate(*, family_id: UUID, old_secret: str, new_secret: str, lifetime: timedelta, actor: Actor) -> None:
    """Use a refresh token up and put the next one in its place.

    Raises TokenRefused, or TokenReused, which revokes the family before it is raised.
    """
    reused = False
    with atomic():
        # The UPDATE is the test: of two requests with the same token only one changes a row.
        used = db.session.execute(
            update(RefreshToken)
            .where(
                RefreshToken.family_id == family_id,
                RefreshToken.fingerprint == fingerprint(old_secret),
                RefreshToken.used_at.is_(None),
                RefreshToken.expires_at > func.clock_timestamp(),
                select(TokenFamily.id).where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None)).exists(),
            )
            .values(used_at=func.clock_timestamp())
            .execution_options(synchronize_session=False)
        )
        if used.rowcount:  # type: ignore[attr-defined]
            _add(family_id, new_secret, lifetime)
        else:
            reused = bool(
                db.session.scalar(
                    select(RefreshToken.id).where(
                        RefreshToken.fingerprint == fingerprint(old_secret), RefreshToken.used_at.is_not(None)
                    )
                )
            )
            if reused:
                _revoke(family_id)
                audit.record(
                    "token.reused",
                    actor=actor,
                    object_type="TokenFamily",
                    object_id=family_id,
                    outcome="refused",
                )
    if reused:
        raise TokenReused("This refresh token was used before, so every token of this sign-in was revoked.")
    if not used.rowcount:  # type: ignore[attr-defined]
        raise TokenRefused("This refresh token is unknown, expired or revoked.")


def end_family(family_id: UUID, *, actor: Actor) -> None:
    """Sign out: access tokens and refresh tokens of the family are dead at once."""
    with atomic():
        _revoke(family_id)
        audit.record("token.revoked", actor=actor, object_type="TokenFamily", object_id=family_id)


def end_families_of(user_id: UUID) -> None:
    """End every sign-in of an account, in the caller's transaction and record."""
    db.session.execute(
        update(TokenFamily)
        .where(TokenFamily.user_id == user_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
    )


def _add(family_id: UUID, secret: str, lifetime: timedelta) -> None:
    db.session.add(
        RefreshToken(family_id=family_id, fingerprint=fingerprint(secret), expires_at=func.clock_timestamp() + lifetime)
    )


def _revoke(family_id: UUID) -> None:
    db.session.execute(
        update(TokenFamily)
        .where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
    )
