"""Helpers of forms that more than one door uses."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from wtforms import Form

# Nothing is booked outside of these years, and arithmetic within them cannot overflow.
FIRST_YEAR, LAST_YEAR = 2000, 2200


def read_uuid(value: str | None) -> UUID | None:
    """The id somebody sent; None for anything that is not one."""
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


def read_date(value: str | None) -> date | None:
    """The date somebody sent (ISO 8601); None for anything that is not a date of our time."""
    try:
        found = date.fromisoformat(value) if value else None
    except ValueError:
        return None
    return found if found and FIRST_YEAR <= found.year <= LAST_YEAR else None


def read_instant(value: str | None) -> datetime | None:
    """The instant somebody sent (RFC 3339, with offset); None for anything that is not one of our time."""
    try:
        found = datetime.fromisoformat(value) if value else None
    except ValueError:
        return None
    if found is None or found.tzinfo is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        return None
    return found


def show_errors(form: Form, errors: Mapping[str, list[str]]) -> None:
    """Put the sentences of an Invalid beside the fields they are about; the rest stands above the form."""
    for name, sentences in errors.items():
        field: Any = form._fields.get(name)
        if field is not None:
            field.errors = [*field.errors, *sentences]
        else:
            form.form_errors = [*form.form_errors, *sentences]
