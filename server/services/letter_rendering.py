"""From facts to a letter in the reader's language: the one place where templates are filled in.

A letter is a folder of templates/email: subject.txt, body.txt, body.html, and sms.txt when it may leave as a text. Its
sentences are English msgids with translations beside them (server/translations). An undefined name is an error, never
an empty place in a letter.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import css_inline
from jinja2 import Environment, StrictUndefined, Template
from sqlalchemy import select

from server.extensions import db
from server.models import ClinicSettings, Location
from server.services import appearance, letter_texts
from server.services.appearance import Appearance
from server.services.letter_texts import Words
from server.services.read_once import read_once
from server.settings import Settings
from server.utils import clock, languages
from server.utils.languages import isolated, show_day, show_time

FOLDER = Path(__file__).parent.parent / "templates" / "email"


@dataclass(frozen=True)
class Letter:
    """Ready to send. `calendar` is iCalendar text for `calendar_method`, or empty."""

    to: str
    subject: str
    text: str
    html: str
    calendar: str = ""
    calendar_method: str = ""
    region: str = ""  # of a text: the country of phone numbers that name none
    unsubscribe: str = ""  # the address behind List-Unsubscribe, of what somebody may not want
    language: str = "en"
    logo: bytes = b""  # a PNG, which the HTML shows as cid:logo@frontdesk


def language_of(wish: str | None) -> str:
    """The reader's language when we write it, else the clinic's own."""
    return languages.spoken(wish) or _language_of_the_clinic()


@read_once
def _language_of_the_clinic() -> str:
    return languages.spoken(db.session.scalar(select(ClinicSettings.language))) or "en"


def render(
    name: str,
    *,
    language: str,
    zone: str | None,
    to: str,
    settings: Settings,
    reader: str,
    given_name: str = "",
    location: Location | None = None,
    start: datetime | None = None,
    minutes: int = 0,
    practitioner: str = "",
    calendar: str = "",
    calendar_method: str = "",
    unsubscribe: str = "",
    is_text: bool = False,
    words: Words | None = None,
    look: Appearance | None = None,
    **more: Any,
) -> Letter:
    """The letter `name` in `language`. What templates see are words: no row, no instant.

    `zone` is the reader's, None for whoever keeps to that of the place. A visit is told in the time of the place where
    it is, and in the reader's time, too, when their clocks differ. Any other instant of `more` is told in the reader's.
    The clinic's own words and look are those that are saved, unless they are given.
    """
    look = look or appearance.read(settings)
    _ = languages.catalog(language).gettext
    own_zone = zone or (location.time_zone if location else "UTC")
    facts: dict[str, Any] = {
        "language": language,
        "direction": languages.direction(language),
        "clinic": isolated(look.name, language),
        "salutation": _("Hello %(name)s,") % {"name": isolated(reader, language)} if reader else _("Hello,"),
        "greeting": isolated(given_name or reader, language),
        "practitioner": isolated(practitioner, language),
        "unsubscribe": unsubscribe,
        "length": languages.show_minutes(minutes, language),
    }
    if location is not None:
        names = {part: isolated(getattr(location, part), language) for part in ("name", "address", "phone")}
        facts |= {
            "location": SimpleNamespace(**names),
            "place": isolated(", ".join(filter(None, (location.name, location.address))), language),
        }
    if location is not None and start is not None:
        facts |= time_of_visit(start, place_zone=location.time_zone, own_zone=own_zone, language=language)
    for fact, value in more.items():
        facts[fact] = in_words(value, own_zone, language) if isinstance(value, datetime) else value
    if is_text:
        text = " ".join(_template(f"{name}/sms.txt", language).render(facts).split())
        return Letter(to, "", text, "", region=location.country if location else "", language=language)
    own = (letter_texts.words_of(name, language) if words is None else words).filled(name, facts)
    subject = " ".join((own.subject or _template(f"{name}/subject.txt", language).render(facts)).split())
    text = _template(f"{name}/body.txt", language).render(facts | own.in_text(look.signature))
    text += _template("footer.txt", language).render(facts)
    logo = appearance.logo(look.logo_fingerprint) if look.logo_fingerprint else b""
    facts |= own.in_html(look.signature) | {"logo": logo, "logo_size": appearance.shown_size(logo) if logo else ()}
    html = look.coloured(_template(f"{name}/body.html", language).render(facts))
    return Letter(
        to, subject, text, html, calendar, calendar_method, unsubscribe=unsubscribe, language=language, logo=logo
    )


def in_words(instant: datetime, zone: str, language: str) -> str:
    """Tuesday, 8 December 2026, 09:00 (New York time)."""
    at = clock.local(instant, zone)
    return f"{_day_and_time(at, language)} ({_zone_in_words(zone, language)})"


def time_of_visit(start: datetime, *, place_zone: str, own_zone: str, language: str) -> dict[str, str]:
    """`day` and `time` for a sentence, `when` and `zone` for a line, `own` the reader's time when it is another."""
    _ = languages.catalog(language).gettext
    at = clock.local(start, place_zone)
    zone, time = _zone_in_words(place_zone, language), show_time(at, language)
    own = ""
    if clock.local(start, own_zone).utcoffset() != at.utcoffset():
        own = _("In your time zone: %(when)s") % {"when": in_words(start, own_zone, language)}
        time = f"{time} ({zone})"
    return {
        "day": show_day(at, language),
        "time": time,
        "when": _day_and_time(at, language),
        "zone": zone,
        "own": own,
    }


def _day_and_time(at: datetime, language: str) -> str:
    _ = languages.catalog(language).gettext
    return _("%(day)s, %(time)s") % {"day": show_day(at, language), "time": show_time(at, language)}


def _zone_in_words(zone: str, language: str) -> str:
    if "/" not in zone:  # UTC
        return zone
    _ = languages.catalog(language).gettext
    return _("%(city)s time") % {"city": languages.show_city(zone, language)}


@cache
def _template(path: str, language: str) -> Template:
    """A template, compiled once for each language; one of HTML with its CSS in the elements."""
    is_html = path.endswith(".html")
    environment = Environment(
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        autoescape=is_html,  # noqa: S701 - the rest is plain text
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.install_gettext_translations(languages.catalog(language), newstyle=True)  # type: ignore[attr-defined]
    return environment.from_string(_inlined(path) if is_html else _joined(path))


@cache
def _inlined(path: str) -> str:
    """The CSS moves into the elements once for each letter and not for each mail, while what changes is a placeholder.

    So no markup may stand inside a sentence that is translated.
    """
    inliner = css_inline.CSSInliner(extra_css=_read("letter.css"), keep_style_tags=True, load_remote_stylesheets=False)
    return inliner.inline(_joined(path))


def _joined(path: str) -> str:
    """A body inside what all have in common; `<!-- visit -->` in it stands for when, with whom and where a visit is."""
    file = path.rpartition("/")[2]
    if not file.startswith("body."):
        return _read(path)
    form = file.removeprefix("body.")
    letter = _read(f"layout.{form}").replace("<!-- letter -->\n", letter_texts.with_introduction(_read(path), form))
    for part in ("visit", "visits"):
        letter = letter.replace(f"<!-- {part} -->\n", _read(f"{part}.{form}"))
    return letter


def _read(path: str) -> str:
    return (FOLDER / path).read_text(encoding="utf-8")
