"""The front desk and the outbox: what goes out, what failed, and another try."""

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.errors import NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment, AuditEvent, OutboxMessage, User
from server.services import booking, messages, outbox, reminders
from server.services.rules import WrongState
from server.services.transaction import atomic
from server.utils import clock
from server.utils.tokens import new_id
from tests.cast import Cast


@pytest.fixture
def visit(cast: Cast) -> Appointment:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        reason="A secret rash",
        actor=cast.ana.actor,
    )


@pytest.fixture
def message_id(visit: Appointment) -> UUID:
    return db.session.scalars(select(OutboxMessage.id)).one()


def end(message_id: UUID, outcome: str, **values: object) -> None:
    changed = {"outcome": outcome, "outcome_at": clock.now(), "detail": "No.", "attempts": 8, **values}
    db.session.execute(update(OutboxMessage).where(OutboxMessage.id == message_id).values(**changed))
    db.session.commit()


def actions(object_id: UUID) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.object_id == object_id).order_by(AuditEvent.id)
    return list(db.session.scalars(query))


def test_dana_has_a_failed_letter_tried_again_and_it_leaves(cast: Cast, message_id: UUID) -> None:
    end(message_id, "failed", due_at=clock.now() - timedelta(days=1))
    before = clock.now() - timedelta(seconds=5)
    again = messages.retry(message_id, actor=cast.dana.actor)
    assert (again.outcome, again.outcome_at, again.attempts, again.leased_until) == (None, None, 0, None)
    assert again.due_at > before
    assert actions(message_id) == ["message.retried"]
    sent: list[UUID] = []
    outbox.deliver_due(sent.append)
    assert sent == [message_id]


@pytest.mark.parametrize("outcome", ["waiting", "sent", "skipped", "missed"])
def test_only_what_failed_is_tried_again(cast: Cast, message_id: UUID, outcome: str) -> None:
    if outcome != "waiting":
        end(message_id, outcome)
    with pytest.raises(WrongState) as refused:
        messages.retry(message_id, actor=cast.dana.actor)
    assert refused.value.extra["state"] == outcome
    assert actions(message_id) == []


def test_whoever_is_not_of_the_front_desk_neither_reads_nor_retries(app: Flask, cast: Cast, message_id: UUID) -> None:
    end(message_id, "failed")
    settings = app.config["FRONTDESK"]
    week = {"from_at": clock.now() - timedelta(days=7), "to_at": clock.now() + timedelta(days=7)}
    for person in (cast.ana, cast.dr_cho):
        for forbidden in (
            lambda actor: messages.retry(message_id, actor=actor),
            lambda actor: messages.read_message(message_id, settings=settings, actor=actor),
            lambda actor: messages.list_lines(actor=actor, limit=10, **week),
            lambda actor: messages.list_troubles(actor=actor, from_at=clock.now(), limit=10),
        ):
            with pytest.raises(NotAllowed):
                forbidden(person.actor)
    with pytest.raises(NotVisible):
        messages.retry(new_id(), actor=cast.olga.actor)


def test_the_story_names_who_and_when_and_is_on_record(app: Flask, cast: Cast, message_id: UUID) -> None:
    end(message_id, "failed")
    messages.retry(message_id, actor=cast.dana.actor)
    story = messages.read_message(message_id, settings=app.config["FRONTDESK"], actor=cast.olga.actor)
    assert (story.line.reader, story.line.visit_start) == ("Ana Silva", cast.at(9))
    assert [name for _, name in story.retries] == ["Dana"]
    read = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "message.read")).one()
    assert (read.object_id, read.patient_id) == (message_id, cast.ana.patient_id)


