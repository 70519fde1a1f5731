"""What the check of one row of an import answers, and the words that both kinds of imports read."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from server.errors import DomainError
from server.services import directory
from server.services.occupancy import SlotTaken
from server.utils import clock

BEYOND = "It has more cells than the first line has names."


@dataclass(frozen=True, kw_only=True)
class Checked:
    """`state`: ready, skipped (there already) or wrong. `fields`: what will be imported, as JSON."""

    number: int
    state: str
    fields: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    detail: str = ""
    object_id: UUID | None = None


def read_date(value: str) -> date | None:
    """1980-12-31 or 31.12.1980; None for anything else, because 1/2/1980 is two dates."""
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(value, form).date()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
    return None


def read_moment(value: str) -> datetime | None:
    """2026-12-01 09:00 or 01.12.2026 09:00, wall time; or with an offset, an instant. None for anything else."""
    try:
        return datetime.fromisoformat(value) if len(value) > 10 else None
    except ValueError:
        pass
    for form in ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"):
        try:
            return datetime.strptime(value, form)  # noqa: DTZ007 - wall time, of the location
        except ValueError:
            continue
    return None


def in_words(error: DomainError) -> str:
    """What is wrong with a row: field by field, or why its time is not free and which is."""
    if isinstance(error, SlotTaken) and (free := error.extra.get("alternatives")):
        start = clock.local(free[0].start, directory.location(free[0].location_id).time_zone)
        return f"This time is taken. The next free one is {start:%Y-%m-%d %H:%M}."
    errors = error.extra.get("errors")
    if not errors or "reasons" in error.extra:
        return error.detail
    return " ".join(
        f"{name.replace('_', ' ').capitalize()}: {sentence}" for name, lines in errors.items() for sentence in lines
    )
