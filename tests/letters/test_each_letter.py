"""Each letter, from real rows: complete in its three forms, in the zone of the place, and safe to open."""

import email
import email.policy
import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import html5lib
import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import select, update

from server.extensions import db
from server.jobs.letters import send_due
from server.models import Appointment, ClinicSettings, OutboxMessage, User, WaitlistOffer
from server.services import (
    booking,
    letter_texts,
    letters,
    links,
    offers,
    outbox,
    reminders,
    series,
    series_moves,
    steps,
    waitlist,
)
from server.services.letter_texts import ABOUT
from server.services.letters import COMPOSERS, Letter
from server.services.series import Scope
from server.services.transaction import atomic
from server.utils import clock
from tests.cast import ZONE, Cast
from tests.factories import create_location, create_schedule

XHTML = "{http://www.w3.org/1999/xhtml}"
STEPS = {"appointment-follow-up": ("arrive", "complete"), "appointment-missed": ("no-show",)}
RULES: dict[str, dict[str, Any]] = {
    "appointment-reminder": {},
    "appointment-confirm": {"asks_to_confirm": True},
    "appointment-follow-up": {"kind": "after"},
    "appointment-missed": {"kind": "noshow"},
}
Compose = Callable[[str], Letter]


@pytest.fixture
def compose(app: Flask, cast: Cast) -> Compose:
    """`compose("appointment-moved")`: the letter that ana gets when this happened to her visit or account."""

    def visit() -> UUID:
        return booking.book_appointment(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(9),
            reason="a lump that worries me",
            actor=cast.ana.actor,
        ).id

    def happen(letter: str) -> None:
        if letter == "appointment-booked":
            visit()
        elif letter in RULES:
            reminders.create_rule({"minutes_before": 60, **RULES[letter]}, actor=cast.olga.actor)
            seen = visit()
            for step in STEPS.get(letter, ()):
                steps.take_step(seen, step=step, actor=cast.dana.actor)
        elif letter in ("appointment-requested", "appointment-approved", "appointment-declined", "appointment-expired"):
            cast.checkup.needs_approval = True
            asked = visit()
            if letter == "appointment-approved":
                steps.approve_request(asked, actor=cast.dana.actor)
            if letter == "appointment-declined":
                steps.decline_request(asked, actor=cast.dana.actor)
            if letter == "appointment-expired":
                db.session.execute(update(Appointment).values(answer_by=clock.now()))
                assert steps.expire_requests() == 1
        elif letter == "appointment-moved":
            booking.reschedule_appointment(visit(), start=cast.at(14), actor=cast.ana.actor)
        elif letter == "appointment-moved-leave":
            booking.reschedule_appointment(visit(), start=cast.at(14), actor=cast.dana.actor, letter=letter)
        elif letter == "appointment-cancelled":
            booking.cancel_appointment(visit(), actor=cast.ana.actor)
        elif letter == "appointment-cancelled-by-clinic":
            booking.cancel_appointment(visit(), actor=cast.dana.actor)
        elif letter == "appointment-cancelled-leave":
            booking.cancel_appointment(visit(), actor=cast.dana.actor, letter=letter)
        elif letter.startswith("series-"):
            booked = book_three(cast)
            if letter == "series-changed":
                last = booked.visits[-1].id
                series.cancel_series(booked.id, scope=Scope.FOLLOWING, appointment_id=last, actor=cast.ana.actor)
        elif letter.startswith("waitlist"):
            offer_to_ana(cast)
            if letter == "waitlist-offer-expired":
                db.session.execute(update(WaitlistOffer).values(expires_at=clock.now() - timedelta(seconds=1)))
                offers.expire_offers()
        else:
            confirmed = None if letter == "account-confirm" else User.confirmed_at
            db.session.execute(update(User).where(User.id == cast.ana.user_id).values(confirmed_at=confirmed))
            if letter == "account-new-address":
                db.session.execute(update(User).where(User.id == cast.ana.user_id).values(new_email=User.email))
            if letter == "account-invited":
                db.session.execute(update(User).where(User.id == cast.ana.user_id).values(password=None))
            with atomic():
                outbox.post(letter, user_id=cast.ana.user_id)

    def compose(letter: str) -> Letter:
        happen(letter)
        message_id = db.session.scalars(select(OutboxMessage.id).where(OutboxMessage.letter == letter)).one()
        return letters.compose(message_id, settings=app.config["FRONTDESK"])

    return compose


