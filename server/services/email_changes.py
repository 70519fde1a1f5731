"""Another e-mail address for an account: confirmed from the new one, and told to the old one."""

from uuid import UUID

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from server.errors import Invalid
from server.extensions import db
from server.models import Patient, User
from server.services import addresses, audit, outbox, tokens
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils.tokens import fingerprint, new_secret

WITHIN_SECONDS = 2 * 3600


def ask(email: str, *, actor: Actor) -> None:
    """Send the letter that confirms the new address to it; nothing changes before.

    An address that another account has gets a letter saying so instead, and the caller the same answer. Raises Invalid.
    """
    address, wrong = addresses.checked(email)
    if wrong:
        raise Invalid("Some of what was sent is not right.", errors={"email": wrong})
    with atomic():
        user = db.session.get_one(User, actor.user_id, with_for_update=True, populate_existing=True)
        known = db.session.scalar(select(User.id).where(User.email == address))
        user.new_email = None if known else address
        audit.record("account.address-asked", actor=actor, object_type="User", object_id=user.id)
        if known is None:
            outbox.post("account-new-address", user_id=user.id)
        else:
            outbox.post("account-exists", user_id=known)


def make_token(user: User, *, secret_key: str) -> str:
    """What stands in the letter: bound to this account, to how it signs in today, and to both addresses."""
    return str(_serializer(secret_key).dumps([str(user.id), _state(user)]))


def demand_valid(token: str, *, secret_key: str) -> User:
    """The account of a link. Raises Invalid when it was used, is too old, or was never ours."""
    try:
        user_id, state = _serializer(secret_key).loads(token, max_age=WITHIN_SECONDS)
        user = db.session.get(User, UUID(user_id))
    except (BadSignature, ValueError):
        user, state = None, ""
    if user is None or not user.active or not user.new_email or _state(user) != state:
        raise Invalid("This link is not valid any more. Please ask for a new one.", errors={"token": ["Not valid."]})
    return user


def confirm(token: str, *, secret_key: str, actor: Actor) -> None:
    """Take the new address, here and where the patient is written to, and end every sign-in. Raises Invalid."""
    user_id = demand_valid(token, secret_key=secret_key).id
    with atomic():
        db.session.get_one(User, user_id, with_for_update=True, populate_existing=True)
        user = demand_valid(token, secret_key=secret_key)  # nobody was quicker
        old, new = user.email, str(user.new_email)
        try:
            with db.session.begin_nested():
                user.email, user.previous_email, user.new_email = new, old, None
                user.fs_uniquifier = new_secret()  # links of letters to the old address end, too
        except IntegrityError as problem:
            raise Invalid(
                "This address belongs to another account.", errors={"token": ["The address was taken."]}
            ) from problem
        db.session.execute(update(Patient).where(Patient.user_id == user.id, Patient.email == old).values(email=new))
        tokens.end_families_of(user.id)
        audit.record("account.address-changed", actor=actor, object_type="User", object_id=user.id)
        outbox.post("account-address-changed", user_id=user.id)


def _state(user: User) -> str:
    return fingerprint(f"{user.fs_uniquifier} {user.email} {user.new_email}").hex()


def _serializer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="new address")
