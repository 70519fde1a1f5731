"""People reply to texts: the gateway tells us, signed, and writes back what we say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from server.extensions import db
from server.jobs.timetable import BY_NAME
from server.models import Appointment, AuditEvent, ClosedAddress, OutboxMessage, TextReply
from server.services import booking, reminders, replies
from server.utils import clock
from server.web.signatures import json_signature, twilio_signature
from tests.cast import Cast
from tests.delivery.phone import PHONE, TOKEN, Phone, Twilio, events, now, send_texts
from tests.factories import create_patient
from tests.gateway import Gateway


def test_ana_confirms_with_1(phone: Phone, cast: Cast, remind: Callable[..., Appointment]) -> None:
    visit = remind(cast.ana)
    answer = phone.says("1")
    assert answer.startswith("Frontdesk: thank you. Ana's visit on Tuesday, ")
    assert answer.endswith(", 09:00 is confirmed.")
    assert now(visit).confirmed_at is not None
    assert events(visit, "appointment.confirmed") == [("text", cast.ana.patient_id)]
    assert "Check-up" not in answer


@pytest.mark.parametrize(
    ("language", "says"),
    [("de", "danke. Der Termin von Ana am Dienstag, "), ("pt", "thank you. Ana's visit on Tuesday, ")],
)
def test_ana_is_answered_in_her_language_or_else_the_clinics(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment], language: str, says: str
) -> None:
    cast.patient(cast.ana).language = language
    remind(cast.ana)
    assert phone.says("1").startswith(f"Frontdesk: {says}")
    assert ("rufen Sie" in phone.says("help")) == (language == "de")


@pytest.mark.parametrize("words", ["2", " 2. ", "2!", "٢", "２"])
def test_ana_cancels_with_2(phone: Phone, cast: Cast, remind: Callable[..., Appointment], words: str) -> None:
    visit = remind(cast.ana)
    assert phone.says(words).endswith(", 09:00 is cancelled.")
    assert now(visit).status == "cancelled"
    assert events(visit, "appointment.cancelled") == [("text", cast.ana.patient_id)]


@pytest.mark.parametrize("words", ["2 weeks later please", "12", "21", "cancel", "1 or 2?", "", "👍", "3", "1 2", "no"])
def test_what_is_not_plainly_an_answer_does_nothing(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment], words: str
) -> None:
    visit = remind(cast.ana)
    assert "nobody reads texts here. 1 confirms and 2 cancels" in phone.says(words)
    assert "call +1 212 555 0100" in phone.says(words)
    assert (now(visit).status, now(visit).confirmed_at) == ("booked", None)


def test_two_children_with_their_mothers_phone_are_never_mistaken(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    first, second = remind(cast.ana), remind(cast.bea, hour=10)
    answer = phone.says("2")
    assert "which visit do you mean? Reply 2A for Ana on Tue" in answer
    assert "2B for Bea on Tue" in answer
    assert {now(first).status, now(second).status} == {"booked"}
    assert phone.says("2B").endswith(", 10:00 is cancelled.")
    assert (now(first).status, now(second).status) == ("booked", "cancelled")
    repeat = phone.says("2")
    assert "Bea's visit" in repeat
    assert repeat.endswith("is cancelled.")
    assert now(first).status == "booked", "pressing 2 once more is the same answer again"
    assert phone.says("1a").endswith(", 09:00 is confirmed.")
    assert now(first).confirmed_at is not None


def test_only_a_letter_answers_the_question(phone: Phone, cast: Cast, remind: Callable[..., Appointment]) -> None:
    first, second = remind(cast.ana), remind(cast.bea, hour=10)
    assert "nobody reads texts here" in phone.says("B"), "nothing was asked yet"
    assert "which visit" in phone.says("1")
    assert phone.says("b").endswith(", 10:00 is confirmed.")
    assert (now(first).confirmed_at is None, now(second).confirmed_at is None) == (True, False)


def test_control_without_the_memory_of_replies_a_second_2_cancels_the_other_childs_visit(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "_same_before", lambda *_: None)
    first, second = remind(cast.ana), remind(cast.bea, hour=10)
    for words in ("2", "2B", "2"):
        phone.says(words)
    assert {now(first).status, now(second).status} == {"cancelled"}


def test_the_letters_of_a_question_stay_what_they_were(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    """An earlier visit comes in between the question and its answer; A still means what it said."""
    first, second = remind(cast.ana, hour=10), remind(cast.bea, hour=11)
    assert "2A for Ana" in phone.says("2")
    third = remind(cast.bea, hour=9)
    assert "10:00 is cancelled" in phone.says("2A")
    assert [now(visit).status for visit in (first, second, third)] == ["cancelled", "booked", "booked"]


def test_one_visit_with_two_reminders_is_one_visit(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    reminders.create_rule({"minutes_before": 2880, "channel": "sms"}, actor=cast.olga.actor)
    visit = remind(cast.ana)
    assert db.session.scalar(select(func.count()).where(OutboxMessage.sent_to == PHONE)) == 2
    assert "is confirmed" in phone.says("1")
    assert now(visit).confirmed_at is not None


def test_two_visits_of_ana_both_of_which_she_was_reminded_of_are_asked_about(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    first, second = remind(cast.ana), remind(cast.ana, hour=14)
    assert "2A for Ana on Tue" in phone.says("2")
    assert {now(first).status, now(second).status} == {"booked"}


def test_the_same_text_twice_acts_once_and_gets_the_same_answer(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    visit = remind(cast.ana)
    answers = {phone.says("2", text_id="SM1") for _ in range(3)}
    assert len(answers) == 1
    assert events(visit, "appointment.cancelled") == [("text", cast.ana.patient_id)]
    assert db.session.scalar(select(func.count()).select_from(TextReply)) == 1


def test_a_repeat_is_known_by_its_id_even_when_another_visit_has_come_since(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    first = remind(cast.ana)
    phone.says("2", text_id="SM1")
    second = remind(cast.ana, hour=11)
    assert "09:00 is cancelled" in phone.says("2", text_id="SM1")
    assert (now(first).status, now(second).status) == ("cancelled", "booked")
    assert "11:00 is cancelled" in phone.says("2", text_id="SM2"), "a new text about a new visit"


def test_a_reply_for_nothing_is_told_so(phone: Phone, cast: Cast) -> None:
    assert phone.says("1") == "Frontdesk: we know of no visit that this is about. Please call +1 212 555 0100."


def test_a_late_reply_is_told_how_things_stand(phone: Phone, cast: Cast, remind: Callable[..., Appointment]) -> None:
    visit = remind(cast.ana)
    booking.reschedule_appointment(visit.id, start=cast.at(15), actor=cast.dana.actor)
    assert ", 15:00 is how it stands now; our text was older" in phone.says("2")
    assert now(visit).status == "booked"
    booking.cancel_appointment(visit.id, actor=cast.dana.actor)
    assert phone.says("1").endswith(", 15:00 is cancelled.")


def test_after_the_cut_off_a_text_cancels_nothing(phone: Phone, cast: Cast, remind: Callable[..., Appointment]) -> None:
    cast.checkup.cancel_cutoff_minutes = 60 * 24 * 30
    db.session.commit()
    visit = remind(cast.ana)
    assert "cannot be changed by text any more. Please call +1 212 555 0100." in phone.says("2")
    assert now(visit).status == "booked"


def test_whoever_has_the_number_of_old_answers_for_nobody(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    visit = remind(cast.ana)
    assert "no visit" in phone.says("2", number="+12125550199"), "another phone"
    cast.patient(cast.ana).phone = "+1 212 555 0142"
    db.session.commit()
    phone.says("2")
    assert now(visit).status == "booked"


def test_stop_ends_texts_for_everybody_with_this_phone_and_start_brings_them_back(
    phone: Phone, gateway: Gateway, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    remind(cast.ana)
    remind(cast.bea, hour=10)
    assert "no more texts" in phone.says("Stop.")
    assert phone.says("STOP") == "", "nothing more is said"
    found = select(AuditEvent.patient_id, AuditEvent.role).where(AuditEvent.action == "texts.stopped")
    assert {tuple(row) for row in db.session.execute(found)} == {
        (cast.ana.patient_id, "text"),
        (cast.bea.patient_id, "text"),
    }
    before = len(gateway.texts)
    third = remind(cast.bea, hour=11)
    assert len(gateway.texts) == before
    skipped = select(OutboxMessage.outcome, OutboxMessage.detail).where(
        OutboxMessage.appointment_id == third.id, OutboxMessage.channel == "sms"
    )
    assert db.session.execute(skipped).one() == ("skipped", "Somebody sent STOP from this number.")
    assert "you get our texts" in phone.says("start")
    remind(cast.bea, hour=12)
    assert len(gateway.texts) == before + 1


def test_ana_reads_on_her_page_that_somebody_sent_stop(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment], page_client: Any
) -> None:
    visit = remind(cast.ana)
    sentence = "somebody sent STOP from this number; START brings texts back"
    page = page_client(cast.ana).get("/visits", status=200)
    assert not page.says(sentence)
    phone.says("STOP")
    page.get("/visits", status=200)
    assert page.says(sentence)
    desk = page_client(cast.dana).get(f"/admin/appointments/{visit.id}", status=200)
    assert desk.says("No texts STOP came from this number on")


@pytest.mark.parametrize("words", ["STOP", "stop texting me", "Unsubscribe", "end", "STOP ALL", "quit"])
def test_words_that_end_texts(phone: Phone, cast: Cast, words: str) -> None:
    phone.says(words)
    assert db.session.scalars(select(ClosedAddress.address)).all() == [PHONE]


def test_help_says_what_there_is(phone: Phone, cast: Cast) -> None:
    assert "1 confirms and 2 cancels the visit we wrote about. STOP ends texts" in phone.says("Help")


def test_a_machine_that_answers_our_answers_is_not_talked_to_for_ever(phone: Phone, cast: Cast) -> None:
    answers = [phone.says("I am out of the office") for _ in range(22)]
    assert [bool(answer) for answer in answers] == [True] * 20 + [False] * 2
    phone.says("STOP")
    assert db.session.scalars(select(ClosedAddress.address)).all() == [PHONE], "but heard it is"


def test_what_was_replied_is_forgotten_after_three_months(phone: Phone, cast: Cast) -> None:
    for text in ("help", "1"):
        phone.says(text)
    old = update(TextReply).where(TextReply.said == "help").values(created_at=clock.now() - timedelta(days=91))
    db.session.execute(old)
    db.session.commit()
    assert [BY_NAME["forget-text-replies"].run() for _ in range(2)] == [1, 0]
    assert db.session.scalars(select(TextReply.said)).all() == ["confirm"]


# --- who may knock ---


def test_what_the_gateway_sends_is_counted(app: Flask, phone: Phone) -> None:
    for _ in range(3):
        assert phone.call("/hooks/texts", {}).status_code == 422
    redis = app.config["SESSION_REDIS"]
    (key,) = [key for key in redis.keys("*") if b"hook" in key]
    assert int(redis.get(key)) == 3


@pytest.mark.parametrize("path", ["/hooks/texts", "/hooks/texts/status"])
@pytest.mark.parametrize(
    "how",
    [{"token": "guessed"}, {"age": 301}, {"age": -301}, {"signature": ""}, {"signature": "0" * 64}, {"signature": "é"}],
)
def test_who_has_not_the_secret_is_not_heard(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment], path: str, how: dict[str, Any]
) -> None:
    visit = remind(cast.ana)
    answer = phone.call(path, {"id": "x", "from": PHONE, "text": "2"}, **how)
    assert (answer.status_code, answer.json["type"]) == (403, "not-allowed")
    assert now(visit).status == "booked"


def test_a_body_that_was_changed_on_the_way_is_not_heard(phone: Phone, cast: Cast) -> None:
    timestamp = str(int(clock.now().timestamp()))
    headers = {
        "Content-Type": "application/json",
        "X-Frontdesk-Timestamp": timestamp,
        "X-Frontdesk-Signature": json_signature(timestamp, b'{"id": "1", "from": "+12125550141", "text": "1"}', TOKEN),
    }
    changed = phone.client.post(
        "/hooks/texts", data=b'{"id": "1", "from": "+12125550141", "text": "2"}', headers=headers
    )
    assert changed.status_code == 403


def test_without_a_secret_nobody_is_heard(app: Flask, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "FRONTDESK", replace(app.config["FRONTDESK"], sms_token=""))
    assert phone.call("/hooks/texts", {"id": "1", "from": PHONE, "text": "1"}, token="").status_code == 404


@pytest.mark.parametrize("body", [{}, {"id": "1", "from": "Mum", "text": "1"}, {"id": "", "from": PHONE, "text": "1"}])
def test_what_is_no_text_is_told_so(phone: Phone, cast: Cast, body: dict[str, str]) -> None:
    assert phone.call("/hooks/texts", body).status_code == 422


def test_twilios_own_example_of_a_signature() -> None:
    form = {
        "CallSid": ["CA1234567890ABCDE"],
        "Caller": ["+14158675309"],
        "Digits": ["1234"],
        "From": ["+14158675309"],
        "To": ["+18005551212"],
    }
    assert twilio_signature("https://mycompany.com/myapp.php?foo=1&bar=2", form, "12345") == (
        "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    )


def test_twilio_tells_us_and_reads_xml(twilio: Twilio, cast: Cast, remind: Callable[..., Appointment]) -> None:
    visit = remind(cast.ana)
    answer = twilio.call("/hooks/texts", MessageSid="SM1", From=PHONE, Body="1", To="+12125550100")
    assert answer.content_type == "text/xml; charset=utf-8"
    assert "<Response><Message>Frontdesk: thank you. Ana's visit on Tue" in answer.text
    assert now(visit).confirmed_at is not None
    assert twilio.call("/hooks/texts", token="guessed", MessageSid="SM2", From=PHONE, Body="2").status_code == 403
    assert now(visit).status == "booked"


def test_what_twilio_has_answered_itself_is_not_answered_twice(twilio: Twilio, cast: Cast) -> None:
    answer = twilio.call("/hooks/texts", MessageSid="SM1", From=PHONE, Body="STOP", OptOutType="STOP")
    assert answer.text.endswith("<Response></Response>")
    assert db.session.scalars(select(ClosedAddress.address)).all() == [PHONE]


# --- what became of what we sent ---


def test_a_child_without_an_account_is_answered_for_by_the_phone(
    phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    ben = create_patient(given_name="Ben", phone="212 555 0177")
    db.session.commit()
    visit = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(13),
        patient_id=ben.id,
        actor=cast.dana.actor,
    )
    send_texts()
    assert "Ben's visit" in phone.says("1", number="+12125550177")
    assert now(visit).confirmed_at is not None
    assert now(visit).start - timedelta(days=60) < clock.now()


@pytest.mark.real_commits
def test_eight_texts_at_once_from_one_phone_act_once(
    app: Flask, phone: Phone, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    """The gateway sends the same text again before it has our answer, and ana presses 2 in despair."""
    visit, other = remind(cast.ana), remind(cast.bea, hour=10)
    assert "which visit" in phone.says("2")
    phone.says("2A")

    def knock(number: int) -> str:
        return Phone(app).says("2", text_id=f"SM{number % 4}")

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(knock, range(8)))
    assert len(answers) == 1
    assert "Ana's visit" in answers.pop()
    assert (now(visit).status, now(other).status) == ("cancelled", "booked")
    assert len(events(visit, "appointment.cancelled")) == 1
    assert db.session.scalar(select(func.count()).select_from(TextReply)) == 6
