"""Dr Cho's own calendar elsewhere: its busy times count here, its words and its address stay where they are."""

import logging
import threading
import time as clock_time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest
from sqlalchemy import select, update

from server.errors import Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import Closure, ExternalCalendar, FreedTime, WaitlistEntry
from server.services import availability, booking, external_calendars, stranded, why
from server.services.access import visitor
from server.services.booking import SlotTaken
from server.utils import busy_times, clock, outside
from tests.cast import ZONE, Cast

SECRET = "private-0123456789"


class Feed:
    """A calendar server on this machine; a test sets what it answers."""

    def __init__(self) -> None:
        self.body, self.status, self.headers = b"", 200, {}
        self.asked: list[dict[str, str]] = []
        self.answer: Any = None
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                feed.asked.append(dict(self.headers))
                if feed.answer is not None:
                    feed.answer(self)
                    return
                etag = feed.headers.get("ETag")
                if etag and self.headers.get("If-None-Match") == etag:
                    self.send_response(304)
                    self.end_headers()
                    return
                self.send_response(feed.status)
                for name, value in feed.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(feed.body)))
                self.end_headers()
                self.wfile.write(feed.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/{SECRET}/basic.ics"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, *events: str) -> None:
        """Each event: the lines of a VEVENT between UID and END."""
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//T//EN"]
        for number, event in enumerate(events):
            lines += ["BEGIN:VEVENT", f"UID:{number}@elsewhere", "DTSTAMP:20260101T000000Z", "SUMMARY:Dentist with Tom"]
            lines += [*event.split("\n"), "END:VEVENT"]
        self.body = "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.server.shutdown()
    feed.server.server_close()


def wall(at: datetime, zone: str = ZONE) -> str:
    return f"{clock.local(at, zone):%Y%m%dT%H%M%S}"


def enter(cast: Cast, feed: Feed, **over: Any) -> None:
    values = {"url": feed.url, "if_version": 0, "private_urls": True, "actor": cast.dana.actor, **over}
    external_calendars.set_calendar(cast.dr_cho.practitioner_id, **values)


def fetch() -> bool | None:
    """Ten minutes later."""
    db.session.execute(update(ExternalCalendar).values(attempted_at=None))
    db.session.commit()
    return external_calendars.fetch_one_due(private_urls=True)


def fresh(cast: Cast) -> external_calendars.Freshness:
    return external_calendars.read_calendar(cast.dr_cho.practitioner_id, actor=cast.dana.actor)


def spans() -> list[tuple[datetime, datetime]]:
    found = db.session.scalars(select(Closure).where(Closure.kind == "external").order_by(Closure.during)).all()
    return [(each.during.lower, each.during.upper) for each in found]


def book(cast: Cast, hour: int, **over: Any) -> Any:
    values = {"service_id": cast.checkup_id, "practitioner_id": cast.dr_cho.practitioner_id, "start": cast.at(hour)}
    return booking.book_appointment(**{**values, "actor": cast.ana.actor, **over})


def test_what_is_busy_there_is_taken_here_and_nobody_reads_why(cast: Cast, feed: Feed) -> None:
    feed.says(f"DTSTART;TZID={ZONE}:{wall(cast.at(10))}\nDTEND;TZID={ZONE}:{wall(cast.at(11))}")
    enter(cast, feed)
    assert fetch() is True
    assert spans() == [(cast.at(10), cast.at(11))]
    with pytest.raises(SlotTaken):
        book(cast, 10)
    assert book(cast, 11)
    reasons = why.explain(
        cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(10), actor=visitor()
    )
    assert [(reason.code, reason.detail) for reason in reasons] == [("busy", "This time is taken.")]
    [for_staff] = why.explain(
        cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(10), actor=cast.dana.actor
    )
    assert (for_staff.code, for_staff.blocking[0]["state"]) == ("busy", "external")
    free = availability.search(
        cast.checkup_id, from_at=cast.at(9), to_at=cast.at(12), practitioner_id=cast.dr_cho.practitioner_id
    )
    assert [each.start for each in free] == [cast.at(9), cast.at(9, 30), cast.at(11, 30)]
    stored = db.session.scalars(select(Closure).where(Closure.kind == "external")).one()
    assert stored.reason == ""


def test_a_closure_of_our_own_is_still_called_one(cast: Cast, feed: Feed) -> None:
    """The negative control of the code above."""
    from tests.factories import create_closure

    create_closure(cast.at(10), cast.at(11), practitioner_id=cast.dr_cho.practitioner_id)
    [reason] = why.explain(
        cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(10), actor=visitor()
    )
    assert reason.code == "closure"


def test_repetitions_exceptions_whole_days_floating_and_other_zones(cast: Cast, feed: Feed) -> None:
    wednesday = cast.day(weekday=3)
    second, third = cast.at(8, weeks=2), cast.at(8, weeks=3)
    feed.says(
        f"DTSTART;TZID={ZONE}:{wall(cast.at(8))}\nDTEND;TZID={ZONE}:{wall(cast.at(9))}\n"
        f"RRULE:FREQ=WEEKLY;COUNT=3\nEXDATE;TZID={ZONE}:{wall(second)}",
        f"DTSTART;VALUE=DATE:{wednesday:%Y%m%d}\nDTEND;VALUE=DATE:{wednesday + timedelta(days=1):%Y%m%d}",
        f"DTSTART:{wall(cast.at(13))}\nDTEND:{wall(cast.at(14))}",
        f"DTSTART;TZID=Europe/Lisbon:{wall(cast.at(15), 'Europe/Lisbon')}\nDURATION:PT45M",
        f"DTSTART:{wall(cast.at(16), 'UTC')}Z\nDTEND:{wall(cast.at(16, 30), 'UTC')}Z",
        f"DTSTART:{wall(cast.at(11))}\nDTEND:{wall(cast.at(12))}\nTRANSP:TRANSPARENT",
        f"DTSTART:{wall(cast.at(11))}\nDTEND:{wall(cast.at(12))}\nSTATUS:CANCELLED",
        f"DTSTART:{wall(cast.at(11))}",  # no length
    )
    enter(cast, feed)
    fetch()
    hour = timedelta(hours=1)
    assert fresh(cast).error == ""
    assert spans() == [
        (cast.at(8), cast.at(9)),
        (cast.at(13), cast.at(14)),
        (cast.at(15), cast.at(15, 45)),
        (cast.at(16), cast.at(16, 30)),
        clock.day_bounds(wednesday, ZONE),
        (third, third + hour),
    ]


def test_our_own_visits_that_come_back_do_not_block_themselves(cast: Cast, feed: Feed) -> None:
    visit = book(cast, 10)
    feed.says(f"DTSTART:{wall(cast.at(10))}\nDTEND:{wall(cast.at(11))}")
    feed.body = feed.body.replace(b"0@elsewhere", f"{visit.id}@frontdesk".encode())
    enter(cast, feed)
    fetch()
    assert spans() == []


def test_rows_that_stay_the_same_are_not_touched_and_freed_time_is_told_of(cast: Cast, feed: Feed) -> None:
    db.session.add(WaitlistEntry(patient_id=cast.bea.patient_id, service_id=cast.checkup_id, status="waiting"))
    db.session.commit()
    stays = f"DTSTART:{wall(cast.at(10))}\nDTEND:{wall(cast.at(11))}"
    feed.says(stays, f"DTSTART:{wall(cast.at(13))}\nDTEND:{wall(cast.at(14))}")
    enter(cast, feed)
    fetch()
    before = set(db.session.scalars(select(Closure.id)))
    feed.says(stays, f"DTSTART:{wall(cast.at(15))}\nDTEND:{wall(cast.at(16))}")
    assert fetch() is True
    assert len(before & set(db.session.scalars(select(Closure.id)))) == 1
    assert spans() == [(cast.at(10), cast.at(11)), (cast.at(15), cast.at(16))]
    [freed] = db.session.scalars(select(FreedTime))
    assert (freed.during.lower, freed.during.upper) == (cast.at(13), cast.at(14))
    assert fetch() is False


def test_an_unchanged_feed_is_not_sent_again(cast: Cast, feed: Feed) -> None:
    feed.says(f"DTSTART:{wall(cast.at(10))}\nDTEND:{wall(cast.at(11))}")
    feed.headers = {"ETag": '"one"'}
    enter(cast, feed)
    fetch()
    db.session.execute(update(ExternalCalendar).values(attempted_at=clock.now() - timedelta(minutes=11)))
    db.session.commit()
    before = fresh(cast).fetched_at
    today = clock.now() - timedelta(minutes=11) >= datetime.combine(clock.today("UTC"), datetime.min.time(), UTC)
    assert external_calendars.fetch_one_due(private_urls=True) is False
    assert feed.asked[-1].get("If-None-Match") == ('"one"' if today else None)
    after = fresh(cast).fetched_at
    assert before is not None
    assert after is not None
    assert after > before
    assert len(spans()) == 1
    assert external_calendars.fetch_one_due(private_urls=True) is None  # leased for ten minutes


def test_a_conflict_is_reported_to_the_desk(cast: Cast, feed: Feed) -> None:
    visit = book(cast, 10)
    feed.says(f"DTSTART:{wall(cast.at(10))}\nDTEND:{wall(cast.at(11))}")
    enter(cast, feed)
    fetch()
    [found], _ = stranded.list_stranded(actor=cast.dana.actor)
    assert (found.appointment.id, found.cause) == (visit.id, "external")


BAD_FEEDS = {
    "not a calendar": (b"<html>Sign in</html>", "not valid iCalendar"),
    "empty": (b"", "not valid iCalendar"),
    "endless": ("RRULE:FREQ=SECONDLY", "more often than every hour"),
    "too many": ("RRULE:FREQ=HOURLY", "more than 5,000"),
}


@pytest.mark.parametrize("name", BAD_FEEDS)
def test_a_bad_feed_keeps_the_last_good_state_and_says_so(cast: Cast, feed: Feed, name: str) -> None:
    good = f"DTSTART:{wall(cast.at(10))}\nDTEND:{wall(cast.at(11))}"
    feed.says(good)
    enter(cast, feed)
    fetch()
    body, sentence = BAD_FEEDS[name]
    if isinstance(body, bytes):
        feed.body = body
    else:
        feed.says(*[f"DTSTART:{wall(cast.at(8))}\nDTEND:{wall(cast.at(8, 30))}\n{body}"] * 2)
    assert fetch() is False
    failed_at = fresh(cast).failed_at
    assert sentence in fresh(cast).error
    assert failed_at is not None
    fetch()
    assert fresh(cast).failed_at == failed_at  # since when, not when last
    assert spans() == [(cast.at(10), cast.at(11))]
    feed.says(good)
    fetch()
    assert (fresh(cast).error, fresh(cast).failed_at) == ("", None)


def test_too_big_and_gone_and_moved_away(cast: Cast, feed: Feed) -> None:
    enter(cast, feed)
    feed.body = b"x" * (outside.MAX_BYTES + 1)
    fetch()
    assert fresh(cast).error == "There is more than 5 MB at this address."
    feed.body, feed.status = b"", 404
    fetch()
    assert fresh(cast).error == "The server answers 404."
    feed.status, feed.headers = 302, {"Location": f"/{SECRET}/other"}
    fetch()
    assert fresh(cast).error == "The address leads to another one more than 3 times."


def drip(part: str) -> Any:
    """Bytes that come one at a time, each soon enough, without an end: as headers, or as a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        try:
            start = b"HTTP/1.0 200 OK\r\n" + (b"X: " if part == "headers" else b"\r\n")
            handler.wfile.write(start)
            for _ in range(200):
                handler.wfile.write(b"x")
                clock_time.sleep(0.05)
        except OSError:
            pass  # the reader hung up

    return answer


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_never_ends_is_given_up(feed: Feed, part: str) -> None:
    feed.answer = drip(part)
    began = clock_time.monotonic()
    with pytest.raises(outside.CannotRead, match="too long"):
        outside.read(feed.url, may_connect=outside.anywhere, plain_http=True, total_seconds=1)
    assert clock_time.monotonic() - began < 3


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x", "https://[::ffff:127.0.0.1]/x",
        "https://10.0.0.1/x", "https://169.254.169.254/latest", "https://[fe80::1]/x", "https://[fc00::1]/x",
        "https://0.0.0.0/x", "https://100.64.0.1/x", "https://127.1/x", "https://2130706433/x", "https://0x7f.1/x",
        "https://[64:ff9b::7f00:1]/x", "https://[2002:7f00:1::]/x", "https://224.0.0.1/x", "https://192.168.1.1/",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(url: str) -> None:
    with pytest.raises(outside.CannotRead, match="private network"):
        outside.read(url)


def test_public_addresses_are_public() -> None:
    for address in ("93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"):
        assert outside.is_public(ip_address(address)), address


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.com/x", "gopher://x", "https://", "https://[", "x"]
)
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(outside.CannotRead):
        outside.read(url, may_connect=outside.anywhere, plain_http=True)


def test_http_is_refused_unless_allowed(cast: Cast, feed: Feed) -> None:
    with pytest.raises(outside.CannotRead, match="https"):
        outside.read(feed.url, may_connect=outside.anywhere)
    with pytest.raises(Invalid):
        enter(cast, feed, private_urls=False)


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/", "file:///etc/passwd", "http://localhost:{port}/x"])
def test_a_redirect_is_checked_like_the_address_itself(feed: Feed, target: str) -> None:
    """The first server may be read here, what it points to may not."""
    feed.status, feed.headers = 302, {"Location": target.format(port=feed.port)}
    hops: list[Any] = []

    def only_the_first(address: Any) -> bool:
        hops.append(address)
        return len(hops) == 1

    with pytest.raises(outside.CannotRead, match=r"private network|https"):
        outside.read(feed.url, may_connect=only_the_first, plain_http=True)
    assert len(feed.asked) == 1


def test_the_connection_goes_to_the_address_that_was_checked(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name answers once with an address that may be read; nobody asks it a second time."""
    import socket

    real, asked = socket.getaddrinfo, []

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "calendar.example":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "127.0.0.9", *args, **kwargs)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    feed.says()
    url = f"http://calendar.example:{feed.port}/x"
    assert outside.read(url, may_connect=outside.anywhere, plain_http=True).status == 200
    assert asked == ["calendar.example"]
    assert feed.asked[0]["Host"] == f"calendar.example:{feed.port}"


