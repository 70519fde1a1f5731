"""Accounts of staff, as an administrator keeps them: invite, change the role, switch off, reset second factors."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from server.errors import Conflict, Invalid, NotVisible
from server.extensions import db
from server.models import Practitioner, Role, User
from server.services import access, addresses, audit, outbox, second_factor, tokens
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils import clock
from server.utils.text import clean_line
from server.utils.tokens import new_secret

ROLES = (access.ADMINISTRATOR, access.FRONT_DESK, access.PRACTITIONER, access.AUDITOR)


class OwnAccount(Conflict):
    """An administrator who takes this from themselves may be the last one."""

    slug, title = "own-account", "Not with your own account"


@dataclass(frozen=True, kw_only=True)
class StaffAccount:
    """One row of the administrator's list."""

    id: UUID
    name: str
    email: str
    role: str
    is_active: bool
    has_password: bool
    has_second_factor: bool
    invited_at: datetime | None


def list_all(*, actor: Actor) -> list[StaffAccount]:
    """Everybody who works here and may sign in, by name."""
    access.demand("accounts", actor=actor)
    users = db.session.scalars(
        select(User).where(User.roles.any(Role.name.in_(access.AT_WORK))).order_by(User.name, User.email)
    ).all()
    return [
        StaffAccount(
            id=user.id,
            name=user.name,
            email=user.email,
            role=next(role for role in ROLES if role in {each.name for each in user.roles}),
            is_active=user.active,
            has_password=bool(user.password),
            has_second_factor=second_factor.has_any(user),
            invited_at=user.invited_at,
        )
        for user in users
    ]


def practitioners_without_account(*, actor: Actor) -> list[Practitioner]:
    """Whom an invitation may be for."""
    access.demand("accounts", actor=actor)
    free = select(Practitioner).where(Practitioner.user_id.is_(None), Practitioner.is_active)
    return list(db.session.scalars(free.order_by(Practitioner.name)))


def invite(*, email: str, name: str, role: str, practitioner_id: UUID | None = None, actor: Actor) -> UUID:
    """Make an account without a password, and send the letter with which its owner chooses one. Raises Invalid."""
    access.demand("accounts", actor=actor)
    errors: dict[str, list[str]] = {}
    address, wrong = addresses.checked(email)
    if wrong:
        errors["email"] = wrong
    if not 0 < len(clean_line(name)) <= 200:
        errors["name"] = ["Please fill this in."]
    if role not in ROLES:
        errors["role"] = ["Choose one of the roles."]
    if practitioner_id and role != access.PRACTITIONER:
        errors["practitioner_id"] = ["Only with the role of a practitioner."]
    if errors:
        raise Invalid("Some of what was sent is not right.", errors=errors)
    with atomic():
        user = User(email=address, name=clean_line(name), roles=[_role(role)], invited_at=clock.now())
        try:
            with db.session.begin_nested():
                db.session.add(user)
        except IntegrityError as problem:
            raise Invalid(
                "There is an account with this address already.", errors={"email": ["It is taken."]}
            ) from problem
        if practitioner_id:
            _give(practitioner_id, user.id)
        audit.record("account.invited", actor=actor, object_type="User", object_id=user.id)
        outbox.post("account-invited", user_id=user.id)
    return user.id


def invite_again(user_id: UUID, *, actor: Actor) -> None:
    """Another letter, and another seven days. Raises Conflict once there is a password."""
    with atomic():
        user = _staff(user_id, actor)
        if user.password:
            raise Conflict("This account has a password already.")
        user.invited_at = clock.now()
        audit.record("account.invited", actor=actor, object_type="User", object_id=user.id)
        outbox.post("account-invited", user_id=user.id)


def set_role(user_id: UUID, role: str, *, actor: Actor) -> None:
    """Another role in place of the one before; every sign-in ends. Raises Invalid, OwnAccount."""
    if role not in ROLES:
        raise Invalid("Some of what was sent is not right.", errors={"role": ["Choose one of the roles."]})
    with atomic():
        user = _staff(user_id, actor, own=False)
        user.roles = [each for each in user.roles if each.name not in access.AT_WORK] + [_role(role)]
        _end_sign_ins(user)
        audit.record("account.role-changed", actor=actor, object_type="User", object_id=user.id)


def set_active(user_id: UUID, is_active: bool, *, actor: Actor) -> None:
    """Switch an account off, which ends every sign-in at once, or on again. Raises OwnAccount."""
    with atomic():
        user = _staff(user_id, actor, own=False)
        user.active = is_active
        _end_sign_ins(user)
        action = "account.switched-on" if is_active else "account.switched-off"
        audit.record(action, actor=actor, object_type="User", object_id=user.id)


def reset_second_factor(user_id: UUID, *, actor: Actor) -> None:
    """For whoever lost phone and codes: staff of any role, and patients at the clinic's own risk. Tells the owner."""
    access.demand("accounts", actor=actor)
    with atomic():
        user = db.session.get(User, user_id, with_for_update=True, populate_existing=True)
        if user is None:
            raise NotVisible("There is no such account.")
        second_factor.forget(user, passkeys=True)
        _end_sign_ins(user)
        audit.record("account.second-factor-reset", actor=actor, object_type="User", object_id=user.id)
        outbox.post(second_factor.CHANGED, user_id=user.id)


def find(email: str) -> UUID | None:
    """Whose address this is; for the command line."""
    return db.session.scalar(select(User.id).where(User.email == email.strip().lower()))


def _staff(user_id: UUID, actor: Actor, *, own: bool = True) -> User:
    access.demand("accounts", actor=actor)
    user = db.session.get(User, user_id, with_for_update=True, populate_existing=True)
    if user is None or not {role.name for role in user.roles} & access.AT_WORK:
        raise NotVisible("There is no such account of staff.")
    if not own and user.id == actor.user_id:
        raise OwnAccount("Another administrator can do this for you.")
    return user


def _end_sign_ins(user: User) -> None:
    user.fs_uniquifier = new_secret()
    tokens.end_families_of(user.id)


def _role(name: str) -> Role:
    return db.session.scalars(select(Role).where(Role.name == name)).one()


def _give(practitioner_id: UUID, user_id: UUID) -> None:
    practitioner = db.session.get(Practitioner, practitioner_id, with_for_update=True)
    if practitioner is None or practitioner.user_id is not None:
        raise Invalid(
            "Some of what was sent is not right.", errors={"practitioner_id": ["They have an account already."]}
        )
    practitioner.user_id = user_id
