"""Sign-ins that stand, each a token family: of a browser, or of an API client, whose refresh tokens are each used once.

(RFC 9700, 4.14.2.) A family that is revoked is dead with the next request: every request asks.
"""

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select, update

from server.errors import DomainError, NotVisible
from server.extensions import db
from server.models import RefreshToken, TokenFamily
from server.services import audit
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils.tokens import fingerprint, new_id

SESSION_LASTS = timedelta(hours=12)  # of a browser, however busy it is
GRACE = timedelta(seconds=5)  # in which two requests of one program may cross with the same refresh token


class TokenReused(DomainError):
    """A refresh token came twice: it may have been stolen, so its whole family ends."""

    status, slug, title = 401, "token-reused", "This sign-in was ended"


class TokenRefused(DomainError):
    """Unknown, expired or revoked."""

    status, slug, title = 401, "invalid-token", "The token is not valid"


def begin_family(user_id: UUID, *, secret: str, lifetime: timedelta, actor: Actor, agent: str = "") -> UUID:
    """A new sign-in of an API client with its first refresh token; returns the family's id."""
    with atomic():
        family = TokenFamily(id=new_id(), user_id=user_id, agent=agent[:200], ip=actor.ip)
        db.session.add(family)
        db.session.flush()
        _add(family.id, secret, lifetime)
        audit.record("token.issued", actor=actor, object_type="TokenFamily", object_id=family.id)
    return family.id


def begin_session(user_id: UUID, *, agent: str, actor: Actor) -> UUID:
    """A new sign-in of a browser; returns the family's id, which the session keeps."""
    with atomic():
        family = TokenFamily(
            id=new_id(),
            user_id=user_id,
            kind="browser",
            agent=agent[:200],
            ip=actor.ip,
            expires_at=func.now() + SESSION_LASTS,
        )
        db.session.add(family)
    return family.id


def rotate(*, family_id: UUID, old_secret: str, secret_key: str, lifetime: timedelta, actor: Actor) -> str:
    """Use a refresh token up; returns the secret of the one that takes its place.

    There is one successor, whoever asks: it is derived, so two requests that cross within GRACE get the same one, and
    a thief never gets a line of his own. Raises TokenRefused, or TokenReused, which revokes the family before it is
    raised.
    """
    successor = _successor(old_secret, secret_key)
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
                _lives(family_id),
            )
            .values(used_at=func.clock_timestamp())
            .execution_options(synchronize_session=False)
        )
        good = bool(used.rowcount)  # type: ignore[attr-defined]
        if good:
            _add(family_id, successor, lifetime)
        else:
            was_used = select(RefreshToken.used_at > func.clock_timestamp() - GRACE).where(
                RefreshToken.fingerprint == fingerprint(old_secret),
                RefreshToken.family_id == family_id,
                RefreshToken.used_at.is_not(None),
            )
            a_moment_ago = db.session.scalar(was_used)
            good = bool(a_moment_ago and db.session.scalar(select(_lives(family_id))))
            reused = a_moment_ago is False
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
    if not good:
        raise TokenRefused("This refresh token is unknown, expired or revoked.")
    return successor


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """One sign-in that stands, as its owner sees it in the list."""

    id: UUID
    kind: str
    agent: str
    ip: str
    created_at: datetime


def sign_ins_of(user_id: UUID) -> list[SignIn]:
    """What is signed in to an account now, newest first."""
    may_go_on = exists().where(
        RefreshToken.family_id == TokenFamily.id,
        RefreshToken.used_at.is_(None),
        RefreshToken.expires_at > func.clock_timestamp(),
    )
    rows = db.session.execute(
        select(TokenFamily.id, TokenFamily.kind, TokenFamily.agent, TokenFamily.ip, TokenFamily.created_at)
        .where(
            TokenFamily.user_id == user_id,
            TokenFamily.revoked_at.is_(None),
            (TokenFamily.expires_at > func.clock_timestamp()) | may_go_on,
        )
        .order_by(TokenFamily.id.desc())
    )
    return [SignIn(**row._asdict()) for row in rows]


def end_sign_in(family_id: UUID, *, actor: Actor) -> None:
    """End one of one's own sign-ins. Raises NotVisible for anybody else's."""
    with atomic():
        mine = db.session.scalar(
            select(TokenFamily.id).where(TokenFamily.id == family_id, TokenFamily.user_id == actor.user_id)
        )
        if mine is None:
            raise NotVisible("There is no such sign-in, or it is not yours.")
        end_family(family_id, actor=actor)


def end_other_sign_ins(kept: UUID, *, actor: Actor) -> None:
    """End every sign-in of this account but one."""
    assert actor.user_id is not None
    with atomic():
        end_families_of(actor.user_id, but=kept)
        audit.record("token.others-revoked", actor=actor, object_type="User", object_id=actor.user_id)


def end_family(family_id: UUID, *, actor: Actor) -> None:
    """Sign out: access tokens and refresh tokens of the family are dead at once."""
    with atomic():
        _revoke(family_id)
        audit.record("token.revoked", actor=actor, object_type="TokenFamily", object_id=family_id)


def end_families_of(user_id: UUID, *, but: UUID | None = None) -> None:
    """End every sign-in of an account, of browsers and of programs, in the caller's transaction and record."""
    ends = update(TokenFamily).where(TokenFamily.user_id == user_id, TokenFamily.revoked_at.is_(None))
    if but is not None:
        ends = ends.where(TokenFamily.id != but)
    db.session.execute(ends.values(revoked_at=func.clock_timestamp()))


def _successor(secret: str, secret_key: str) -> str:
    digest = hmac.digest(secret_key.encode(), b"refresh token after " + secret.encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def _lives(family_id: UUID) -> ColumnElement[bool]:
    return select(TokenFamily.id).where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None)).exists()


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
