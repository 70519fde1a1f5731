"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when the phone is gone.

A code is looked at under the lock of its account, so that it is used once and guesses are counted one by one. What is
kept of a secret is encrypted, and of a recovery code its fingerprint.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from server.errors import DomainError, Invalid
from server.extensions import db, security
from server.models import User
from server.services import audit, outbox
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils import clock
from server.utils.tokens import fingerprint

AUTHENTICATOR = "authenticator"  # Flask-Security's name of the method
WINDOW_SECONDS = 30  # how far a phone's clock may be away
MAX_FAILURES, FAILURES_WITHIN = 5, timedelta(minutes=10)
RECOVERY_CODES = 10
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: nothing in it looks like something else
CHANGED = "account-sign-in-changed"


class SecondFactorRequired(DomainError):
    """The password is right, and is not all."""

    status, slug, title = 401, "second-factor-required", "A code is needed"


class TooManyCodes(DomainError):
    """Somebody has the password and guesses the code."""

    status, slug, title = 429, "too-many-codes", "Too many wrong codes"
    retry_after = int(FAILURES_WITHIN.total_seconds())


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A new secret, before a first code has shown that the phone has it. `kept` is encrypted, `image` a data: URL."""

    kept: str
    key: str
    image: str


def offer(user: User, *, kept: str | None = None) -> Offer:
    """A new secret for this account, or the one that was offered before."""
    factory: Any = security.totp_factory
    kept = kept or factory.generate_totp_secret()
    return Offer(kept=kept, key=factory.get_totp_pretty_key(kept), image=factory.generate_qrcode(user.email, kept))


def turn_on(kept: str, code: str, *, actor: Actor) -> list[str]:
    """Demand a code with every sign-in from now on; returns new recovery codes, which are shown this once.

    Raises Invalid while the code does not fit the secret.
    """
    with atomic():
        user = _locked(actor.user_id)
        user.tf_last_counter = None  # counted by the secret before
        if not _fits(user, kept, code):
            raise Invalid(
                "This is not the code of the moment. Wait for the next one, and check the clock of your phone.",
                errors={"code": ["This is not the code of the moment."]},
            )
        user.tf_primary_method, user.tf_totp_secret = AUTHENTICATOR, kept
        codes = _new_codes(user)
        _tell(user, "account.second-factor-on", actor)
    return codes


def turn_off(*, actor: Actor) -> None:
    """No code is asked for any more. Passkeys stay, and so do recovery codes as long as there is one."""
    with atomic():
        user = _locked(actor.user_id)
        if user.tf_primary_method is None:
            return
        forget(user, passkeys=False)
        _tell(user, "account.second-factor-off", actor)


def forget(user: User, *, passkeys: bool) -> None:
    """Take the factors away, in the caller's transaction and record."""
    user.tf_primary_method = user.tf_totp_secret = user.tf_last_counter = None
    if passkeys:
        user.webauthn.clear()
    if not user.webauthn:
        user.mf_recovery_codes = []


def renew_recovery_codes(*, actor: Actor) -> list[str]:
    """New codes in place of all before. Raises Invalid without a second factor to recover from."""
    with atomic():
        user = _locked(actor.user_id)
        if not has_any(user):
            raise Invalid("Set up a second factor first.", errors={})
        codes = _new_codes(user)
        _tell(user, "account.recovery-codes-made", actor)
    return codes


def has_any(user: User) -> bool:
    """Whether a password alone does not sign in to this account."""
    return user.tf_primary_method is not None or bool(user.webauthn)


def names_of(actor: Actor) -> list[str]:
    """Which second factors the actor's own account has."""
    if not actor.has_second_factor:
        return []
    user = db.session.get_one(User, actor.user_id)
    return [AUTHENTICATOR] * (user.tf_primary_method is not None) + ["passkey"] * bool(user.webauthn)


def check(user_id: UUID, code: str, *, actor: Actor) -> None:
    """Use up one code of the app, or one recovery code.

    Raises SecondFactorRequired for a wrong one, TooManyCodes after five wrong ones within ten minutes.
    """
    with atomic():
        user = _locked(user_id)
        is_shut, right = _is_shut(user), False
        if not is_shut:
            right = _fits(user, user.tf_totp_secret, code) or _use_up(user, code, actor)
            _count(user, right)
        if not right:
            audit.record("account.code-refused", actor=actor, object_type="User", object_id=user.id, outcome="refused")
    if is_shut:
        raise TooManyCodes("Too many wrong codes. Please wait ten minutes, then try again.")
    if not right:
        raise SecondFactorRequired("This code is wrong, or was used before.")


def _locked(user_id: UUID | None) -> User:
    return db.session.get_one(User, user_id, with_for_update=True, populate_existing=True)


def _fits(user: User, kept: str | None, code: str) -> bool:
    digits = re.sub(r"[\s-]", "", code)
    if kept is None or not re.fullmatch(r"[0-9]{6}", digits):
        return False
    factory: Any = security.totp_factory
    return bool(factory.verify_totp(token=digits, totp_secret=kept, user=user, window=WINDOW_SECONDS))


def _use_up(user: User, code: str, actor: Actor) -> bool:
    mark = _mark(user, code)
    if mark not in user.mf_recovery_codes:
        return False
    user.mf_recovery_codes = [kept for kept in user.mf_recovery_codes if kept != mark]
    _tell(user, "account.recovery-code-used", actor)
    return True


def _new_codes(user: User) -> list[str]:
    codes = [
        "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(5)) for _ in range(RECOVERY_CODES)
    ]
    user.mf_recovery_codes = [_mark(user, code) for code in codes]
    return codes


def _new_code() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(5))


def _mark(user: User, code: str) -> str:
    """The fingerprint of a code, however it is typed; a hundred random bits need no slow hash."""
    plain = re.sub(r"[\s-]", "", code.upper()).translate(str.maketrans("OIL", "011"))
    return fingerprint(f"{user.id} {plain}").hex()


def _is_shut(user: User) -> bool:
    since = user.code_failures_since
    if since is None or since < clock.now() - FAILURES_WITHIN:
        user.code_failures, user.code_failures_since = 0, None
    return user.code_failures >= MAX_FAILURES


def _count(user: User, right: bool) -> None:
    if right:
        user.code_failures, user.code_failures_since = 0, None
    else:
        user.code_failures += 1
        user.code_failures_since = user.code_failures_since or clock.now()


def _tell(user: User, action: str, actor: Actor) -> None:
    audit.record(action, actor=actor, object_type="User", object_id=user.id)
    outbox.post(CHANGED, user_id=user.id)