def offer_to_ana(cast: Cast) -> None:
    """She waits to have a visit earlier, and bea's time becomes free."""
    when = {"service_id": cast.checkup_id, "practitioner_id": cast.dr_cho.practitioner_id}
    later = booking.book_appointment(**when, start=cast.at(14), actor=cast.ana.actor)
    waitlist.join(appointment_id=later.id, notice_minutes=0, actor=cast.ana.actor)
    other = booking.book_appointment(**when, start=cast.at(9), actor=cast.bea.actor)
    booking.cancel_appointment(other.id, actor=cast.dana.actor)
    db.session.execute(update(ClinicSettings).values(quiet_from=time(0), quiet_until=time(0), offer_minutes=60))
    assert offers.offer_freed_times() == 1


def reader_sees(html: str) -> str:
    document = html5lib.HTMLParser(strict=True).parse(html)
    return " ".join(" ".join(document.find(f"{XHTML}body").itertext()).split())


@pytest.mark.parametrize("letter", sorted(COMPOSERS))
def test_a_letter_is_complete_in_both_forms(compose: Compose, letter: str) -> None:
    composed = compose(letter)
    assert composed.to == "ana@example.com"
    assert 5 < len(composed.subject) < 100
    assert composed.subject == composed.subject.strip()
    seen = reader_sees(composed.html)
    for form in (composed.text, seen):
        assert "Hello Ana Silva, " in " ".join(form.split())
        assert not re.search(r"\{\{|\{%|None|Undefined|&lt;|&amp;", form)
    link = re.search(r"http://127\.0\.0\.1:8000/\S+", composed.text)[0]
    assert f'href="{link}"' in composed.html
    assert "\n\n\n" not in composed.text


@pytest.mark.parametrize("letter", sorted(COMPOSERS))
def test_J3_a_letter_says_when_and_where_and_never_for_what(compose: Compose, cast: Cast, letter: str) -> None:
    cast.practitioner(cast.dr_cho).specialty = "Oncology"
    composed = compose(letter)
    everything = "\n".join((composed.subject, composed.text, composed.html, composed.calendar))
    assert not re.search("Check-up|lump|Oncology", everything)


@pytest.mark.parametrize("letter", sorted(COMPOSERS))
def test_a_letter_loads_nothing_from_anywhere(compose: Compose, letter: str) -> None:
    html = compose(letter).html
    assert not re.search(r"<(img|script|link|iframe|object|form|video|audio)\b", html)
    assert not re.search(r"url\(|@import|\bsrc=", html)
    assert 'style="' in html, "mail programs read the style of the element only"


@pytest.mark.parametrize("letter", sorted(COMPOSERS))
def test_the_clinics_own_words_find_every_placeholder_of_their_letter(
    compose: Compose, cast: Cast, letter: str
) -> None:
    named = " ".join(f"<{{{one}}}>" for one in ABOUT[letter].placeholders)
    letter_texts.put_words(letter, "en", {"closing": named}, if_version=None, actor=cast.olga.actor)
    composed = compose(letter)
    (filled,) = re.findall(r"^<.*>$", composed.text, re.M)
    assert filled.startswith("<Ana> <Frontdesk>" if "account" not in letter else "<Ana Silva> <Frontdesk>")
    assert "{" not in filled
    assert filled in reader_sees(composed.html)
    if "place" in ABOUT[letter].placeholders:
        assert filled.endswith("<Riverside> <Dr Min Cho>")


