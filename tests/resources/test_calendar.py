"""calendar.ics: what ana adds to her calendar, and what her calendar replaces when the visit changes."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar

from server.extensions import db
from tests.cast import ZONE, Cast
from tests.clients import ApiClient
from tests.resources.asking import Api, book


def calendar(client: ApiClient, visit_id: str) -> tuple[Calendar, Any]:
    answer = client.get(f"/appointments/{visit_id}/calendar.ics")
    assert (answer.status_code, answer.content_type) == (200, "text/calendar; charset=utf-8")
    parsed = Calendar.from_ical(answer.text)
    return parsed, parsed.events[0]


def test_the_visit_stands_in_the_clinics_time(api_client: Api, cast: Cast) -> None:
    parsed, event = calendar(api_client(cast.ana), book(api_client, cast)["id"])
    assert (parsed["METHOD"], parsed["VERSION"], len(parsed.events)) == ("PUBLISH", "2.0", 1)
    assert event.start == cast.at(9).astimezone(ZoneInfo(ZONE))
    assert event["DTSTART"].params["TZID"] == ZONE
    assert [zone["TZID"] for zone in parsed.timezones] == [ZONE]
    assert (event["STATUS"], event["LOCATION"]) == ("CONFIRMED", "Riverside, 1 River Street")
    assert event.end - event.start == cast.at(9, 30) - cast.at(9)


def test_the_uid_stays_and_the_sequence_grows_with_each_change(api_client: Api, cast: Cast) -> None:
    visit_id, ana = book(api_client, cast)["id"], api_client(cast.ana)
    seen = [calendar(ana, visit_id)[1]]
    for step, body in (
        ("reschedule", {"start": cast.at(14).isoformat()}),
        ("reschedule", {"start": cast.at(15).isoformat()}),
        ("cancel", {}),
    ):
        assert ana.post(f"/appointments/{visit_id}/{step}", body).status_code == 200
        seen.append(calendar(ana, visit_id)[1])
    assert {event["UID"] for event in seen} == {f"{visit_id}@frontdesk"}
    assert [int(event["SEQUENCE"]) for event in seen] == [0, 1, 2, 3]
    assert [event["STATUS"] for event in seen] == ["CONFIRMED", "CONFIRMED", "CONFIRMED", "CANCELLED"]
    stamps = [event["DTSTAMP"].dt for event in seen]
    assert stamps == sorted(stamps)
    assert all(isinstance(stamp, datetime) for stamp in stamps)


def test_J3_it_says_where_and_when_and_nothing_of_health(api_client: Api, cast: Cast) -> None:
    cast.checkup.name = "Oncology"
    db.session.commit()
    visit_id = book(api_client, cast, reason="A lump")["id"]
    text = api_client(cast.ana).get(f"/appointments/{visit_id}/calendar.ics").text
    assert not any(word in text for word in ("Oncology", "lump", "Cho", "Silva", "ana@"))


def test_text_from_staff_cannot_break_out_of_its_line(api_client: Api, cast: Cast) -> None:
    cast.location.address = "1 River Street\r\nATTENDEE:mailto:evil@example.com\nEND:VEVENT, a; b\\c"
    db.session.commit()
    parsed, event = calendar(api_client(cast.ana), book(api_client, cast)["id"])
    assert len(parsed.events) == 1
    assert "ATTENDEE" not in event
    assert str(event["LOCATION"]).endswith("END:VEVENT, a; b\\c")


def test_no_line_is_longer_than_75_bytes(api_client: Api, cast: Cast) -> None:
    cast.location.address = "Straße der Österreichischen Südtürkei " * 5
    db.session.commit()
    answer = api_client(cast.ana).get(f"/appointments/{book(api_client, cast)['id']}/calendar.ics")
    assert max(len(line) for line in answer.get_data().split(b"\r\n")) <= 75
    assert answer.get_data().endswith(b"END:VCALENDAR\r\n")


def test_bea_cannot_read_anas_calendar(api_client: Api, cast: Cast) -> None:
    visit_id = book(api_client, cast)["id"]
    assert api_client(cast.bea).get(f"/appointments/{visit_id}/calendar.ics").status_code == 404
    assert api_client(cast.carl).get(f"/appointments/{visit_id}/calendar.ics").status_code == 200
