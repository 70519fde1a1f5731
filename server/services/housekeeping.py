"""What is kept for a while only."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select

from server.extensions import db
from server.models import IdempotencyKey, KnownDevice, RefreshToken, TextReply, TokenFamily
from server.services import bulk_jobs
from server.services.transaction import atomic

IDEMPOTENCY_KEYS_FOR = timedelta(hours=48)
REFRESH_TOKENS_FOR = timedelta(days=30)
SIGN_INS_FOR = timedelta(days=30)
TEXT_REPLIES_FOR = timedelta(days=90)
DEVICES_FOR = timedelta(days=365)


def forget_idempotency_keys() -> int:
    """Delete remembered answers after two days; returns how many."""
    return _delete(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - IDEMPOTENCY_KEYS_FOR))


def forget_refresh_tokens() -> int:
    """Delete refresh tokens a month after they expired; until then a reuse is noticed."""
    return _delete(delete(RefreshToken).where(RefreshToken.expires_at < func.now() - REFRESH_TOKENS_FOR))


def forget_sign_ins() -> int:
    """Delete sign-ins of browsers a month after they ended, and those of programs with their last refresh token."""
    of_browser, month_ago = TokenFamily.kind == "browser", func.now() - SIGN_INS_FOR
    is_empty = ~select(RefreshToken.id).where(RefreshToken.family_id == TokenFamily.id).exists()
    browsers = of_browser & (TokenFamily.expires_at < month_ago)
    programs = ~of_browser & (TokenFamily.created_at < month_ago) & is_empty
    return _delete(delete(TokenFamily).where(browsers | programs))


def forget_text_replies() -> int:
    """Delete replies to texts after three months: no question is open that long, and no gateway repeats so late."""
    return _delete(delete(TextReply).where(TextReply.created_at < func.now() - TEXT_REPLIES_FOR))


def forget_devices() -> int:
    """Delete what an account has not signed in with for a year; it is new then."""
    return _delete(delete(KnownDevice).where(KnownDevice.last_seen_at < func.now() - DEVICES_FOR))


def forget_bulk_files() -> int:
    """Delete what imports and exports left, a week after they ended; returns of how many."""
    return bulk_jobs.delete_files()


def _delete(statement: Any) -> int:
    with atomic():
        return int(db.session.execute(statement).rowcount)  # type: ignore[attr-defined]
