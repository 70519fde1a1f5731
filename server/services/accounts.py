"""Accounts: registering, confirming, checking a password. The same commands serve the pages and the API."""

from datetime import date
from typing import Any
from uuid import UUID

from flask_security import hash_password, verify_and_update_password
from flask_security.confirmable import confirm_email_token_status
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from server.errors import DomainError, Invalid
from server.extensions import db
from server.models import Location, Patient, Role, User
from server.services import access, addresses, audit, devices, outbox, second_factor
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils import clock
from server.utils.text import clean_line

MIN_PASSWORD, MAX_PASSWORD = 12, 200


class InvalidCredentials(DomainError):
    """One answer for every reason, so that nobody learns which addresses are known."""

    status, slug, title = 401, "invalid-credentials", "E-mail or password is wrong"


def register_patient(
    *,
    email: str,
    password: str,
    given_name: str,
    family_name: str,
    birth_date: date,
    actor: Actor,
    phone: str = "",
    language: str | None = None,
) -> None:
    """Make an account and a patient, and send the letter that confirms the address.

    A known address gets a letter saying so instead, and the caller the same answer in about the same time.
    Raises Invalid with a sentence for each field that is wrong.
    """
    address = _checked(
        email=email, password=password, given_name=given_name, family_name=family_name, birth_date=birth_date
    )
    hashed = hash_password(password)  # before looking, so that both ways take as long
    with atomic():
        user = _add_user(address, hashed, name=f"{clean_line(given_name)} {clean_line(family_name)}", language=language)
        if user is None:
            known = db.session.scalars(select(User).where(User.email == address)).one()
            audit.record("account.registered", actor=actor, object_type="User", object_id=known.id, outcome="refused")
            outbox.post("account-exists" if known.confirmed_at else "account-confirm", user_id=known.id)
            return
        patient = Patient(
            user_id=user.id,
            given_name=clean_line(given_name),
            family_name=clean_line(family_name),
            birth_date=birth_date,
            email=address,
            phone=clean_line(phone) or None,
            language=language,
        )
        db.session.add(patient)
        db.session.flush()
        audit.record("account.registered", actor=actor, object_type="User", object_id=user.id, patient_id=patient.id)
        outbox.post("account-confirm", user_id=user.id)


def _add_user(email: str, hashed: str, **more: Any) -> User | None:
    """The new account with the role of a patient; None when the address is taken."""
    role = db.session.scalars(select(Role).where(Role.name == access.PATIENT)).one()
    user = User(email=email, password=hashed, roles=[role], **more)
    try:
        with db.session.begin_nested():
            db.session.add(user)
    except IntegrityError:
        return None
    return user


def create_administrator(*, email: str, password: str, name: str) -> UUID:
    """The first way in, from the command line. Raises Invalid."""
    address = _checked(email=email, password=password)
    with atomic():
        if db.session.scalar(select(User.id).where(User.email == address)):
            raise Invalid("There is an account with this address already.", errors={"email": ["It is taken."]})
        role = db.session.scalars(select(Role).where(Role.name == access.ADMINISTRATOR)).one()
        user = User(
            email=address,
            password=hash_password(password),
            name=clean_line(name),
            roles=[role],
            confirmed_at=clock.now(),
        )
        db.session.add(user)
        db.session.flush()
        audit.record("account.created", actor=access.SYSTEM, object_type="User", object_id=user.id)
    return user.id


def confirm_account(token: str, *, actor: Actor) -> UUID:
    """Confirm the address that the letter went to; doing it twice is no error. Raises Invalid."""
    expired, invalid, user = confirm_email_token_status(token)
    if user is None or expired or invalid:
        raise Invalid(
            "This link is not valid any more. Sign in to get a new one.",
            errors={"token": ["Not valid any more."]},
        )
    with atomic():
        if user.confirmed_at is None:
            user.confirmed_at = clock.now()
        audit.record("account.confirmed", actor=actor, object_type="User", object_id=user.id)
    return user.id


def own_zone(user_id: UUID) -> str:
    """The zone in which somebody is told instants that are at no place: their own, or that of a place of the clinic."""
    own = db.session.scalar(select(Patient.time_zone).where(Patient.user_id == user_id))
    anywhere = select(Location.time_zone).where(Location.is_active).order_by(Location.created_at, Location.id).limit(1)
    return own or db.session.scalar(anywhere) or "UTC"


def own_account(user_id: UUID) -> User:
    """The account of whoever is signed in, to be shown to them."""
    return db.session.get_one(User, user_id)


def sign_in(*, email: str, password: str, code: str = "", agent: str, actor: Actor) -> User:
    """The account of these credentials, for a program; its second factor is asked for like a browser's.

    Raises InvalidCredentials for an unknown address, a wrong password, an account that is switched off or not
    confirmed. A password is hashed in each of these cases, so that the time does not tell them apart. With the right
    password SecondFactorRequired or TooManyCodes (services/second_factor.py).
    """
    with atomic():
        user = db.session.scalars(select(User).where(User.email == email.strip().lower())).one_or_none()
        if user is None or not user.password:
            hash_password(password)
            right = False
        else:
            right = bool(verify_and_update_password(password, user))
        accepted = user is not None and right and user.active and user.confirmed_at is not None
        asks = accepted and user is not None and second_factor.has_any(user)
        if not accepted or (asks and not code):
            _record_sign_in(user, actor, outcome="refused")
    if not accepted or user is None:
        raise InvalidCredentials("The e-mail address or the password is wrong, or the address is not confirmed yet.")
    if asks and not code:
        raise second_factor.SecondFactorRequired(
            "Send the code of the authenticator app, or a recovery code, as `code`."
        )
    if asks:
        second_factor.check(user.id, code, actor=actor)
    with atomic():
        _record_sign_in(user, actor, outcome="success")
        devices.note_sign_in(user.id, agent=agent, actor=actor)
    return user


def _record_sign_in(user: User | None, actor: Actor, *, outcome: str) -> None:
    audit.record(
        "account.signed-in",
        actor=access.in_person(actor, user) if user and outcome == "success" else actor,
        object_type="User",
        object_id=user.id if user else None,
        outcome=outcome,
    )


def _checked(
    *,
    email: str,
    password: str,
    given_name: str = "x",
    family_name: str = "x",
    birth_date: date | None = None,
) -> str:
    """The address in its stored form. Raises Invalid with every field that is wrong."""
    errors: dict[str, list[str]] = {}
    address, wrong = addresses.checked(email)
    if wrong:
        errors["email"] = wrong
    if sentences := against_password(password, address=address):
        errors["password"] = sentences
    for name, value in (("given_name", given_name), ("family_name", family_name)):
        if not clean_line(value):
            errors[name] = ["Please fill this in."]
        elif len(clean_line(value)) > 100:
            errors[name] = ["At most 100 characters."]
    if birth_date is not None and not date(1900, 1, 1) <= birth_date <= clock.today("UTC"):
        errors["birth_date"] = ["This is not a date of birth."]
    if errors:
        raise Invalid("Some of what was sent is not right.", errors=errors)
    return address


def against_password(password: str, *, address: str) -> list[str]:
    """What is wrong with a password that somebody chooses; nothing when it is good."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return [f"Choose {MIN_PASSWORD} to {MAX_PASSWORD} characters."]
    if password.strip().lower() in (address, address.partition("@")[0]) or len(set(password)) < 5:
        return ["This is too easy to guess."]
    return []
