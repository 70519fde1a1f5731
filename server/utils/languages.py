"""The languages that people are written to in: catalogs of translations, and dates, times and places by their customs.

A catalog is translations/<language>/LC_MESSAGES/messages.po, read once; English stands in the sources.
docs/how-to/translate.md says how to change one.
"""

import gettext
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_location
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.units import format_unit

# language -> its own name for itself
LANGUAGES = {"en": "English", "es": "Español", "fr": "Français", "de": "Deutsch", "ar": "العربية"}
CATALOGS = Path(__file__).parent.parent / "translations"
# Babel's English is American; the pages write the day before the month and count 24 hours.
_LOCALES = {"en": "en_GB"}
_CLOCKS = {"de": "HH:mm 'Uhr'"}  # where a time is not said without that word
_ISOLATE, _END = "\u2068", "\u2069"  # FSI and PDI of the Unicode bidirectional algorithm


def spoken(wish: str | None) -> str | None:
    """The language that we speak of a wish (BCP 47, such as "de-AT"); None when we do not."""
    language = (wish or "").partition("-")[0].lower()
    return language if language in LANGUAGES else None


def direction(language: str) -> str:
    """ "ltr" or "rtl"."""
    return str(Locale.parse(language).text_direction)


@cache
def catalog(language: str) -> gettext.NullTranslations:
    """The translations from English; what has none (a test fails on it) stays English."""
    if language == "en":
        return gettext.NullTranslations()
    compiled = BytesIO()
    with (CATALOGS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def isolated(text: str, language: str) -> str:
    """A name or number as part of a sentence; where one reads from right to left, kept in its own order."""
    return f"{_ISOLATE}{text}{_END}" if text and direction(language) == "rtl" else text


def show_day(at: datetime, language: str) -> str:
    """Tuesday, 8 December 2026, on the calendar of the zone that `at` carries."""
    return str(format_date(at, "full", locale=_locale(language)))


def show_time(at: datetime, language: str) -> str:
    """09:00, on the clocks of the zone that `at` carries."""
    return str(format_time(at, _CLOCKS.get(language, "short"), locale=_locale(language)))


def show_city(zone: str, language: str) -> str:
    """New York, for America/New_York."""
    if language == "en":
        return zone.rpartition("/")[2].replace("_", " ")  # as on the pages
    return str(get_timezone_location(zone, locale=language, return_city=True)).rpartition("/")[2]


def show_minutes(minutes: int, language: str) -> str:
    """30 minutes."""
    return str(format_unit(minutes, "duration-minute", locale=_locale(language)))


def _locale(language: str) -> str:
    return _LOCALES.get(language, language)
