"""D2: one visit, wherever somebody reads it, is at the same instant, and the zone is named."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import select

from server.extensions import db
from server.models import Appointment, HealthcareService, OutboxMessage
from server.services import booking, letters
from server.utils import clock
from tests.cast import Cast, Person
from tests.clients import ApiClient, PageClient
from tests.factories import create_location, create_schedule

ZONES = ("America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati")


def coming(month: int) -> date:
    """A Tuesday in this month, summer time or winter time, within the next twelve months."""
    today = clock.today("UTC")
    day = date(today.year + (month <= today.month), month, 10)
    return day + timedelta(days=(1 - day.weekday()) % 7)


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize("zone", ZONES)
def test_D2_api_page_letter_and_calendar_say_the_same(
    app: Flask,
    cast: Cast,
    api_client: Callable[[Person | None], ApiClient],
    page_client: Callable[[Person | None], PageClient],
    zone: str,
    month: int,
) -> None:
    place = create_location(name=f"Far away {zone}", time_zone=zone)
    service: HealthcareService = cast.checkup
    service.horizon_days = 400
    create_schedule(cast.practitioner(cast.dr_diaz), place, service)
    db.session.commit()
    wall = datetime.combine(coming(month), time(14, 30))
    instant = clock.to_instant(wall, zone)
    visit: Appointment = booking.book_appointment(
        service_id=service.id,
        practitioner_id=cast.dr_diaz.practitioner_id,
        location_id=place.id,
        start=instant,
        actor=cast.ana.actor,
    )
    ana = api_client(cast.ana)

    said = ana.get(f"/appointments/{visit.id}").json["start"]
    assert said.endswith("Z")
    assert datetime.fromisoformat(said) == instant

    page = page_client(cast.ana).get(f"/visits/{visit.id}", status=200)
    shown = [element.get("datetime") for element in page.all("time")]
    assert {datetime.fromisoformat(each) for each in shown} == {instant}
    place_name = zone.rpartition("/")[2].replace("_", " ")
    assert page.says("14:30")
    assert place_name in page.text
    desk = page_client(cast.dana).get(f"/admin/appointments/{visit.id}", status=200)
    assert desk.says("14:30 to 15:00")
    assert place_name in desk.text

    message_id = db.session.scalars(select(OutboxMessage.id)).one()
    letter = letters.compose(message_id, settings=app.config["FRONTDESK"])
    for text in (ana.get(f"/appointments/{visit.id}/calendar.ics").text, letter.calendar):
        event = Calendar.from_ical(text).events[0]
        assert event["DTSTART"].params["TZID"] == zone
        assert event.start.astimezone(ZoneInfo("UTC")) == instant
        assert event.start.replace(tzinfo=None) == wall

    words = " ".join(letter.text.split())
    assert f"{wall:%A}, {wall.day} {wall:%B %Y}, 14:30 ({place_name} time)" in words
