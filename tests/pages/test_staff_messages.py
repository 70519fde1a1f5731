"""Dana at her desk: what goes out, what failed, another try; and olga's rules."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from server.extensions import db
from server.models import AuditEvent, OutboxMessage, ReminderRule
from server.services import booking, reminders
from server.utils import clock
from tests.cast import ZONE, Cast, Person
from tests.clients import PageClient

Pages = Callable[[Person | None], PageClient]


@pytest.fixture
def message_id(cast: Cast) -> UUID:
    """The letter about ana's visit, due now."""
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        reason="A secret rash",
        actor=cast.ana.actor,
    )
    return db.session.scalars(select(OutboxMessage.id)).one()


def change(**values: object) -> None:
    db.session.execute(update(OutboxMessage).values(**values))
    db.session.commit()


def test_dana_sees_what_goes_out_today_and_tomorrow(cast: Cast, page_client: Pages, message_id: UUID) -> None:
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("Your visit is booked , Ana Silva Ana Silva by e-mail Waiting")
    assert page.says("Everything went out in time.")
    assert page.says("Tomorrow, ")
    assert page.says("No message is due on this day.")
    assert not page.says("secret rash")
    tomorrow = clock.now() + timedelta(days=1)
    change(due_at=tomorrow)
    page.get("/admin/messages", status=200)
    assert page.says(f"{clock.local(tomorrow, ZONE):%H:%M} Your visit is booked")


def test_dana_asks_for_one_day_and_one_outcome(cast: Cast, page_client: Pages, message_id: UUID) -> None:
    day = clock.today(ZONE)
    page = page_client(cast.dana)
    for query, is_there in (
        (f"date={day}", True),
        (f"date={day}&outcome=waiting", True),
        (f"date={day}&outcome=sent", False),
        (f"date={day - timedelta(days=1)}", False),
    ):
        page.get(f"/admin/messages?{query}", status=200)
        assert page.says("Ana Silva") == is_there, query
    page.get("/admin/messages?outcome=lost", status=422)
    page.get("/admin/messages?date=soon", status=422)


def test_what_failed_is_tried_again_with_one_press(cast: Cast, page_client: Pages, message_id: UUID) -> None:
    change(outcome="failed", outcome_at=clock.now(), detail="The mail server refused the address (550).", attempts=8)
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("The mail server refused the address (550).")
    page.post(f"/admin/messages/{message_id}/retry", follow=True, status=200)
    assert page.says("It is tried again now.")
    assert page.says("Tried again 1 time:")
    assert page.says("by Dana")
    assert db.session.get_one(OutboxMessage, message_id, populate_existing=True).outcome is None
    page.post(f"/admin/messages/{message_id}/retry", follow=True, status=200)
    assert page.says("Only a message that failed can be tried again.")


def test_what_was_missed_has_no_button(cast: Cast, page_client: Pages, message_id: UUID) -> None:
    change(outcome="missed", outcome_at=clock.now(), detail="It could not be sent in time.")
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("Missed It could not be sent in time.")
    assert not page.says("Try again")


def test_I4_the_story_of_a_message_shows_the_letter_in_a_frame_that_can_do_nothing(
    cast: Cast, page_client: Pages, message_id: UUID
) -> None:
    cast.patient(cast.ana).given_name = '<script>alert(1)</script>"><b>'
    db.session.commit()
    page = page_client(cast.dana).get(f"/admin/messages/{message_id}", status=200)
    (frame,) = page.all("iframe")
    assert frame.get("sandbox") == "", "no script, no form, no origin, no way out"
    shown = frame.get("srcdoc")
    assert '<head><meta http-equiv="Content-Security-Policy" content="default-src \'none\';' in shown
    assert "<script>" not in shown
    assert "visit-links" not in page.text
    assert not page.says("secret rash")
    assert not [script for script in page.all("script") if "alert" in (script.text or "")]
    policy = page.response.headers["Content-Security-Policy"]
    assert "script-src 'self' 'nonce-" in policy
    assert [a.get("href") for a in page.all("a") if a.get("href", "").startswith("/admin/appointments/")]
    read = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "message.read")).one()
    assert (read.object_id, read.patient_id) == (message_id, cast.ana.patient_id)


def test_practitioners_and_patients_read_no_messages(cast: Cast, page_client: Pages, message_id: UUID) -> None:
    change(outcome="failed", outcome_at=clock.now())
    for person in (cast.dr_cho, cast.ana):
        page = page_client(person)
        for path in ("/admin/messages", f"/admin/messages/{message_id}"):
            page.get(path, status=403)
        page.get("/", status=200)
        page.post(f"/admin/messages/{message_id}/retry", status=403)
    page_client(cast.dana).get(f"/admin/messages/{cast.ana.patient_id}", status=404)