def test_the_booking_letter_is_the_same_in_html(compose: Compose, cast: Cast) -> None:
    composed = compose("appointment-booked")
    day = f"{cast.day():%A}, {cast.day().day} {cast.day():%B %Y}"
    assert reader_sees(composed.html) == (
        f"Frontdesk Your visit is booked Hello Ana Silva, {day}, 09:00 New York time, 30 minutes with Dr Min Cho "
        "Riverside 1 River Street Phone +1 212 555 0100 See, move or cancel it "
        "You get this letter because of a visit or an account at Frontdesk. Please do not answer with anything about "
        "your health: e-mail can be read by others."
    )


def test_each_letter_has_its_own_subject(compose: Compose, cast: Cast) -> None:
    day = f"{cast.day():%A}, {cast.day().day} {cast.day():%B %Y}"
    subjects = {letter: compose(letter).subject for letter in ("account-confirm", "account-exists")}
    assert subjects == {
        "account-confirm": "Confirm your e-mail address",
        "account-exists": "You already have an account",
    }
    assert compose("appointment-moved").subject == f"Your visit is now on {day} at 14:00"


def test_D2_a_letter_tells_the_time_of_the_place_wherever_it_is(app: Flask, cast: Cast) -> None:
    tokyo = create_location(name="Shibuya", time_zone="Asia/Tokyo")
    create_schedule(cast.practitioner(cast.dr_diaz), tokyo, cast.checkup)
    db.session.commit()
    start = datetime.combine(cast.day(), datetime.min.time(), ZoneInfo("Asia/Tokyo")).replace(hour=11)
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_diaz.practitioner_id,
        location_id=tokyo.id,
        start=start,
        actor=cast.ana.actor,
    )
    message_id = db.session.scalars(select(OutboxMessage.id)).one()
    composed = letters.compose(message_id, settings=app.config["FRONTDESK"])
    for form in (composed.subject, composed.text, composed.html):
        assert "11:00" in form
    assert "Tokyo time" in composed.text
    event = Calendar.from_ical(composed.calendar).events[0]
    assert (event.start, event["DTSTART"].params["TZID"]) == (start, "Asia/Tokyo")


@pytest.mark.parametrize(
    ("letter", "method", "status"),
    [
        ("appointment-booked", "REQUEST", "CONFIRMED"),
        ("appointment-moved", "REQUEST", "CONFIRMED"),
        ("appointment-approved", "REQUEST", "CONFIRMED"),
        ("appointment-cancelled", "CANCEL", "CANCELLED"),
        ("appointment-cancelled-by-clinic", "CANCEL", "CANCELLED"),
    ],
)
def test_the_calendar_part_is_what_rfc_5546_asks_for(compose: Compose, letter: str, method: str, status: str) -> None:
    composed = compose(letter)
    calendar = Calendar.from_ical(composed.calendar)
    assert calendar["METHOD"] == composed.calendar_method == method
    (event,) = calendar.events
    visit_id = db.session.scalars(select(Appointment.id)).one()
    assert event["UID"] == f"{visit_id}@frontdesk"
    assert (event["STATUS"], event["SUMMARY"]) == (status, "Visit at Frontdesk")
    assert (event["ORGANIZER"], event["ORGANIZER"].params["CN"]) == ("mailto:frontdesk@localhost", "Frontdesk")
    assert event["ATTENDEE"] == "mailto:ana@example.com"
    assert "DTSTAMP" in event
    assert [zone["TZID"] for zone in calendar.timezones] == [ZONE]
    assert all(len(line) <= 75 for line in composed.calendar.encode().split(b"\r\n"))


