"""What the staff pages read from addresses and forms: checked values, or a sentence."""

import re
from datetime import date, datetime, time
from uuid import UUID

from flask import request

from server.errors import Invalid, NotVisible
from server.services.series import Scope
from server.utils import clock
from server.utils.text import clean_text

MAX_TEXT = 500  # characters of a reason, as the table keeps them


def read_id(name: str) -> UUID | None:
    """The id in field or parameter `name`; None when it is empty. Raises NotVisible for what is no id."""
    value = request.values.get(name, "")
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError as error:
        raise NotVisible("There is nothing here with this id.") from error


def read_date(name: str) -> date | None:
    """A date (YYYY-MM-DD); None when it is empty. Raises Invalid."""
    value = request.values.get(name, "")
    if not value:
        return None
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise Invalid("This is not a date. Write it as 2026-12-31.") from error
    if not 1900 < day.year < 2200:
        raise Invalid("This date is too far away.")
    return day


def read_time(name: str) -> time | None:
    """Wall time (HH:MM); None when it is empty. Raises Invalid."""
    value = request.values.get(name, "")
    if not value:
        return None
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise Invalid("This is not a time. Write it as 09:00.")
    return time.fromisoformat(value)


def read_start(value: str, zone: str) -> datetime | None:
    """An instant, or wall time on the clocks of `zone`; None when it is empty. Raises Invalid."""
    if not value:
        return None
    try:
        start = datetime.fromisoformat(value.replace(" ", "+"))  # a "+" that an address decoded
    except ValueError as error:
        raise Invalid("This is not a time.") from error
    if not 1900 < start.year < 2200:
        raise Invalid("This time is too far away.")
    if start.tzinfo is not None:
        return clock.local(start, "UTC")
    if not clock.exists(start, zone):
        raise Invalid(f"The clocks in {zone} skip {start:%H:%M} on that day.")
    return clock.to_instant(start, zone)


def read_choice() -> tuple[datetime, UUID]:
    """The time that was chosen on a page: "<instant> <practitioner id>". Raises Invalid."""
    start, _, practitioner_id = request.form.get("choice", "").partition(" ")
    try:
        chosen = read_start(start, "UTC"), UUID(practitioner_id)
    except ValueError as error:
        raise Invalid("Choose one of the free times.") from error
    if chosen[0] is None:
        raise Invalid("Choose one of the free times.")
    return chosen[0], chosen[1]


def read_number(name: str, *, most: int) -> int:
    """A whole number from 1 to `most`. Raises Invalid."""
    value = request.form.get(name, "")
    if not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= most:
        raise Invalid(f"Write a whole number from 1 to {most}.")
    return int(value)


def read_scope() -> Scope:
    """Which visits of a series are meant; only this one when nothing was said. Raises Invalid."""
    try:
        return Scope(request.form.get("scope", Scope.THIS))
    except ValueError as error:
        raise Invalid("Say which visits: this one, this and the later ones, or all.") from error


def read_replacements() -> dict[int, datetime]:
    """The proposals that were ticked: "<number> <instant>" each. Raises Invalid."""
    ticked: dict[int, datetime] = {}
    for value in request.form.getlist("replacement"):
        number, _, start = value.partition(" ")
        instant = read_start(start, "UTC")
        if not re.fullmatch(r"[0-9]{1,4}", number) or instant is None:
            raise Invalid("This form is incomplete. Look at the plan again.")
        ticked[int(number)] = instant
    return ticked


def read_version() -> int:
    """The version of the appointment that the reader saw, from the form. Raises Invalid."""
    value = request.form.get("if_version", "")
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise Invalid("This form is incomplete. Open the visit again.")
    return int(value)


def read_text(name: str) -> str:
    """Several lines of text. Raises Invalid when it is too long."""
    text = clean_text(request.form.get(name, ""))
    if len(text) > MAX_TEXT:
        raise Invalid(f"A reason has at most {MAX_TEXT} characters.")
    return text
