"""Calendar feeds: what ana, carl and dr_cho read in their calendars, and when they read no more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from icalendar import Calendar, Event
from sqlalchemy import select, update

from server.errors import Invalid, NotVisible
from server.extensions import db
from server.models import AuditEvent, CalendarFeed, RelatedPerson, User
from server.services import access, booking, calendar_feeds, sessions
from server.utils import clock
from server.utils.tokens import new_id
from tests.cast import ZONE, Cast, Person
from tests.factories import create_appointment, create_location, create_schedule, create_service

Read = Callable[[str], str]
VISITOR = access.visitor(ip="203.0.113.9")


@pytest.fixture
def read(app: Flask) -> Read:
    return lambda secret: calendar_feeds.read_feed(secret, settings=app.config["FRONTDESK"], actor=VISITOR).text


def events(text: str) -> list[Event]:
    return Calendar.from_ical(text).events


def feed(person: Person, **of: Any) -> str:
    return calendar_feeds.create_feed(**of, actor=person.actor)[1]


def book(cast: Cast, who: Person | None = None, hour: int = 9, **over: Any) -> UUID:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(hour),
        actor=(who or cast.ana).actor,
        **over,
    ).id


def test_ana_reads_where_and_when_and_nothing_of_health(cast: Cast, read: Read) -> None:
    cast.checkup.name = "Oncology"
    visit_id = book(cast, reason="A lump")
    book(cast, cast.bea, 10)
    text = read(feed(cast.ana))
    (event,) = events(text)
    assert event.start == cast.at(9).astimezone(ZoneInfo(ZONE))
    assert event["DTSTART"].params["TZID"] == ZONE
    assert [zone["TZID"] for zone in Calendar.from_ical(text).timezones] == [ZONE]
    assert (event["UID"], event["STATUS"], int(event["SEQUENCE"])) == (f"{visit_id}@frontdesk", "CONFIRMED", 0)
    assert (event["SUMMARY"], event["LOCATION"]) == ("Visit at Frontdesk", "Riverside, 1 River Street")
    assert not any(word in text for word in ("Oncology", "lump", "Cho", "Silva", "Ana", "ATTENDEE"))


def test_what_is_moved_or_cancelled_stays_the_same_entry(cast: Cast, read: Read) -> None:
    visit_id, secret = book(cast), feed(cast.ana)
    booking.reschedule_appointment(visit_id, start=cast.at(14), actor=cast.ana.actor)
    (moved,) = events(read(secret))
    assert (moved.start, int(moved["SEQUENCE"])) == (cast.at(14), 1)
    booking.cancel_appointment(visit_id, actor=cast.ana.actor)
    (cancelled,) = events(read(secret))
    assert (cancelled["UID"], cancelled["STATUS"]) == (moved["UID"], "CANCELLED")
    assert int(cancelled["SEQUENCE"]) == 2


def test_what_is_asked_for_is_tentative(cast: Cast, read: Read) -> None:
    cast.checkup.needs_approval = True
    db.session.commit()
    book(cast)
    assert [event["STATUS"] for event in events(read(feed(cast.ana)))] == ["TENTATIVE"]


@pytest.mark.parametrize(("days", "is_shown"), [(-31, False), (-29, True), (399, True), (401, False)])
def test_a_month_back_and_a_year_ahead(cast: Cast, read: Read, days: int, is_shown: bool) -> None:
    start = clock.now().replace(microsecond=0) + timedelta(days=days)
    create_appointment(cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, start)
    db.session.commit()
    assert len(events(read(feed(cast.ana)))) == is_shown


def test_each_visit_has_the_clocks_of_its_place(cast: Cast, read: Read) -> None:
    far = create_location(name="Harbour", time_zone="Pacific/Auckland")
    create_appointment(cast.patient(cast.ana), cast.practitioner(cast.dr_diaz), far, cast.checkup, cast.at(15))
    book(cast)
    text = read(feed(cast.ana))
    assert {zone["TZID"] for zone in Calendar.from_ical(text).timezones} == {ZONE, "Pacific/Auckland"}
    assert [event["LOCATION"] for event in events(text)] == ["Riverside, 1 River Street", "Harbour"]


def test_a_practitioners_feed_names_nobody_unless_switched_on(cast: Cast, read: Read) -> None:
    book(cast)
    mine = {"practitioner_id": cast.dr_cho.practitioner_id}
    plain = read(feed(cast.dr_cho, **mine))
    assert [event["SUMMARY"] for event in events(plain)] == ["Check-up"]
    assert "Silva" not in plain
    named = read(feed(cast.dr_cho, **mine, shows_names=True))
    assert [event["SUMMARY"] for event in events(named)] == ["Check-up: Ana Silva"]
    assert events(read(feed(cast.dr_diaz, practitioner_id=cast.dr_diaz.practitioner_id))) == []


def test_a_class_is_one_entry_for_dr_cho_and_her_own_for_ana(cast: Cast, read: Read) -> None:
    yoga = create_service(name="Yoga", capacity=5)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, yoga)
    db.session.commit()
    session = sessions.create_session(
        service_id=yoga.id,
        practitioner_id=cast.dr_cho.practitioner_id,
        location_id=cast.location_id,
        start=cast.at(11),
        actor=cast.dana.actor,
    )
    for person in (cast.ana, cast.bea):
        sessions.book_seat(session.id, patient_id=person.patient_id, actor=cast.dana.actor)
    of_cho = read(feed(cast.dr_cho, practitioner_id=cast.dr_cho.practitioner_id, shows_names=True))
    assert [event["SUMMARY"] for event in events(of_cho)] == ["Yoga"]
    assert [event.start for event in events(read(feed(cast.ana)))] == [cast.at(11)]


# --- who may ---


def test_nobody_makes_a_feed_of_somebody_elses_visits(cast: Cast) -> None:
    for person in (cast.bea, cast.dana, cast.olga, cast.dr_cho):
        with pytest.raises(NotVisible):
            feed(person, patient_id=cast.ana.patient_id)
    for person in (cast.ana, cast.dr_diaz, cast.dana, cast.olga):
        with pytest.raises(NotVisible):
            feed(person, practitioner_id=cast.dr_cho.practitioner_id)
    with pytest.raises(Invalid):
        feed(cast.dana)
    with pytest.raises(Invalid):
        feed(cast.ana, shows_names=True)
    with pytest.raises(Invalid):
        feed(cast.ana, patient_id=cast.ana.patient_id, practitioner_id=cast.dr_cho.practitioner_id)


def test_carl_reads_for_ana_until_his_time_is_over(cast: Cast, read: Read) -> None:
    book(cast)
    secret = feed(cast.carl, patient_id=cast.ana.patient_id)
    assert len(events(read(secret))) == 1
    db.session.execute(update(RelatedPerson).values(ends_at=clock.now() - timedelta(seconds=1)))
    db.session.commit()
    with pytest.raises(NotVisible):
        read(secret)


def test_carl_has_a_feed_when_he_may_only_read(cast: Cast, read: Read) -> None:
    db.session.execute(update(RelatedPerson).values(may_read=True, may_book=False))
    db.session.commit()
    assert events(read(feed(cast.carl, patient_id=cast.ana.patient_id))) == []


def test_an_account_that_is_switched_off_reads_no_more(cast: Cast, read: Read) -> None:
    secret = feed(cast.ana)
    db.session.execute(update(User).where(User.id == cast.ana.user_id).values(active=False))
    db.session.commit()
    with pytest.raises(NotVisible):
        read(secret)


def test_a_revoked_or_unknown_secret_leads_nowhere(cast: Cast, read: Read) -> None:
    made, secret = calendar_feeds.create_feed(actor=cast.ana.actor)
    for stranger in (cast.bea, cast.carl, cast.olga):
        with pytest.raises(NotVisible):
            calendar_feeds.revoke_feed(made.id, actor=stranger.actor)
    assert calendar_feeds.list_feeds(actor=cast.ana.actor) == [made]
    calendar_feeds.revoke_feed(made.id, actor=cast.ana.actor)
    assert calendar_feeds.list_feeds(actor=cast.ana.actor) == []
    for gone in (secret, secret[:-1], "", str(new_id())):
        with pytest.raises(NotVisible):
            read(gone)
    with pytest.raises(NotVisible):
        calendar_feeds.revoke_feed(made.id, actor=cast.ana.actor)


def test_G6_the_secret_is_long_and_kept_nowhere(cast: Cast) -> None:
    made, secret = calendar_feeds.create_feed(actor=cast.ana.actor)
    assert len(secret) >= 22, "128 bits in base64"
    row = db.session.execute(select(CalendarFeed.__table__).where(CalendarFeed.id == made.id)).one()
    assert secret not in str(tuple(row))


def test_readings_are_on_record_once_an_hour(cast: Cast, read: Read) -> None:
    made, secret = calendar_feeds.create_feed(actor=cast.ana.actor)
    recorded = select(AuditEvent).where(AuditEvent.action == "calendar-feed.read")
    for _ in range(3):
        read(secret)
    (event,) = db.session.scalars(recorded)
    assert (event.object_id, event.patient_id) == (made.id, cast.ana.patient_id)
    assert (event.user_id, event.role, str(event.ip)) == (cast.ana.user_id, "link", "203.0.113.9")
    db.session.execute(update(CalendarFeed).values(last_read_at=clock.now() - timedelta(minutes=61)))
    read(secret)
    assert len(db.session.scalars(recorded).all()) == 2
