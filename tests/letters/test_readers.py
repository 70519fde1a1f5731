"""Each reader in their own language and time; and letters that say why the clinic moved or cancelled."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import select, update

from server.errors import Invalid
from server.extensions import db
from server.models import Appointment, OutboxMessage, User
from server.services import booking, carrying_out, closures, letters, outbox, reminders, sessions, set_up, steps
from server.services.letters import Letter
from server.services.transaction import atomic
from server.utils import clock
from tests.cast import Cast, Person
from tests.counting import counted


def book(cast: Cast, who: Person | None = None, hour: int = 9) -> UUID:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(hour),
        actor=(who or cast.ana).actor,
    ).id


def newest(app: Flask) -> Letter:
    message_id = db.session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id.desc())).first()
    assert message_id
    return letters.compose(message_id, settings=app.config["FRONTDESK"])


@pytest.mark.parametrize(
    ("chosen", "of_the_clinic", "heading"),
    [
        ("es", "de", "Su cita está reservada"),
        ("fr-CA", "de", "Votre rendez-vous est confirmé"),
        (None, "de", "Ihr Termin ist gebucht"),
        ("pt", "ar", "تم حجز موعدكم"),
        (None, "en", "Your visit is booked"),
    ],
)
def test_ana_reads_her_language_or_else_the_clinics(
    app: Flask, cast: Cast, chosen: str | None, of_the_clinic: str, heading: str
) -> None:
    set_up.update_settings({"language": of_the_clinic}, if_version=None, actor=cast.olga.actor)
    cast.patient(cast.ana).language = chosen
    db.session.commit()
    book(cast)
    letter = newest(app)
    assert heading in letter.text.splitlines()
    assert f'lang="{letter.language}"' in letter.html


def test_the_calendar_part_is_in_her_language_too(app: Flask, cast: Cast) -> None:
    cast.patient(cast.ana).language = "de"
    db.session.commit()
    book(cast)
    assert Calendar.from_ical(newest(app).calendar).events[0]["SUMMARY"] == "Termin: Frontdesk"


def test_D2_who_lives_elsewhere_reads_both_times(app: Flask, cast: Cast) -> None:
    cast.patient(cast.ana).time_zone = "Asia/Tokyo"
    db.session.commit()
    book(cast)
    there = clock.local(cast.at(9), "Asia/Tokyo")
    letter = newest(app)
    assert letter.subject.endswith(" at 09:00 (New York time)")
    for form in (letter.text, letter.html):
        assert f"In your time zone: {there:%A}, {there.day} {there:%B %Y}, {there:%H:%M} (Tokyo time)" in form


def test_what_she_chooses_holds_for_letters_about_her_account(app: Flask, cast: Cast) -> None:
    reminders.set_preferences(cast.ana.patient_id, {"language": "fr"}, actor=cast.ana.actor)
    with atomic():
        outbox.post("account-exists", user_id=cast.ana.user_id)
    assert newest(app).subject == "Vous avez déjà un compte"
    assert db.session.get_one(User, cast.ana.user_id).language == "fr"
    with pytest.raises(Invalid):
        reminders.set_preferences(cast.ana.patient_id, {"language": "tlh"}, actor=cast.ana.actor)


@pytest.mark.parametrize(("zone", "named"), [("Asia/Tokyo", "Tokyo time"), (None, "New York time")])
def test_a_sign_in_is_told_in_the_time_of_the_reader(app: Flask, cast: Cast, zone: str | None, named: str) -> None:
    cast.patient(cast.ana).time_zone = zone
    with atomic():
        outbox.post("account-new-sign-in", user_id=cast.ana.user_id)
    assert f"({named})" in newest(app).text


def leave(cast: Cast, *, of: Person | None, action: str, **more: Any) -> None:
    """Somebody is away on the day of ana's visit, or everybody; and what was decided about it is done."""
    visit_id = db.session.scalars(select(Appointment.id).order_by(Appointment.id)).first()
    closures.create_closure(
        kind="leave" if of else "holiday",
        practitioner_id=of.practitioner_id if of else None,
        start=cast.at(0),
        end=cast.at(23),
        plan=[{"appointment_id": visit_id, "action": action, **more}],
        actor=cast.dana.actor,
    )
    assert carrying_out.carry_out_due() == 1


def test_who_is_moved_for_a_leave_reads_who_is_away(app: Flask, cast: Cast) -> None:
    book(cast)
    colleague = {"start": cast.at(9), "practitioner_id": cast.dr_diaz.practitioner_id}
    leave(cast, of=cast.dr_cho, action="move", **colleague)
    letter = newest(app)
    assert "Dr Min Cho is away at the time that you had. We are sorry." in letter.text
    assert "with Dr Eva Diaz" in letter.text
    assert "/visit-links/" in letter.text
    assert letter.calendar_method == "REQUEST"


