"""Letters say when and where, never why; are true when they leave; and cannot be bent by what somebody typed."""

from uuid import UUID

import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import select

from server.extensions import db
from server.models import OutboxMessage, Patient, User
from server.services import accounts, booking, letters, links, outbox
from server.services.letters import Letter
from tests.cast import Cast

SECRET_REASON = "a lump that worries me"


def book(cast: Cast, hour: int = 9) -> UUID:
    visit = booking.book_appointment(
        service_id=cast.physio_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(hour),
        reason=SECRET_REASON,
        actor=cast.ana.actor,
    )
    return visit.id


def newest(app: Flask) -> Letter:
    message_id = db.session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id.desc())).first()
    assert message_id
    return letters.compose(message_id, settings=app.config["FRONTDESK"])


def test_the_booking_letter_word_for_word(app: Flask, cast: Cast) -> None:
    visit_id = book(cast)
    day = f"{cast.at(9):%A}, {cast.day().day} {cast.day():%B %Y}"
    settings = app.config["FRONTDESK"]
    link = f"{settings.base_url}/visit-links/{links.make('visit', visit_id, 0, secret_key=settings.secret_key)}"
    assert newest(app).subject == f"Your visit on {day} at 09:00"
    assert newest(app).text.split("\n") == [
        "Hello Ana Silva,",
        "",
        "Your visit is booked",
        "",
        f"  {day}, 09:00 (New York time), 45 minutes",
        "  with Dr Min Cho",
        "  Riverside, 1 River Street",
        "  Phone +1 212 555 0100",
        "",
        "See, move or cancel it",
        link,
        "",
        "Frontdesk",
        "",
        "You get this letter because of a visit or an account at Frontdesk. Please do not answer with anything about "
        "your health: e-mail can be read by others.",
        "",
    ]


def test_J3_no_letter_tells_what_a_visit_is_about(app: Flask, cast: Cast) -> None:
    visit_id = book(cast)
    told = [newest(app)]
    booking.reschedule_appointment(visit_id, start=cast.at(14), actor=cast.ana.actor)
    told.append(newest(app))
    booking.cancel_appointment(visit_id, reason=SECRET_REASON, actor=cast.ana.actor)
    told.append(newest(app))
    for letter in told:
        everything = "\n".join((letter.subject, letter.text, letter.html, letter.calendar))
        assert SECRET_REASON not in everything
        assert "Physiotherapy" not in everything


def test_a_letter_that_was_overtaken_is_not_sent(app: Flask, cast: Cast) -> None:
    visit_id = book(cast)
    booked = db.session.scalars(select(OutboxMessage.id)).one()
    booking.cancel_appointment(visit_id, actor=cast.ana.actor)
    with pytest.raises(outbox.NoLongerTrue):
        letters.compose(booked, settings=app.config["FRONTDESK"])
    assert "is cancelled" in newest(app).subject


def test_a_patient_without_an_address_gets_no_letter_and_it_is_said(app: Flask, cast: Cast) -> None:
    book(cast)
    cast.patient(cast.ana).email = None
    db.session.flush()
    with pytest.raises(outbox.Undeliverable):
        newest(app)


def test_I4_what_somebody_typed_stays_text(app: Flask, cast: Cast) -> None:
    patient: Patient = cast.patient(cast.ana)
    patient.given_name = "<script>alert(1)</script>\r\nBcc: all@example.com"
    cast.location.address = "1; River, Street\r\nX-Bad: 1"
    db.session.flush()
    book(cast)
    letter = newest(app)
    assert "<script>" not in letter.html
    assert "\n" not in letter.subject
    assert "\nX-Bad" not in letter.calendar
    assert str(Calendar.from_ical(letter.calendar).walk("VEVENT")[0]["location"]).startswith(
        "Riverside, 1; River, Street"
    )


def test_the_calendar_part_follows_the_visit(app: Flask, cast: Cast) -> None:
    """RFC 5546: REQUEST, REQUEST with a higher SEQUENCE, CANCEL; one UID."""
    visit_id = book(cast)
    seen = [newest(app)]
    booking.reschedule_appointment(visit_id, start=cast.at(14), actor=cast.ana.actor)
    seen.append(newest(app))
    booking.cancel_appointment(visit_id, actor=cast.dana.actor)
    seen.append(newest(app))
    calendars = [Calendar.from_ical(letter.calendar) for letter in seen]
    events = [calendar.walk("VEVENT")[0] for calendar in calendars]
    assert [str(calendar["method"]) for calendar in calendars] == ["REQUEST", "REQUEST", "CANCEL"]
    assert [letter.calendar_method for letter in seen] == ["REQUEST", "REQUEST", "CANCEL"]
    assert len({str(event["uid"]) for event in events}) == 1
    assert [int(event["sequence"]) for event in events] == [0, 1, 2]
    assert [str(event["status"]) for event in events] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert [event["dtstart"].dt for event in events] == [cast.at(9), cast.at(14), cast.at(14)]
    assert {str(event["attendee"]) for event in events} == {"mailto:ana@example.com"}
    assert {str(event["organizer"]) for event in events} == {"mailto:frontdesk@localhost"}
    assert all(calendar.walk("VTIMEZONE") for calendar in calendars)


def test_registering_sends_a_link_that_confirms_and_a_known_address_another_letter(app: Flask, cast: Cast) -> None:
    form = {"password": "a long enough password", "given_name": "Noa", "family_name": "Berg"}
    birth = cast.patient(cast.ana).birth_date
    accounts.register_patient(email="noa@example.com", birth_date=birth, actor=cast.ana.actor, **form)
    letter = newest(app)
    assert letter.to == "noa@example.com"
    token = letter.text.split("/confirm/")[1].split()[0]
    accounts.confirm_account(token, actor=cast.ana.actor)
    assert db.session.scalars(select(User.confirmed_at).where(User.email == "noa@example.com")).one()
    accounts.register_patient(email="NOA@example.com", birth_date=birth, actor=cast.ana.actor, **form)
    assert newest(app).subject == "You already have an account"
    assert "/confirm/" not in newest(app).text
