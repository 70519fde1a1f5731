"""Busy times of an iCalendar feed (RFC 5545): when, and nothing about what."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar

from server.utils import clock
from server.utils.spans import Span

MAX_OCCURRENCES = 5_000
MAX_SERIES = 1_000
WINDOW = timedelta(days=30)  # what is unfolded at once
OWN = "@frontdesk"  # visits that were booked here, and come back in the practitioner's calendar
TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY"})


class NotACalendar(Exception):
    """It cannot be read as a calendar, or would take too long; the sentence says why, without any of its words."""


def busy_times(feed: bytes, *, from_at: datetime, to_at: datetime, zone: str) -> set[Span]:
    """When this calendar is busy between two instants, repetitions unfolded; in UTC.

    Floating times and whole days are those of `zone`. What is transparent or cancelled is not busy.
    Raises NotACalendar.
    """
    try:
        return _busy_times(feed, from_at, to_at, zone)
    except NotACalendar:
        raise
    except Exception:  # the parsers raise whatever they like, with the calendar's words in it
        raise NotACalendar("The calendar cannot be read: it is not valid iCalendar.") from None


def _busy_times(feed: bytes, from_at: datetime, to_at: datetime, zone: str) -> set[Span]:
    calendar = Calendar.from_ical(feed)
    if not isinstance(calendar, Calendar):
        raise NotACalendar("This is not a calendar.")
    _refuse_endless(calendar)
    query = recurring_ical_events.of(calendar)
    spans: set[Span] = set()
    seen = 0
    start = from_at
    while start < to_at:
        end = min(start + WINDOW, to_at)
        for event in query.between(start, end):
            seen += 1
            if seen > MAX_OCCURRENCES:
                raise NotACalendar(f"There are more than {MAX_OCCURRENCES:,} events in the next months.")
            if (span := _span(event, zone)) is not None and span[0] < to_at and span[1] > from_at:
                spans.add(span)
        start = end
    return spans


def _refuse_endless(calendar: Calendar) -> None:
    """Repetitions that would be unfolded until the end of days."""
    rules = list(_rules(calendar))
    if len(rules) > MAX_SERIES:
        raise NotACalendar(f"There are more than {MAX_SERIES:,} repeating events.")
    for rule in rules:
        times = [len(rule.get(part, ())) for part in ("BYHOUR", "BYMINUTE", "BYSECOND")]
        if str(rule.get("FREQ", [""])[0]).upper() in TOO_OFTEN or max(times) > 24 or sum(times) > 30:
            raise NotACalendar("An event repeats more often than every hour.")


def _rules(calendar: Calendar) -> Iterator[Any]:
    for event in calendar.walk("VEVENT"):
        given = event.get("RRULE", ())
        yield from given if isinstance(given, list) else [given] if given else []


def _span(event: Any, zone: str) -> Span | None:
    if str(event.get("TRANSP", "")).upper() == "TRANSPARENT" or str(event.get("STATUS", "")).upper() == "CANCELLED":
        return None
    if str(event.get("UID", "")).endswith(OWN):
        return None
    start, end = _instant(event.start, zone), _instant(event.end, zone)
    return (start, end) if start < end else None


def _instant(value: date | datetime, zone: str) -> datetime:
    if not isinstance(value, datetime):
        return clock.to_instant(datetime.combine(value, time.min), zone)
    if value.tzinfo is None:
        return clock.to_instant(value, zone)
    return value.astimezone(ZoneInfo("UTC"))