def test_who_is_cancelled_for_a_leave_reads_who_is_away(app: Flask, cast: Cast) -> None:
    book(cast)
    leave(cast, of=cast.dr_cho, action="cancel")
    letter = newest(app)
    assert "Dr Min Cho is away at that time. We are sorry." in letter.text
    assert "Choose another time" in letter.text
    assert letter.calendar_method == "CANCEL"


def test_when_the_clinic_is_closed_nobody_is_named(app: Flask, cast: Cast) -> None:
    book(cast)
    leave(cast, of=None, action="cancel")
    assert "We cannot see you at that time. We are sorry." in newest(app).text


def test_a_place_in_a_group_is_cancelled_for_a_leave_by_name(app: Flask, cast: Cast) -> None:
    cast.checkup.capacity = 3
    db.session.commit()
    group = sessions.create_session(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        location_id=cast.location_id,
        start=cast.at(9),
        capacity=3,
        actor=cast.dana.actor,
    )
    sessions.book_seat(group.id, actor=cast.ana.actor)
    leave(cast, of=cast.dr_cho, action="cancel")
    assert "Dr Min Cho is away at that time." in newest(app).text


def test_a_request_that_is_moved_is_told_as_a_request(app: Flask, cast: Cast) -> None:
    cast.checkup.needs_approval = True
    db.session.commit()
    booking.reschedule_appointment(book(cast), start=cast.at(14), actor=cast.ana.actor)
    letter = newest(app)
    assert "We have your request" in letter.text
    assert letter.subject.endswith("at 14:00")


def after(cast: Cast, kind: str, *taken: str, channel: str = "email") -> UUID:
    """The message of a rule of this kind about ana's visit, at which these steps were taken."""
    values = {"minutes_before": 60, "kind": kind, "channel": channel}
    rule = reminders.create_rule(values, actor=cast.olga.actor)
    visit_id = book(cast)
    for step in taken:
        steps.take_step(visit_id, step=step, actor=cast.dana.actor)
    return db.session.scalars(select(OutboxMessage.id).where(OutboxMessage.rule_id == rule.id)).one()


def test_a_visit_that_was_missed_is_told_until_the_desk_takes_it_back(app: Flask, cast: Cast) -> None:
    message_id = after(cast, "noshow", "no-show")
    letter = letters.compose(message_id, settings=app.config["FRONTDESK"])
    assert "we did not see you" in letter.text
    assert letter.unsubscribe
    db.session.execute(update(Appointment).values(status="booked"))
    with pytest.raises(outbox.NoLongerTrue):
        letters.compose(message_id, settings=app.config["FRONTDESK"])
    db.session.execute(update(Appointment).values(status="noshow"))
    steps.take_step(db.session.scalars(select(Appointment.id)).one(), step="undo", actor=cast.dana.actor)
    assert db.session.get(OutboxMessage, message_id, populate_existing=True) is None


def test_a_follow_up_is_not_sent_long_after_nor_to_who_does_not_want_it(app: Flask, cast: Cast) -> None:
    message_id = after(cast, "after", "arrive", "complete")
    assert letters.compose(message_id, settings=app.config["FRONTDESK"]).subject.startswith("After your visit on")
    db.session.execute(update(OutboxMessage).values(due_at=clock.now() - timedelta(days=4)))
    with pytest.raises(outbox.Missed):
        letters.compose(message_id, settings=app.config["FRONTDESK"])
    cast.patient(cast.ana).wants_email_reminders = False
    db.session.flush()
    with pytest.raises(outbox.NoLongerTrue):
        letters.compose(message_id, settings=app.config["FRONTDESK"])


def test_after_a_visit_a_text_is_sent_when_the_rule_says_so(app: Flask, cast: Cast) -> None:
    cast.patient(cast.ana).phone = "+1 212 555 0141"
    cast.patient(cast.ana).wants_sms_reminders = True
    letter = letters.compose(after(cast, "noshow", "no-show", channel="sms"), settings=app.config["FRONTDESK"])
    assert (letter.to, letter.html) == ("+1 212 555 0141", "")
    assert "Check-up" not in letter.text


def test_a_batch_of_letters_asks_as_little_as_two_letters(app: Flask, cast: Cast) -> None:
    reminders.create_rule({"minutes_before": 60}, actor=cast.olga.actor)
    for hour in (9, 10, 11, 13, 14, 15):
        book(cast, hour=hour)
    by_rule = select(OutboxMessage.id).where(OutboxMessage.rule_id.is_not(None)).order_by(OutboxMessage.due_at)
    ids = list(db.session.scalars(by_rule))
    asked = []
    for batch in (ids[:2], ids):
        with counted() as statements:
            composed = letters.compose_all(batch, settings=app.config["FRONTDESK"])
        assert all(isinstance(letter, Letter) for letter in composed.values()), composed
        asked.append(len(statements))
    assert len(ids) == 6
    assert asked[0] == asked[1]
