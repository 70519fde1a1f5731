"""iCalendar (RFC 5545) and its scheduling methods (RFC 5546): one appointment, or a feed of many."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from email.utils import parseaddr
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress, vText


@dataclass(frozen=True)
class Entry:
    """One visit of a feed. `status`: CONFIRMED, TENTATIVE or CANCELLED."""

    appointment_id: UUID
    start: datetime
    end: datetime
    time_zone: str
    sequence: int
    changed_at: datetime
    summary: str
    place: str
    status: str


def feed_calendar(entries: Iterable[Entry], *, name: str) -> str:
    """A calendar to subscribe to; the same entries make the same bytes. UIDs are those of `appointment_calendar`."""
    calendar = Calendar()
    calendar.add("prodid", "-//Frontdesk//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})  # RFC 7986
    years = set()
    for entry in entries:
        years |= {entry.start.year, entry.end.year}
        calendar.add_component(_event(entry))
    if years:
        calendar.add_missing_timezones(first_date=date(min(years) - 1, 1, 1), last_date=date(max(years) + 1, 12, 31))
    return calendar.to_ical().decode()


def _event(entry: Entry) -> Event:
    zone = ZoneInfo(entry.time_zone)
    event = Event()
    event.add("uid", f"{entry.appointment_id}@frontdesk")
    event.add("dtstamp", entry.changed_at)
    event.add("dtstart", entry.start.astimezone(zone))
    event.add("dtend", entry.end.astimezone(zone))
    event.add("sequence", entry.sequence)
    event.add("summary", entry.summary)
    event.add("location", entry.place)
    event.add("status", entry.status)
    return event


def appointment_calendar(
    *,
    appointment_id: UUID,
    start: datetime,
    end: datetime,
    time_zone: str,
    sequence: int,
    changed_at: datetime,
    summary: str,
    place: str,
    organizer: str,
    attendee: str | None,
    cancelled: bool,
    method: str | None,
) -> str:
    """The calendar text of one visit.

    `organizer`: "Name <address>"; `attendee`: an address. The UID stays the same for the visit's life and
    `sequence` grows with each change, so that calendars replace what they have. `method`: PUBLISH for a
    download, REQUEST or CANCEL in a letter. The summary says no more than who is visited where.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Frontdesk//EN")
    calendar.add("version", "2.0")
    if method:
        calendar.add("method", method)
    status = "CANCELLED" if cancelled else "CONFIRMED"
    event = _event(Entry(appointment_id, start, end, time_zone, sequence, changed_at, summary, place, status))
    _invite(event, organizer=organizer, attendee=attendee if method in ("REQUEST", "CANCEL") else None)
    calendar.add_component(event)
    calendar.add_missing_timezones(
        first_date=start.date() - timedelta(days=366), last_date=end.date() + timedelta(days=366)
    )
    return calendar.to_ical().decode()


def series_calendar(entries: Iterable[Entry], *, organizer: str, attendee: str, method: str) -> str:
    """The calendar text of several visits, each an event of its own; the rest as for `appointment_calendar`."""
    calendar = Calendar()
    calendar.add("prodid", "-//Frontdesk//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    days = set()
    for entry in entries:
        days |= {entry.start.date(), entry.end.date()}
        event = _event(entry)
        _invite(event, organizer=organizer, attendee=attendee)
        calendar.add_component(event)
    calendar.add_missing_timezones(
        first_date=min(days) - timedelta(days=366), last_date=max(days) + timedelta(days=366)
    )
    return calendar.to_ical().decode()


def _invite(event: Event, *, organizer: str, attendee: str | None) -> None:
    name, address = parseaddr(organizer)
    organizer_address = vCalAddress(f"mailto:{address}")
    if name:
        organizer_address.params["cn"] = vText(name)
    event["organizer"] = organizer_address
    if attendee:
        attendee_address = vCalAddress(f"mailto:{attendee}")
        attendee_address.params["role"] = vText("REQ-PARTICIPANT")
        attendee_address.params["partstat"] = vText("ACCEPTED")
        attendee_address.params["rsvp"] = vText("FALSE")  # whoever does not come presses a link of the letter
        event.add("attendee", attendee_address, encode=False)