def test_the_offer_names_what_it_replaces_until_when_and_where_to_answer(
    app: Flask, compose: Compose, cast: Cast
) -> None:
    composed = compose("waitlist-offer")
    offer = db.session.scalars(select(WaitlistOffer)).one()
    day, deadline = f"{cast.day():%A}, {cast.day().day} {cast.day():%B %Y}", clock.local(offer.expires_at, ZONE)
    for form in (composed.text, reader_sees(composed.html)):
        seen = " ".join(form.split())
        assert f"{day}, 09:00" in seen
        assert f"replace your visit on {day}, 14:00" in seen
        assert f"{deadline:%H:%M} (New York time)" in seen
        assert "you stay on the list" in seen
        assert "Check-up" not in seen, "J3: when and where, not for what"
    link = links.make("offer", offer.id, secret_key=app.config["SECRET_KEY"])
    assert f"http://127.0.0.1:8000/offer-links/{link}" in composed.text


@pytest.mark.parametrize("answer", ["accept_offer", "decline_offer"])
def test_an_offer_that_was_answered_is_not_sent_any_more(compose: Compose, app: Flask, cast: Cast, answer: str) -> None:
    compose("waitlist-offer")
    message = db.session.scalars(select(OutboxMessage).where(OutboxMessage.letter == "waitlist-offer")).one()
    getattr(offers, answer)(message.offer_id, actor=cast.ana.actor)
    with pytest.raises(outbox.NoLongerTrue):
        letters.compose(message.id, settings=app.config["FRONTDESK"])


def book_three(cast: Cast) -> series.Series:
    plan = series.book_series(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        every_n_weeks=1,
        count=3,
        actor=cast.ana.actor,
    )
    assert plan.id
    return series.read_series(plan.id, actor=cast.ana.actor)


def calendar_of(app: Flask, letter: str) -> tuple[Letter, dict[str, Any]]:
    """The newest such letter, and its events by UID."""
    newest = select(OutboxMessage.id).where(OutboxMessage.letter == letter).order_by(OutboxMessage.id.desc())
    composed = letters.compose(db.session.scalars(newest).first(), settings=app.config["FRONTDESK"])
    calendar = Calendar.from_ical(composed.calendar)
    assert calendar["METHOD"] == composed.calendar_method
    assert [zone["TZID"] for zone in calendar.timezones] == [ZONE]
    for event in calendar.events:
        assert event["ATTENDEE"] == "mailto:ana@example.com"
        assert event["ORGANIZER"] == "mailto:frontdesk@localhost"
        assert event["SUMMARY"] == "Visit at Frontdesk"
    return composed, {str(event["UID"]): event for event in calendar.events}


def test_a_series_letter_puts_each_visit_into_the_calendar_and_takes_it_out_again(app: Flask, cast: Cast) -> None:
    made = book_three(cast)
    uids = [f"{visit.id}@frontdesk" for visit in made.visits]
    composed, events = calendar_of(app, "series-booked")
    assert (composed.calendar_method, sorted(events)) == ("REQUEST", sorted(uids))
    assert [events[uid].start for uid in uids] == [visit.start for visit in made.visits]
    assert {int(event["SEQUENCE"]) for event in events.values()} == {0}

    moved = series_moves.move_series(
        made.id, scope=Scope.ALL, appointment_id=made.visits[0].id, start=cast.at(14), actor=cast.ana.actor
    )
    assert moved.is_free
    composed, events = calendar_of(app, "series-changed")
    assert (composed.calendar_method, sorted(events)) == ("REQUEST", sorted(uids))
    assert {int(event["SEQUENCE"]) for event in events.values()} == {1}
    assert events[uids[0]].start == cast.at(14)

    series.cancel_series(made.id, scope=Scope.FOLLOWING, appointment_id=made.visits[1].id, actor=cast.ana.actor)
    composed, events = calendar_of(app, "series-changed")
    assert (composed.calendar_method, sorted(events)) == ("CANCEL", sorted(uids[1:])), "the first one stays"
    assert {str(event["STATUS"]) for event in events.values()} == {"CANCELLED"}
    assert {int(event["SEQUENCE"]) for event in events.values()} == {2}