def test_the_navigation_is_there_twice_and_folds(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dr_cho).get("/admin/reminders", status=200)
    (menu,) = [element for element in page.all("details") if element.get("class") == "nav-folded"]
    assert "Reminders" in "".join(menu.itertext())
    assert not page.says("Messages")
    assert page_client(cast.dana).get("/admin/messages", status=200).says("Menu")


# --- rules ---


def test_olga_adds_a_rule_in_words_and_deletes_it(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get("/admin/reminders", status=200)
    assert page.says("Nobody is reminded.")
    fields = {"amount": 1, "unit": "days", "channel": "email", "asks_to_confirm": 1, "service": "", "location": ""}
    page.post("/admin/reminders", follow=True, status=200, **fields)
    assert page.says("1 day before, by e-mail, asks to confirm, for all services")
    only = {"amount": 90, "unit": "minutes", "channel": "sms", "service": cast.checkup_id, "location": cast.location_id}
    page.post("/admin/reminders", follow=True, status=200, **only)
    assert page.says("1 hour 30 minutes before, by text, for Check-up at Riverside")
    rule = db.session.scalars(select(ReminderRule).where(ReminderRule.minutes_before == 90)).one()
    page.get(f"/admin/reminders/{rule.id}/delete", status=200)
    assert page.says("Delete this rule?")
    page.post(f"/admin/reminders/{rule.id}/delete", follow=True, status=200)
    assert not page.says("by text, for Check-up")
    page.get(f"/admin/reminders/{rule.id}/delete", status=404)


@pytest.mark.parametrize(
    "wrong",
    [{"amount": 0}, {"amount": "x"}, {"amount": 10, "unit": "minutes"}, {"amount": 61}, {"unit": "y"}, {"channel": ""}],
)
def test_a_rule_that_cannot_be_is_refused_with_a_sentence(
    cast: Cast, page_client: Pages, wrong: dict[str, object]
) -> None:
    page = page_client(cast.olga).get("/admin/reminders", status=200)
    page.post("/admin/reminders", status=422, **{"amount": 1, "unit": "days", "channel": "email", **wrong})
    assert [alert for alert in page.all("div") if alert.get("role") == "alert"]
    assert db.session.scalars(select(ReminderRule)).all() == []


def test_dana_reads_the_rules_and_tries_them_but_changes_nothing(cast: Cast, page_client: Pages) -> None:
    rule = reminders.create_rule({"minutes_before": 1440}, actor=cast.olga.actor)
    page = page_client(cast.dana).get("/admin/reminders", status=200)
    assert not page.says("Add a rule")
    page.post(f"/admin/reminders/{rule.id}/test", follow=True, status=200)
    assert page.says("A test is on its way to dana@example.com.")
    message = db.session.scalars(select(OutboxMessage)).one()
    assert message.user_id == cast.dana.user_id
    page.get("/admin/messages", status=200)
    assert page.says("(test) Dana by e-mail")
    page.get(f"/admin/messages/{message.id}", status=200)
    assert page.says("Test: Your visit on")
    page.post("/admin/reminders", status=403, amount=1, unit="days", channel="email")
    page.post(f"/admin/reminders/{rule.id}/delete", status=403)


def test_olga_adds_a_letter_after_a_visit(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get("/admin/reminders", status=200)
    fields = {"amount": 2, "unit": "days", "channel": "email", "service": "", "location": "", "kind": "after"}
    page.post("/admin/reminders", follow=True, status=200, **fields)
    assert page.says("2 days after a visit, by e-mail, for all services")
    page.post("/admin/reminders", follow=True, status=200, **{**fields, "kind": "noshow"})
    assert page.says("2 days after a visit that nobody came to, by e-mail")
    for wrong in ({"kind": "during"}, {"asks_to_confirm": 1}):
        page.post("/admin/reminders", status=422, **{**fields, **wrong})
    page.get("/admin/reminders", status=200)
    rule = db.session.scalars(select(ReminderRule).where(ReminderRule.kind == "after")).one()
    page.post(f"/admin/reminders/{rule.id}/test", follow=True, status=200)
    assert page.says("A test is on its way to olga@example.com.")


def test_C7_dana_sees_that_messages_do_not_leave(cast: Cast, page_client: Pages, message_id: UUID) -> None:
    assert not page_client(cast.dana).get("/admin/messages", status=200).says("overdue")
    change(outcome=None, due_at=clock.now() - timedelta(minutes=6))
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("1 message is overdue, the oldest since")
    change(outcome="sent", detail=reminders.REPAIRED)
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert not page.says("overdue")
    assert page.says("1 reminder was missing in the last day and has been written again.")
