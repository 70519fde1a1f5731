"""Every letter about what never was: for tests of a rule, for previews, and to be looked at in each language."""

from datetime import datetime, timedelta
from typing import Any

from server.models import Location
from server.services.appearance import Appearance
from server.services.letter_rendering import Letter, render, time_of_visit
from server.services.letter_texts import Words
from server.settings import Settings
from server.utils import languages

EXAMPLE = Location(
    name="Example House", address="1 Example Street", phone="+1 212 555 0100", time_zone="UTC", country=""
)


def sample(
    name: str,
    *,
    language: str,
    to: str,
    start: datetime,
    settings: Settings,
    place: Location = EXAMPLE,
    zone: str | None = None,
    is_text: bool = False,
    is_asked: bool = False,
    words: Words | None = None,
    look: Appearance | None = None,
) -> Letter:
    """The letter `name` as somebody called Sam would get it about a visit at `start`; its links lead to the clinic."""
    weekly = [start + timedelta(weeks=week) for week in range(3)]
    facts: dict[str, Any] = {
        "away": "Dr Example",
        "deadline": start - timedelta(hours=26),
        "later": start + timedelta(days=9),
        "at": start - timedelta(days=3),
        "visits": [
            time_of_visit(each, place_zone=place.time_zone, own_zone=zone or place.time_zone, language=language)
            | {"practitioner": languages.isolated("Dr Example", language)}
            for each in weekly
        ],
        "is_asked": is_asked,
    }
    return render(
        name,
        language=language,
        zone=zone,
        to=to,
        settings=settings,
        reader="Sam Example",
        given_name="Sam",
        words=words,
        look=look,
        location=place,
        start=start,
        minutes=30,
        practitioner="Dr Example",
        unsubscribe=settings.base_url,
        is_text=is_text,
        link=settings.base_url,
        **facts,
    )
