"""iMIP (RFC 6047): the calendar part of letters, as mail programs read it; and as ical.js does, at night."""

import email
import email.policy
import json
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import select

from server.extensions import db
from server.jobs.letters import _message
from server.models import OutboxMessage
from server.services import booking, letters
from tests.cast import ZONE, Cast

Life = dict[str, EmailMessage]


@pytest.fixture
def life(app: Flask, cast: Cast) -> Callable[..., Life]:
    """What ana's mailbox gets in the life of one visit, in the bytes that leave."""

    def live(hour: int = 9) -> Life:
        def newest() -> EmailMessage:
            row = db.session.scalars(select(OutboxMessage).order_by(OutboxMessage.id.desc())).first()
            assert row is not None
            settings = app.config["FRONTDESK"]
            content = _message(row.id, letters.compose(row.id, settings=settings), settings).message().as_bytes()
            return email.message_from_bytes(content, policy=email.policy.default)  # type: ignore[arg-type]

        when = {"service_id": cast.checkup_id, "practitioner_id": cast.dr_cho.practitioner_id}
        visit = booking.book_appointment(**when, start=cast.at(hour), actor=cast.ana.actor, reason="A secret rash")
        got = {"booked": newest()}
        booking.reschedule_appointment(visit.id, start=cast.at(14), actor=cast.ana.actor)
        got["moved"] = newest()
        booking.cancel_appointment(visit.id, actor=cast.dana.actor)
        got["cancelled"] = newest()
        return got

    return live


def calendar_part(letter: EmailMessage) -> EmailMessage:
    """The one among the alternatives, which mail programs show with buttons."""
    (part,) = [
        part
        for part in letter.walk()
        if part.get_content_type() == "text/calendar" and part.get_content_disposition() != "attachment"
    ]
    return part  # type: ignore[return-value]


def events(got: Life) -> dict[str, Any]:
    return {what: Calendar.from_ical(calendar_part(letter).get_content()).events[0] for what, letter in got.items()}


METHODS = {"booked": "REQUEST", "moved": "REQUEST", "cancelled": "CANCEL"}


def test_the_method_stands_in_the_content_type_and_in_the_calendar(life: Callable[..., Life]) -> None:
    for what, letter in life().items():
        part = calendar_part(letter)
        assert part.get_param("method") == METHODS[what]
        assert str(part.get_param("charset")).lower() == "utf-8"
        parsed = Calendar.from_ical(part.get_content())
        assert (parsed["METHOD"], parsed["VERSION"], len(parsed.events)) == (METHODS[what], "2.0", 1)
        (attached,) = letter.iter_attachments()
        assert attached.get_content() == part.get_content()


def test_one_uid_for_life_and_a_sequence_that_grows_also_with_the_cancel(life: Callable[..., Life]) -> None:
    got = events(life())
    assert len({str(event["UID"]) for event in got.values()}) == 1
    assert [int(event["SEQUENCE"]) for event in got.values()] == [0, 1, 2]
    assert [str(event["STATUS"]) for event in got.values()] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    stamps = [event["DTSTAMP"].dt for event in got.values()]
    assert stamps == sorted(stamps)
    assert {stamp.utcoffset() for stamp in stamps} == {UTC.utcoffset(None)}


def test_the_organizer_is_the_sender_and_the_attendee_the_reader(life: Callable[..., Life]) -> None:
    for letter in life().values():
        event = Calendar.from_ical(calendar_part(letter).get_content()).events[0]
        assert event["ORGANIZER"] == "mailto:frontdesk@localhost"
        assert letter["From"].addresses[0].addr_spec == "frontdesk@localhost"
        assert event["ORGANIZER"].params["CN"] == letter["From"].addresses[0].display_name
        assert event["ATTENDEE"] == f"mailto:{letter['To']}"
        assert event["ATTENDEE"].params["ROLE"] == "REQ-PARTICIPANT"
        assert event["ATTENDEE"].params["RSVP"] == "FALSE", "nobody reads a reply"