def test_G6_the_preview_hands_nobody_the_patients_links(app: Flask, cast: Cast, message_id: UUID) -> None:
    settings = app.config["FRONTDESK"]
    story = messages.read_message(message_id, settings=settings, actor=cast.dana.actor)
    assert story.letter is not None
    for form in (story.letter.text, story.letter.html):
        assert "Dr Min Cho" in form
        assert "visit-links" not in form
        assert "secret rash" not in form
    db.session.execute(update(User).where(User.id == cast.bea.user_id).values(confirmed_at=None))
    with atomic():
        outbox.post("account-confirm", user_id=cast.bea.user_id)
    other = db.session.scalars(select(OutboxMessage.id).where(OutboxMessage.user_id == cast.bea.user_id)).one()
    shown = messages.read_message(other, settings=settings, actor=cast.dana.actor)
    assert shown.letter is not None
    assert shown.line.reader == "Bea Torres"
    assert "/confirm" not in shown.letter.text + shown.letter.html, "dana could confirm bea's address"


def test_a_letter_that_was_overtaken_says_why_it_would_not_leave(app: Flask, cast: Cast, message_id: UUID) -> None:
    visit_id = db.session.scalars(select(Appointment.id)).one()
    booking.cancel_appointment(visit_id, actor=cast.ana.actor)
    story = messages.read_message(message_id, settings=app.config["FRONTDESK"], actor=cast.dana.actor)
    assert (story.letter, story.would_not_leave) == (None, "The appointment has changed since.")


def test_lines_are_filtered_and_counted(cast: Cast, message_id: UUID) -> None:
    reminders.create_rule({"minutes_before": 60}, actor=cast.olga.actor)
    week = {"from_at": clock.now() - timedelta(days=1), "to_at": clock.now() + timedelta(days=30)}
    end(message_id, "missed")
    lines, counts = messages.list_lines(actor=cast.dana.actor, limit=10, **week)
    assert [line.message.letter for line in lines] == ["appointment-booked", "appointment-reminder"]
    assert counts == {"missed": 1, "waiting": 1}
    lines, _ = messages.list_lines(actor=cast.dana.actor, outcome="waiting", limit=10, **week)
    assert [line.message.letter for line in lines] == ["appointment-reminder"]
    troubles = messages.list_troubles(actor=cast.dana.actor, from_at=week["from_at"], limit=10)
    assert [line.message.id for line in troubles] == [message_id]


# --- a rule tried out ---


@pytest.mark.parametrize("channel", ["email", "sms"])
def test_olga_is_sent_a_test_about_nobody(app: Flask, cast: Cast, visit: Appointment, channel: str) -> None:
    rule = reminders.create_rule(
        {"minutes_before": 1440, "channel": channel, "asks_to_confirm": True}, actor=cast.olga.actor
    )
    reminders.send_test(rule.id, actor=cast.olga.actor)
    written = db.session.scalars(select(OutboxMessage).where(OutboxMessage.user_id == cast.olga.user_id)).one()
    assert (written.channel, written.patient_id, written.appointment_id) == ("email", None, None)
    story = messages.read_message(written.id, settings=app.config["FRONTDESK"], actor=cast.olga.actor)
    assert story.letter is not None
    assert story.letter.to == "olga@example.com"
    assert story.letter.subject.startswith("Test")
    said = story.letter.text + story.letter.html
    assert not any(name in said for name in ("Ana", "Min Cho", "Riverside"))
    assert ("Reply 1 to confirm" in said) == (channel == "sms")
    assert actions(rule.id)[-1] == "reminder-rule.tested"


def test_a_rule_that_is_deleted_is_neither_listed_nor_tried(cast: Cast) -> None:
    rule = reminders.create_rule({"minutes_before": 1440}, actor=cast.olga.actor)
    with pytest.raises(NotAllowed):
        reminders.send_test(rule.id, actor=cast.ana.actor)
    reminders.delete_rule(rule.id, actor=cast.olga.actor)
    assert reminders.list_rules(actor=cast.dana.actor) == []
    for gone in (reminders.send_test, reminders.delete_rule):
        with pytest.raises(NotVisible):
            gone(rule.id, actor=cast.olga.actor)