def test_a_series_that_is_only_asked_for_is_in_nobodys_calendar(compose: Compose, cast: Cast) -> None:
    cast.checkup.needs_approval = True
    composed = compose("series-booked")
    assert (composed.calendar, composed.calendar_method) == ("", "")


@pytest.mark.parametrize("letter", ["account-confirm", "account-exists"])
def test_letters_about_accounts_have_no_calendar(compose: Compose, letter: str) -> None:
    composed = compose(letter)
    assert (composed.calendar, composed.calendar_method) == ("", "")


def test_a_series_that_waits_for_an_answer_says_so(compose: Compose, cast: Cast) -> None:
    cast.checkup.needs_approval = True
    composed = compose("series-booked")
    assert composed.subject.startswith("3 visits asked for")
    assert "You get an answer to each of these visits." in composed.text


def test_a_series_letter_lists_what_is_to_come_when_it_leaves(compose: Compose, cast: Cast) -> None:
    assert compose("series-changed").text.count(", 09:00 (New York time)\n    with Dr Min Cho") == 2


def test_a_confirmed_address_is_not_asked_again(compose: Compose, app: Flask, cast: Cast) -> None:
    compose("account-confirm")
    db.session.execute(update(User).where(User.id == cast.ana.user_id).values(confirmed_at=cast.at(9)))
    message_id = db.session.scalars(select(OutboxMessage.id)).one()
    with pytest.raises(outbox.NoLongerTrue):
        letters.compose(message_id, settings=app.config["FRONTDESK"])


def test_a_letter_that_was_overtaken_before_it_left_is_skipped_and_the_newer_one_leaves(
    app: Flask, cast: Cast, sent: list[Any]
) -> None:
    visit = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
    )
    booking.reschedule_appointment(visit.id, start=cast.at(14), actor=cast.ana.actor)
    assert send_due() == 1
    assert [message["Subject"].rpartition(" ")[2] for message in sent] == ["14:00"]
    outcomes = db.session.execute(select(OutboxMessage.letter, OutboxMessage.outcome).order_by(OutboxMessage.id)).all()
    assert [tuple(row) for row in outcomes] == [("appointment-booked", "skipped"), ("appointment-moved", "sent")]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    "Ana\r\nBcc: everybody@example.com\r\n\r\n<html>",
    "Ana\u202egnp.exe",
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:24])
def test_I4_nothing_that_somebody_typed_gets_out_of_its_place(
    compose: Compose, cast: Cast, sent: list[Any], name: str
) -> None:
    """Also when a row came into the database by another way than our forms, which clean it."""
    cast.patient(cast.ana).given_name = name
    cast.location.name = cast.location.address = cast.location.phone = name[:40]
    cast.practitioner(cast.dr_cho).name = name
    db.session.commit()
    composed = compose("appointment-booked")
    assert not re.search(r"<script|<img", composed.html)
    assert "Hello 49" not in composed.text
    assert f"Hello {' '.join(name.split())} Silva," in reader_sees(composed.html)
    assert len(Calendar.from_ical(composed.calendar).events) == 1
    assert send_due() == 1
    (message,) = sent
    assert message["To"] == "ana@example.com"
    assert message["Bcc"] is None
    assert message["Subject"] == composed.subject


@pytest.fixture
def sent(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[Any]:
    """The letters as they leave, parsed again; through the backend that writes them into a folder."""

    class Sent(list[Any]):
        def __iter__(self) -> Any:
            files = sorted(tmp_path.glob("*.eml"))
            return iter([email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files])

    monkeypatch.setattr(app.extensions["mailman"], "file_path", str(tmp_path))
    return Sent()


def test_an_address_with_a_line_break_is_refused_by_the_mailer_and_not_sent(cast: Cast, sent: list[Any]) -> None:
    cast.patient(cast.ana).email = "ana@example.com\r\nBcc: everybody@example.com"
    db.session.commit()
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
    )
    assert send_due() == 0
    assert list(sent) == []
