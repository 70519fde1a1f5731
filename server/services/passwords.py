"""A forgotten password: a letter with a link that works once, and the new password behind it."""

from datetime import timedelta
from uuid import UUID

from flask_security import hash_password
from flask_security.recoverable import reset_password_token_status
from sqlalchemy import select

from server.errors import Invalid
from server.extensions import db
from server.models import User
from server.services import accounts, audit, outbox, tokens
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils import clock
from server.utils.tokens import new_secret

INVITED_FOR = timedelta(days=7)


def ask_for_new(email: str, *, actor: Actor) -> None:
    """Send the letter when there is such an account; whoever asks learns nothing either way.

    Also not by the clock: for an unknown address the letter is written, to anybody, and taken back.
    """
    named = select(User.id).where(User.email == email.strip().lower(), User.active).scalar_subquery()
    with atomic():
        user_id, anybody = db.session.execute(select(named, select(User.id).limit(1).scalar_subquery())).one()
        outcome = "success" if user_id else "refused"
        audit.record("account.reset-asked", actor=actor, object_type="User", object_id=user_id, outcome=outcome)
        if anybody is None:  # a clinic without a single account
            return
        with db.session.begin_nested() as written:
            outbox.post("account-reset", user_id=user_id or anybody)
            if user_id is None:
                written.rollback()


def demand_valid(token: str) -> User:
    """The account of a link. Raises Invalid when it was used, is too old, or was never ours."""
    expired, invalid, user = reset_password_token_status(token)
    if user is not None and expired and not user.password and user.invited_at:
        expired = user.invited_at < clock.now() - INVITED_FOR
    if user is None or expired or invalid or not user.active:
        raise Invalid("This link is not valid any more. Ask for a new one.", errors={"token": ["Not valid any more."]})
    found: User = user
    return found


def set_new(token: str, *, password: str, actor: Actor) -> UUID:
    """Set the password and end every sign-in of the account, in browsers and programs. Raises Invalid.

    The token names the account by a secret that is new afterwards, so it works once. It came to the address, which is
    confirmed by that.
    """
    user = demand_valid(token)
    if sentences := accounts.against_password(password, address=user.email):
        raise Invalid("Some of what was sent is not right.", errors={"password": sentences})
    named_by, hashed = user.fs_uniquifier, hash_password(password)
    with atomic():
        locked = db.session.get_one(User, user.id, with_for_update=True, populate_existing=True)
        if locked.fs_uniquifier != named_by:
            raise Invalid("This link was used a moment ago.", errors={"token": ["Not valid any more."]})
        locked.password, locked.fs_uniquifier = hashed, new_secret()
        locked.confirmed_at = locked.confirmed_at or clock.now()
        tokens.end_families_of(locked.id)
        audit.record("account.password-reset", actor=actor, object_type="User", object_id=locked.id)
        outbox.post("account-password-changed", user_id=locked.id)
    return locked.id
