"""The clinic's own words in letters: a subject, an introduction and a closing for each letter and language.

What a letter says of the visit and its links stays ours, so that it is always true and complete. Own words are plain
text with a few placeholders; they stand after the greeting and before the signature.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from markupsafe import Markup
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from server.errors import Invalid, NotVisible, Stale
from server.extensions import db
from server.models import AuditEvent, LetterText, User
from server.services import access, audit, outbox
from server.services.access import Actor
from server.services.read_once import read_once
from server.services.transaction import atomic
from server.utils.languages import LANGUAGES

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
LIMITS = {"subject": 120, "introduction": 1000, "closing": 1000}  # characters

HISTORY = 30  # changes that are shown
_ON_RECORD = "letter-text."

# placeholder -> what stands in its place, from what the templates of the letter know
_FILL = {
    "given_name": lambda known: known["greeting"],
    "clinic": lambda known: known["clinic"],
    "day": lambda known: known["day"],
    "time": lambda known: known["time"],
    "place": lambda known: known["location"].name,
    "practitioner": lambda known: known["practitioner"],
}
_OF_ALL = ("given_name", "clinic")
_OF_SERIES = (*_OF_ALL, "place", "practitioner")
_OF_VISIT = (*_OF_ALL, "day", "time", "place", "practitioner")


@dataclass(frozen=True)
class About:
    """Who gets a letter, when, and what its own words may name."""

    goes_to: str
    when: str
    placeholders: tuple[str, ...] = _OF_VISIT


ABOUT = {
    "appointment-booked": About("The patient", "When a visit is booked, by whomever."),
    "appointment-approved": About("The patient", "When the clinic approves a request."),
    "appointment-moved": About("The patient", "When a visit is moved to another time or practitioner."),
    "appointment-moved-leave": About("The patient", "When a visit is moved because somebody is away."),
    "appointment-cancelled": About("The patient", "When a visit is cancelled by the patient."),
    "appointment-cancelled-by-clinic": About("The patient", "When the clinic cancels a visit."),
    "appointment-cancelled-leave": About("The patient", "When a visit is cancelled because somebody is away."),
    "appointment-requested": About("The patient", "When a visit is asked for that the clinic has to approve."),
    "appointment-declined": About("The patient", "When the clinic declines a request."),
    "appointment-expired": About("The patient", "When nobody answered a request in time."),
    "appointment-reminder": About("The patient, if they want reminders", "Before a visit, by the reminder rules."),
    "appointment-confirm": About("The patient, if they want reminders", "Before a visit, by rules that ask."),
    "appointment-missed": About("The patient", "After a visit to which they did not come, by the rules."),
    "appointment-follow-up": About("The patient", "After a visit, by the rules."),
    "series-booked": About("The patient", "When visits that repeat are booked.", _OF_SERIES),
    "series-changed": About("The patient", "When visits that repeat are moved or cancelled.", _OF_SERIES),
    "waitlist-offer": About("A patient on the waitlist", "When a time that suits them becomes free."),
    "waitlist-offer-expired": About("A patient on the waitlist", "When they did not answer an offer in time."),
    "account-confirm": About("Whoever registers", "When an e-mail address has to be confirmed.", _OF_ALL),
    "account-exists": About("Whoever registers", "When the address that registers has an account already.", _OF_ALL),
    "account-reset": About("Whoever has an account", "When a new password is asked for.", _OF_ALL),
    "account-password-changed": About("Whoever has an account", "When the password was changed.", _OF_ALL),
    "account-sign-in-changed": About(
        "Whoever has an account", "When a second factor, a passkey or recovery codes change.", _OF_ALL
    ),
    "account-new-address": About("Whoever has an account", "When another address is asked for: to that one.", _OF_ALL),
    "account-address-changed": About("Whoever has an account", "When the address changed: to the old one.", _OF_ALL),
    "account-invited": About("Staff", "When an administrator makes an account for them.", _OF_ALL),
    "account-new-sign-in": About("Whoever has an account", "When somebody signs in from a new device.", _OF_ALL),
    "account-export-ready": About("Whoever asked for an export", "When its file can be downloaded.", _OF_ALL),
}


@dataclass(frozen=True)
class Words:
    """The own words of one letter; empty: as it came. `version` is 0 while nobody has written any."""

    subject: str = ""
    introduction: str = ""
    closing: str = ""
    version: int = 0

    @property
    def is_own(self) -> bool:
        return bool(self.subject or self.introduction or self.closing)

    def filled(self, letter: str, known: Mapping[str, Any]) -> "Words":
        """With everything in its place. What stands there is not looked at again, whatever it says."""
        if not self.is_own:
            return self
        allowed = ABOUT[letter].placeholders

        def fill(found: re.Match[str]) -> str:
            return str(_FILL[found[1]](known)) if found[1] in allowed else found[0]

        subject, introduction, closing = (_PLACEHOLDER.sub(fill, getattr(self, name)) for name in LIMITS)
        return replace(self, subject=subject, introduction=introduction, closing=closing)

    def in_text(self, signature: str) -> dict[str, str]:
        """For the plain text of a letter."""
        return {"introduction": self.introduction, "closing": self.closing, "signature": signature}

    def in_html(self, signature: str) -> dict[str, list[Markup]]:
        """For the HTML of a letter: paragraphs whose text is escaped."""
        return {part: paragraphs(text) for part, text in self.in_text(signature).items()}


# What stands after the greeting of a letter.
_INTRODUCTION = {
    "txt": ("{{ salutation }}\n", "{% if introduction %}\n\n{{ introduction }}\n{% endif %}\n"),
    "html": ("<p>{{ salutation }}</p>\n", "{% for paragraph in introduction %}<p>{{ paragraph }}</p>\n{% endfor %}\n"),
}


def with_introduction(body: str, form: str) -> str:
    """The template of a letter, "txt" or "html", with a place for own words after its greeting."""
    greeting, introduction = _INTRODUCTION[form]
    return body.replace(greeting, greeting + introduction, 1)


def paragraphs(text: str) -> list[Markup]:
    """Plain text as paragraphs, split at empty lines; other lines end where they ended."""
    blocks = re.split(r"\n{2,}", text)
    return [Markup("<br>").join(block.split("\n")) for block in blocks if block]  # join escapes


@read_once
def words_of(letter: str, language: str) -> Words:
    """For whoever composes the letter."""
    columns = (LetterText.subject, LetterText.introduction, LetterText.closing, LetterText.version)
    row = db.session.execute(select(*columns).filter_by(letter=letter, language=language)).one_or_none()
    return Words(*row) if row else Words()


def list_letters(*, actor: Actor) -> dict[str, set[str]]:
    """Every letter, with the languages in which it has own words. Raises NotAllowed."""
    access.demand("set-up", actor=actor)
    own: dict[str, set[str]] = {letter: set() for letter in ABOUT}
    for row in db.session.scalars(select(LetterText)):
        if row.letter in own and (row.subject or row.introduction or row.closing):
            own[row.letter].add(row.language)
    return own


def read_words(letter: str, language: str, *, actor: Actor) -> Words:
    """Raises NotVisible, NotAllowed."""
    access.demand("set-up", actor=actor)
    _demand_known(letter, language)
    return words_of(letter, language)


def history(letter: str, language: str, *, actor: Actor) -> Sequence[Row[datetime, str, str]]:
    """Who changed which of these words, newest first: (when, the name of who, the audit's action)."""
    access.demand("set-up", actor=actor)
    return db.session.execute(
        select(AuditEvent.created_at, User.name, AuditEvent.action)
        .outerjoin(User, User.id == AuditEvent.user_id)
        .where(AuditEvent.object_id == object_id(letter, language), AuditEvent.action != f"{_ON_RECORD}tested")
        .order_by(AuditEvent.created_at.desc(), AuditEvent.id.desc())
        .limit(HISTORY)
    ).all()


def checked(letter: str, values: Mapping[str, str]) -> Words:
    """Words that may be used in this letter. Raises Invalid with a sentence for each field that may not."""
    allowed = ABOUT[letter].placeholders
    errors: dict[str, list[str]] = {}
    for name, limit in LIMITS.items():
        text = values.get(name, "")
        unknown = [found for found in _PLACEHOLDER.findall(text) if found not in allowed]
        if unknown:
            named = ", ".join(f"{{{placeholder}}}" for placeholder in allowed)
            errors[name] = [f"There is no {{{unknown[0]}}} in this letter. You may use {named}."]
        elif len(text) > limit:
            errors[name] = [f"At most {limit} characters; these are {len(text)}."]
    if errors:
        raise Invalid("These words cannot be used as they are.", errors=errors)
    subject, introduction, closing = (values.get(name, "") for name in LIMITS)
    return Words(subject, introduction, closing)


def put_words(letter: str, language: str, values: Mapping[str, str], *, if_version: int | None, actor: Actor) -> Words:
    """The own words of a letter, as a whole; what is empty or missing is the standard again.

    Raises Invalid, Stale, NotVisible, NotAllowed.
    """
    with atomic():
        access.demand("set-up", actor=actor)
        _demand_known(letter, language)
        _write(letter, language, checked(letter, values), if_version, actor)
        return words_of(letter, language)


def reset_words(letter: str, language: str, *, if_version: int | None, actor: Actor) -> None:
    """The standard words again. Raises Stale, NotVisible, NotAllowed."""
    put_words(letter, language, {}, if_version=if_version, actor=actor)


def send_test(letter: str, language: str, *, actor: Actor) -> None:
    """This letter about an invented visit, to the actor's own address. Raises NotVisible, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        _demand_known(letter, language)
        outbox.post(letter, user_id=actor.user_id, sample_language=language)
        _record("tested", letter, language, actor)


def object_id(letter: str, language: str) -> UUID:
    """Under which the audit remembers the words of a letter, which have no other id."""
    return uuid5(NAMESPACE_URL, f"frontdesk:letter-texts/{letter}/{language}")


def _write(letter: str, language: str, words: Words, if_version: int | None, actor: Actor) -> None:
    key = {"letter": letter, "language": language}
    # Version 0 is what everybody has read who has read nothing; the row stays when the words go.
    db.session.execute(insert(LetterText).values(**key, version=0).on_conflict_do_nothing())
    query = select(LetterText).filter_by(**key).with_for_update().execution_options(populate_existing=True)
    row = db.session.scalars(query).one()
    if if_version is not None and row.version != if_version:
        raise Stale("Somebody has changed these words since you read them. Read them again, then decide.")
    changed = [name for name in LIMITS if getattr(row, name) != getattr(words, name)]
    for name in changed:
        setattr(row, name, getattr(words, name))
        _record(f"{name}-changed" if getattr(words, name) else f"{name}-reset", letter, language, actor)
    if changed:
        row.version += 1
    db.session.flush()


def _record(what: str, letter: str, language: str, actor: Actor) -> None:
    audit.record(f"{_ON_RECORD}{what}", actor=actor, object_type="LetterText", object_id=object_id(letter, language))


def _demand_known(letter: str, language: str) -> None:
    if letter not in ABOUT or language not in LANGUAGES:
        raise NotVisible("There is no such letter.")