def test_the_address_is_told_to_nobody(cast: Cast, feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    enter(cast, feed)
    feed.server.shutdown()
    feed.server.server_close()
    with caplog.at_level(logging.DEBUG):
        fetch()
    assert fresh(cast).error == "The server cannot be reached."
    assert fresh(cast).host == "127.0.0.1"
    assert SECRET not in caplog.text
    assert SECRET not in str(fresh(cast))


def test_dr_cho_enters_their_own_and_no_colleagues(cast: Cast, feed: Feed) -> None:
    enter(cast, feed, actor=cast.dr_cho.actor)
    for person in (cast.dr_diaz, cast.ana):
        with pytest.raises(NotAllowed):
            external_calendars.read_calendar(cast.dr_cho.practitioner_id, actor=person.actor)
    with pytest.raises(Stale):
        enter(cast, feed)
    enter(cast, feed, if_version=1)
    feed.says(f"DTSTART:{wall(cast.at(10))}\nDTEND:{wall(cast.at(11))}")
    fetch()
    external_calendars.remove_calendar(cast.dr_cho.practitioner_id, actor=cast.dr_cho.actor)
    assert spans() == []
    with pytest.raises(NotVisible):
        external_calendars.remove_calendar(cast.dr_cho.practitioner_id, actor=cast.dr_cho.actor)


def test_many_hourly_series_end_in_a_sentence() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    event = "BEGIN:VEVENT\r\nUID:{}\r\nDTSTART:20200101T000000Z\r\nDURATION:PT5M\r\nRRULE:FREQ=HOURLY\r\nEND:VEVENT\r\n"
    text = "BEGIN:VCALENDAR\r\n" + "".join(event.format(n) for n in range(20)) + "END:VCALENDAR\r\n"
    with pytest.raises(busy_times.NotACalendar, match="5,000"):
        busy_times.busy_times(text.encode(), from_at=now, to_at=now + timedelta(days=180), zone=ZONE)
