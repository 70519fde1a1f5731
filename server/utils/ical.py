"""iCalendar (RFC 5545) and its scheduling methods (RFC 5546): one appointment as a calendar object."""

from datetime import datetime, timedelta
from email.utils import parseaddr
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress, vText


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
    event = Event()
    event.add("uid", f"{appointment_id}@frontdesk")
    event.add("dtstamp", changed_at)
    event.add("dtstart", start.astimezone(ZoneInfo(time_zone)))
    event.add("dtend", end.astimezone(ZoneInfo(time_zone)))
    event.add("sequence", sequence)
    event.add("summary", summary)
    event.add("location", place)
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    name, address = parseaddr(organizer)
    organizer_address = vCalAddress(f"mailto:{address}")
    organizer_address.params["cn"] = vText(name)
    event["organizer"] = organizer_address
    if attendee and method in ("REQUEST", "CANCEL"):
        attendee_address = vCalAddress(f"mailto:{attendee}")
        attendee_address.params["partstat"] = vText("ACCEPTED")
        event.add("attendee", attendee_address, encode=False)
    calendar.add_component(event)
    calendar.add_missing_timezones(
        first_date=start.date() - timedelta(days=366), last_date=end.date() + timedelta(days=366)
    )
    return calendar.to_ical().decode()