def test_the_time_is_that_of_the_place_and_its_zone_is_told(life: Callable[..., Life], cast: Cast) -> None:
    for what, letter in life().items():
        parsed = Calendar.from_ical(calendar_part(letter).get_content())
        (event,) = parsed.events
        hour = 9 if what == "booked" else 14
        assert event["DTSTART"].dt == cast.at(hour).astimezone(ZoneInfo(ZONE))
        assert event["DTSTART"].params["TZID"] == ZONE
        assert [str(zone["TZID"]) for zone in parsed.timezones] == [ZONE]


def test_J3_the_calendar_says_nothing_of_health(life: Callable[..., Life]) -> None:
    for letter in life().values():
        said = calendar_part(letter).get_content()
        assert "rash" not in said
        assert "Check-up" not in said


def test_the_lines_are_folded_and_end_as_they_must(life: Callable[..., Life]) -> None:
    for letter in life().values():
        said: bytes = calendar_part(letter).get_payload(decode=True)  # type: ignore[assignment]
        lines = said.replace(b"\r\n", b"\n").split(b"\n")
        assert max(map(len, lines)) <= 75
        assert lines[0] == b"BEGIN:VCALENDAR"


def test_control_a_cancel_that_only_says_so_in_its_method_would_be_seen(life: Callable[..., Life]) -> None:
    """What others send: CANCEL with the status of a visit that takes place, and the old sequence."""
    said = calendar_part(life()["cancelled"]).get_content()
    wrong = Calendar.from_ical(said.replace("STATUS:CANCELLED", "STATUS:CONFIRMED").replace("SEQUENCE:2", "SEQUENCE:1"))
    assert [str(wrong.events[0][name]) for name in ("STATUS", "SEQUENCE")] != ["CANCELLED", "2"]


SCRIPT = """
import ICAL from "ical.js";
import { readFileSync } from "node:fs";
const told = process.argv.slice(2).map((path) => {
  const calendar = new ICAL.Component(ICAL.parse(readFileSync(path, "utf8")));
  for (const zone of calendar.getAllSubcomponents("vtimezone")) ICAL.TimezoneService.register(zone);
  return calendar.getAllSubcomponents("vevent").map((component) => {
    const event = new ICAL.Event(component);
    return {
      method: calendar.getFirstPropertyValue("method"), uid: event.uid, sequence: event.sequence,
      status: component.getFirstPropertyValue("status"), organizer: event.organizer,
      start: event.startDate.toUnixTime(), zone: event.startDate.zone.tzid, seconds: event.duration.toSeconds(),
      attendees: event.attendees.map((one) => one.getFirstValue()),
    };
  });
});
console.log(JSON.stringify(told));
"""


@pytest.fixture(scope="module")
def ical_js(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with npm's ical.js in it."""
    folder = tmp_path_factory.mktemp("ical-js")
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "ical.js@2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    if done.returncode:
        pytest.skip(f"npm could not install ical.js: {done.stderr[-200:]}")
    (folder / "read.mjs").write_text(SCRIPT)
    return folder


@pytest.mark.nightly
def test_ical_js_reads_what_we_mean(life: Callable[..., Life], cast: Cast, ical_js: pathlib.Path) -> None:
    got = life()
    paths = []
    for what, letter in got.items():
        paths.append(ical_js / f"{what}.ics")
        paths[-1].write_text(calendar_part(letter).get_content(), newline="")
    done = subprocess.run(
        ["node", "read.mjs", *map(str, paths)], cwd=ical_js, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = [found[0] for found in json.loads(done.stdout)]
    assert [one["method"] for one in told] == list(METHODS.values())
    assert [one["sequence"] for one in told] == [0, 1, 2]
    assert [one["status"] for one in told] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert len({one["uid"] for one in told}) == 1
    starts = [datetime.fromtimestamp(one["start"], UTC) for one in told]
    assert starts == [cast.at(9), cast.at(14), cast.at(14)]
    assert {(one["zone"], one["seconds"], one["organizer"]) for one in told} == {
        (ZONE, 1800, "mailto:frontdesk@localhost")
    }
    assert [one["attendees"] for one in told] == [["mailto:ana@example.com"]] * 3
