"""A reminder for each rule, at its time, once, and only while it is true."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import Range

from server.errors import Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment, ClinicSettings, OutboxMessage
from server.services import booking, letters, links, outbox, reminders, steps
from server.services.access import visitor
from server.utils import clock
from tests.cast import ZONE, Cast, Person

DAY = 1440


@pytest.fixture
def day_before(cast: Cast) -> Any:
    return rule(cast, minutes_before=DAY)


def rule(cast: Cast, **values: Any) -> Any:
    return reminders.create_rule({"minutes_before": DAY, **values}, actor=cast.olga.actor)


def book(cast: Cast, who: Person | None = None, hour: int = 11, **over: Any) -> Appointment:
    return booking.book_appointment(
        service_id=over.pop("service_id", cast.checkup_id),
        practitioner_id=cast.dr_cho.practitioner_id,
        start=over.pop("start", cast.at(hour, weekday=4)),
        actor=(who or cast.ana).actor,
        **over,
    )


def waiting() -> list[OutboxMessage]:
    query = select(OutboxMessage).where(OutboxMessage.rule_id.is_not(None), OutboxMessage.outcome.is_(None))
    return list(db.session.scalars(query.order_by(OutboxMessage.due_at).execution_options(populate_existing=True)))


def local(instant: datetime, zone: str = ZONE) -> datetime:
    return clock.local(instant, zone).replace(tzinfo=None)


def test_a_booking_brings_one_reminder_for_each_rule_that_fits(cast: Cast, day_before: Any) -> None:
    rule(cast, minutes_before=120, channel="sms")
    rule(cast, minutes_before=60, service_id=cast.physio_id)
    visit = book(cast)
    first, second = waiting()
    assert [first.channel, second.channel] == ["email", "sms"]
    assert first.due_at == visit.start - timedelta(days=1)
    assert second.due_at == visit.start - timedelta(hours=2)


def test_what_is_past_when_somebody_books_is_not_written(cast: Cast) -> None:
    rule(cast, minutes_before=40 * DAY)
    book(cast)
    assert waiting() == []


@pytest.mark.parametrize(
    ("hour", "minutes_before", "due", "days"),
    [
        (11, DAY, time(11), -1),  # by day: at its own minute
        (9, DAY + 120, time(8), -1),  # at seven in the morning: when the night is over
        (16, DAY - 7 * 60, time(8), 0),  # at eleven in the evening: in the morning
        (9, 120, time(8), 0),  # at seven on the day itself: at eight, an hour ahead
    ],
)
def test_nobody_is_woken(cast: Cast, hour: int, minutes_before: int, due: time, days: int) -> None:
    rule(cast, minutes_before=minutes_before)
    visit = book(cast, hour=hour)
    (message,) = waiting()
    assert local(message.due_at) == datetime.combine(local(visit.start).date() + timedelta(days=days), due)


def test_when_the_morning_is_too_late_it_is_the_evening_before(cast: Cast) -> None:
    db.session.execute(update(ClinicSettings).values(quiet_until=time(8, 30)))
    rule(cast, minutes_before=120)
    visit = book(cast, hour=9)
    evening = datetime.combine(local(visit.start).date() - timedelta(days=1), time(20, 59))
    assert local(waiting()[0].due_at) == evening


def test_the_night_is_that_of_the_patient(cast: Cast, day_before: Any) -> None:
    reminders.set_preferences(cast.ana.patient_id, {"time_zone": "Asia/Tokyo"}, actor=cast.ana.actor)
    visit = book(cast)  # eleven in the morning in New York is after midnight in Tokyo
    (message,) = waiting()
    assert local(message.due_at, "Asia/Tokyo").time() == time(8)
    assert message.due_at < visit.start


def test_no_quiet_hours_when_they_begin_as_they_end(cast: Cast) -> None:
    db.session.execute(update(ClinicSettings).values(quiet_from=time(0), quiet_until=time(0)))
    rule(cast, minutes_before=DAY + 5 * 60)
    visit = book(cast)
    assert waiting()[0].due_at == visit.start - timedelta(hours=29)


def test_a_moved_visit_gets_new_reminders_and_loses_the_old_ones(cast: Cast, day_before: Any) -> None:
    visit = book(cast)
    moved = booking.reschedule_appointment(visit.id, start=cast.at(14, weekday=4), actor=cast.ana.actor)
    (message,) = waiting()
    assert (message.due_at, message.sequence) == (moved.start - timedelta(days=1), 1)
    told = select(OutboxMessage.sequence, OutboxMessage.outcome).where(OutboxMessage.rule_id.is_not(None))
    outcomes = db.session.execute(told)
    assert sorted(outcomes.all()) == [(0, "skipped"), (1, None)]


def test_a_cancelled_visit_has_none_left(cast: Cast, day_before: Any) -> None:
    booking.cancel_appointment(book(cast).id, actor=cast.ana.actor)
    assert waiting() == []


def test_a_request_has_none_until_it_is_approved(cast: Cast, day_before: Any) -> None:
    cast.checkup.needs_approval = True
    db.session.commit()
    asked = book(cast)
    assert waiting() == []
    steps.approve_request(asked.id, actor=cast.dana.actor)
    assert len(waiting()) == 1


def test_C7_a_lost_row_is_written_again_and_none_twice(cast: Cast, day_before: Any) -> None:
    book(cast)
    db.session.query(OutboxMessage).filter(OutboxMessage.rule_id.is_not(None)).delete()
    db.session.commit()
    assert (reminders.reconcile(), reminders.reconcile()) == (1, 0)
    assert len(waiting()) == 1


def test_a_new_rule_reaches_what_is_booked_and_one_that_goes_takes_its_reminders(cast: Cast) -> None:
    book(cast)
    made = rule(cast)
    assert len(waiting()) == 1
    reminders.delete_rule(made.id, actor=cast.olga.actor)
    assert waiting() == []
    assert reminders.reconcile() == 0
    with pytest.raises(NotAllowed):
        reminders.delete_rule(made.id, actor=cast.dana.actor)


# --- what leaves ---


def leave(app: Flask) -> letters.Letter:
    (message,) = waiting()
    return letters.compose(message.id, settings=app.config["FRONTDESK"])


def test_the_reminder_says_when_and_where_and_never_why(app: Flask, cast: Cast, day_before: Any) -> None:
    visit = book(cast, reason="A secret rash")
    letter = leave(app)
    said = f"{letter.subject} {letter.text} {letter.html}"
    assert "11:00 (New York time)" in letter.text
    assert "Riverside" in said
    assert not any(secret in said for secret in ("secret rash", "Check-up"))
    assert letter.unsubscribe.startswith(app.config["FRONTDESK"].base_url)
    assert str(visit.id) not in said


@pytest.mark.parametrize("what", ["late", "begun", "unwanted", "moved"])
def test_what_is_of_no_use_any_more_is_not_sent(app: Flask, cast: Cast, day_before: Any, what: str) -> None:
    visit = book(cast)
    error: type[Exception] = outbox.Missed
    if what == "late":
        db.session.execute(update(OutboxMessage).values(due_at=clock.now() - timedelta(hours=7)))
    elif what == "begun":
        past = Range(clock.now() - timedelta(minutes=5), clock.now(), bounds="[)")
        db.session.execute(update(Appointment).values(during=past, occupied=past))
    else:
        error = outbox.NoLongerTrue
        values = {"wants_email_reminders": False} if what == "unwanted" else {}
        if values:
            cast.patient(cast.ana).wants_email_reminders = False
        else:
            db.session.execute(update(Appointment).values(sequence=7))
    db.session.commit()
    with pytest.raises(error):
        leave(app)
    assert visit.status == "booked"


def test_a_link_confirms_and_cancels_and_an_old_one_says_what_happened(app: Flask, cast: Cast) -> None:
    key = app.config["SECRET_KEY"]
    visit = book(cast)
    token = links.make("visit", visit.id, visit.sequence, secret_key=key)
    link = links.visit_of(token, secret_key=key, asker=visitor())
    assert (link.is_current, link.actor.role) == (True, "link")
    confirmed = booking.confirm_appointment(visit.id, actor=link.actor)
    assert confirmed.confirmed_at is not None
    booking.reschedule_appointment(visit.id, start=cast.at(14, weekday=4), actor=cast.ana.actor)
    assert not links.visit_of(token, secret_key=key, asker=visitor()).is_current
    for forged in (token[:-2], links.make("unsubscribe", visit.id, 0, secret_key=key), "x"):
        with pytest.raises(NotVisible):
            links.visit_of(forged, secret_key=key, asker=visitor())


def test_ana_wants_no_more_reminders_and_the_waiting_one_is_gone(app: Flask, cast: Cast, day_before: Any) -> None:
    book(cast)
    key = app.config["SECRET_KEY"]
    token = links.make("unsubscribe", cast.ana.patient_id, secret_key=key)
    links.unsubscribe(token, secret_key=key, asker=visitor())
    assert waiting() == []
    assert book(cast, hour=14).status == "booked"
    assert waiting() == []


# --- after a visit ---


def take(visit: Appointment, cast: Cast, *taken: str) -> None:
    for step in taken:
        steps.take_step(visit.id, step=step, actor=cast.dana.actor)


def test_a_visit_that_took_place_is_followed_by_a_letter_and_no_other_is(cast: Cast) -> None:
    rule(cast, kind="after", minutes_before=2 * DAY)
    rule(cast, kind="noshow", minutes_before=60)
    visit = book(cast)
    assert waiting() == [], "nothing has happened yet"
    take(visit, cast, "arrive", "complete")
    (message,) = waiting()
    ended = db.session.get_one(Appointment, visit.id, populate_existing=True).ended_at
    assert message.letter == "appointment-follow-up"
    assert ended is not None
    assert ended + timedelta(days=2) <= message.due_at <= ended + timedelta(days=3), "or when the night is over"
    assert reminders.reconcile() == 0


def test_who_did_not_come_gets_a_letter_and_not_after_an_undo(cast: Cast) -> None:
    rule(cast, kind="noshow", minutes_before=60)
    visit = book(cast)
    take(visit, cast, "no-show")
    assert [message.letter for message in waiting()] == ["appointment-missed"]
    take(visit, cast, "undo")
    assert waiting() == []
    take(visit, cast, "no-show")
    assert len(waiting()) == 1, "and once more when it was right after all"


def test_a_letter_after_a_visit_that_was_undone_meanwhile_does_not_leave(app: Flask, cast: Cast) -> None:
    rule(cast, kind="after")
    visit = book(cast)
    take(visit, cast, "arrive", "complete")
    db.session.execute(update(Appointment).values(status="arrived"))
    db.session.commit()
    with pytest.raises(outbox.NoLongerTrue):
        leave(app)
    assert visit.patient_id == cast.ana.patient_id


def test_only_a_visit_that_is_to_come_can_be_confirmed(cast: Cast) -> None:
    with pytest.raises(Invalid):
        rule(cast, kind="after", asks_to_confirm=True)


def test_who_has_confirmed_is_reminded_and_not_asked_again(app: Flask, cast: Cast) -> None:
    rule(cast, asks_to_confirm=True)
    visit = book(cast)
    assert waiting()[0].letter == "appointment-confirm"
    assert "Will you come" in leave(app).subject
    booking.confirm_appointment(visit.id, actor=cast.ana.actor)
    assert "Your visit on" in leave(app).subject


def test_who_wants_reminders_again_gets_those_that_are_still_to_come(cast: Cast, day_before: Any) -> None:
    book(cast)
    for wants in (False, True):
        reminders.set_preferences(cast.ana.patient_id, {"wants_email_reminders": wants}, actor=cast.ana.actor)
        assert len(waiting()) == wants
