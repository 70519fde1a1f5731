"""Letters that come back: at once from the mail server, or later as a delivery report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from server.extensions import db
from server.jobs.letters import send_due
from server.models import AuditEvent, ClosedAddress, OutboxMessage
from server.services import addresses, bounces, messages, reminders
from server.utils import clock
from tests.cast import Cast
from tests.postman import Postman

Booked = Callable[..., Any]


def outcomes() -> list[tuple[str, str | None, str]]:
    found = select(OutboxMessage.letter, OutboxMessage.outcome, OutboxMessage.detail).order_by(OutboxMessage.letter)
    return [tuple(row) for row in db.session.execute(found)]


def closed() -> list[tuple[str, str]]:
    return [tuple(row) for row in db.session.execute(select(ClosedAddress.address, ClosedAddress.detail))]


def reminder_due() -> UUID:
    """The only reminder is due now."""
    reminder = OutboxMessage.letter == reminders.REMINDER
    db.session.execute(update(OutboxMessage).where(reminder).values(due_at=clock.now()))
    db.session.commit()
    return db.session.scalars(select(OutboxMessage.id).where(reminder)).one()


@pytest.fixture
def rule(cast: Cast) -> None:
    reminders.create_rule({"minutes_before": 1440}, actor=cast.olga.actor)


def test_a_refused_address_gets_no_more_reminders_and_dana_sees_why(
    mail: Postman, cast: Cast, booked: Booked, rule: None, page_client: Any
) -> None:
    mail.at_rcpt["ana@example.com"] = "550 5.1.1 No such mailbox here"
    visit = booked(cast.ana)
    assert send_due() == 0
    assert closed() == [("ana@example.com", "550 5.1.1 No such mailbox here")]
    reminder_due()
    mail.asked.clear()
    assert send_due() == 0
    assert mail.asked == [], "nobody knocks for a reminder"
    today = clock.now()
    assert outcomes() == [
        ("appointment-booked", "failed", "The mail server refused the address: 550 5.1.1 No such mailbox here"),
        ("appointment-reminder", "failed", f"The address bounced on {today:%Y-%m-%d}: 550 5.1.1 No such mailbox here"),
    ]
    event = select(AuditEvent.patient_id).where(AuditEvent.action == "address.bounced")
    assert db.session.scalars(event).all() == [cast.ana.patient_id]
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("Mail addresses that bounce: 1")
    assert page.says("Ana Silva , next visit ana@example.com")
    page.get(f"/admin/appointments/{visit.id}", status=200)
    assert page.says("Bounces Since")
    assert page.says("550 5.1.1 No such mailbox here. Please ask for another address")


def test_control_an_address_that_is_well_is_not_marked(
    mail: Postman, cast: Cast, booked: Booked, rule: None, page_client: Any
) -> None:
    visit = booked(cast.ana)
    reminder_due()
    assert send_due() == 2
    assert closed() == []
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert not page.says("addresses that bounce")
    page.get(f"/admin/appointments/{visit.id}", status=200)
    assert not page.says("Bounces")


def test_another_address_is_used_at_once(mail: Postman, cast: Cast, booked: Booked, rule: None) -> None:
    mail.at_rcpt["ana@example.com"] = "550 5.1.1 No such mailbox here"
    booked(cast.ana)
    send_due()
    cast.patient(cast.ana).email = "ana.silva@example.com"
    db.session.commit()
    reminder_due()
    assert send_due() == 1
    assert mail.letters[0]["To"] == "ana.silva@example.com"
    assert addresses.closed_of(cast.patient(cast.ana), region="US") == {}


def test_another_try_gives_the_same_address_another_chance(
    mail: Postman, cast: Cast, booked: Booked, rule: None
) -> None:
    mail.at_rcpt["ana@example.com"] = "552 5.2.2 Mailbox full"
    booked(cast.ana)
    send_due()
    message_id = reminder_due()
    send_due()
    mail.at_rcpt.clear()
    messages.retry(message_id, actor=cast.dana.actor)
    assert closed() == []
    assert send_due() == 1
    assert mail.letters[0]["To"] == "ana@example.com"


@pytest.mark.parametrize(
    ("answer", "is_closed"),
    [
        ("550 5.1.1 no such user", True),
        ("550 no such user", True),
        ("554 5.7.1 relay access denied", False),
        ("550 5.7.26 unauthenticated mail is not accepted", False),
        ("450 4.2.1 come again later", False),
        ("451 greylisted", False),
    ],
)
def test_only_what_blames_the_address_closes_it(
    mail: Postman, cast: Cast, booked: Booked, answer: str, is_closed: bool
) -> None:
    mail.at_rcpt["ana@example.com"] = answer
    booked(cast.ana)
    send_due()
    assert bool(closed()) is is_closed


def test_a_server_that_does_not_take_our_sender_costs_no_letter_a_try(
    mail: Postman, cast: Cast, booked: Booked
) -> None:
    mail.at_mail = "553 5.7.1 not your address"
    booked(cast.ana)
    booked(cast.bea, hour=10)
    assert [send_due() for _ in range(10)] == [0] * 10
    assert [(outcome, closed()) for _, outcome, _ in outcomes()] == [(None, []), (None, [])]
    mail.at_mail = ""
    assert send_due() == 2


def test_one_letter_that_is_too_large_is_in_nobodys_way(mail: Postman, cast: Cast, booked: Booked) -> None:
    mail.at_mail = "552 5.3.4 too large"
    booked(cast.ana)
    assert send_due() == 0
    assert outcomes()[0][1:] == ("failed", "The mail server refused the letter: 552 5.3.4 too large")
    mail.at_mail = ""
    booked(cast.bea, hour=10)
    assert send_due() == 1


def test_a_letter_that_is_refused_after_it_was_read_is_told_with_the_reason(
    mail: Postman, cast: Cast, booked: Booked
) -> None:
    mail.at_data = "554 5.7.1 This looks like spam"
    booked(cast.ana)
    send_due()
    assert outcomes()[0][1:] == ("failed", "The mail server refused the letter: 554 5.7.1 This looks like spam")
    assert closed() == []


def test_carl_who_shares_anas_address_is_meant_too(mail: Postman, cast: Cast, booked: Booked, rule: None) -> None:
    cast.patient(cast.bea).email = "Ana@Example.com"
    db.session.commit()
    mail.at_rcpt["ana@example.com"] = "550 5.1.1 No such mailbox here"
    booked(cast.ana)
    send_due()
    assert addresses.closed_of(cast.patient(cast.bea), region="US")["email"].address == "ana@example.com"


# --- delivery reports ---


def report(
    message_id: object,
    *,
    recipient: str = "ana@example.com",
    action: str = "failed",
    status: str = "5.1.1",
    said: str = "550 5.1.1 <ana@example.com>: user unknown",
    enclosed: str = "text/rfc822-headers",
) -> bytes:
    """A report as Postfix writes one (RFC 3464)."""
    return "\r\n".join(
        [
            "From: MAILER-DAEMON@mx.example.com",
            "To: frontdesk@localhost",
            "Subject: Undelivered Mail Returned to Sender",
            "MIME-Version: 1.0",
            'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
            "",
            "--b",
            "Content-Type: text/plain",
            "",
            "I'm sorry to have to inform you ...",
            "--b",
            "Content-Type: message/delivery-status",
            "",
            "Reporting-MTA: dns; mx.example.com",
            "Arrival-Date: Tue, 24 Nov 2026 10:00:00 +0000",
            "",
            f"Final-Recipient: rfc822; {recipient}",
            f"Action: {action}",
            f"Status: {status}",
            f"Diagnostic-Code: smtp; {said}",
            "",
            "--b",
            f"Content-Type: {enclosed}",
            "",
            "From: Frontdesk <frontdesk@localhost>",
            f"Message-ID: <{message_id}@localhost>",
            "Subject: Your visit",
            "",
            "--b--",
            "",
        ]
    ).encode()


@pytest.fixture
def message_id(mail: Postman, cast: Cast, booked: Booked) -> UUID:
    """A letter to ana that the mail server took."""
    booked(cast.ana)
    assert send_due() == 1
    found = db.session.scalars(select(OutboxMessage.id)).one()
    assert mail.letters[0]["Message-ID"] == f"<{found}@localhost>"
    return found


def receipt() -> tuple[str | None, str | None, str]:
    found = select(OutboxMessage.outcome, OutboxMessage.receipt, OutboxMessage.receipt_detail)
    outcome, came, detail = db.session.execute(found).one()
    return outcome, came, detail


@pytest.mark.parametrize("enclosed", ["text/rfc822-headers", "message/rfc822"])
def test_a_report_closes_the_address_and_tells_the_story(
    cast: Cast, message_id: UUID, enclosed: str, page_client: Any
) -> None:
    said = bounces.read_report(report(message_id, enclosed=enclosed))
    assert said == f"Letter {message_id} came back; its address is closed."
    words = "550 5.1.1 <ana@example.com>: user unknown"
    assert closed() == [("ana@example.com", words)]
    assert receipt() == ("sent", "undelivered", words)
    bounces.read_report(report(message_id, enclosed=enclosed))
    assert len(closed()) == 1
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("Sent, not delivered 550 5.1.1")
    page.get(f"/admin/messages/{message_id}", status=200)
    assert page.says("Could not be delivered")


@pytest.mark.parametrize(
    ("over", "came", "is_closed"),
    [
        ({"action": "delayed", "status": "4.4.1"}, None, False),
        ({"action": "delivered", "status": "2.0.0", "said": "250 OK"}, "delivered", False),
        ({"status": "4.4.7", "said": "delivery time expired"}, "undelivered", False),
        ({"status": "5.7.1", "said": "550 5.7.1 blocked"}, "undelivered", False),
        ({"recipient": "somebody.else@example.com"}, "undelivered", False),
        ({"recipient": "ANA@example.com", "said": "550 unknown"}, "undelivered", True),
    ],
)
def test_what_a_report_says_is_what_happens(
    message_id: UUID, over: dict[str, str], came: str | None, is_closed: bool
) -> None:
    bounces.read_report(report(message_id, **over))
    assert (receipt()[1], bool(closed())) == (came, is_closed)


def test_a_report_about_the_address_of_old_does_not_close_the_new_one(cast: Cast, message_id: UUID) -> None:
    cast.patient(cast.ana).email = "ana.silva@example.com"
    db.session.commit()
    bounces.read_report(report(message_id))
    assert closed() == []
    assert receipt()[1] == "undelivered"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: Out of office\r\n\r\nI am away.",
        b"\xff\xfe\x00 no mail at all",
        report("not-an-id"),
        report("x").replace(b"<x@localhost>", b"<"),
        report("x").replace(b"<x@localhost>", b"=?utf-8?q?=ff?= <\xff@["),
        b"Content-Type: message/rfc822\r\n\r\n" * 5000,
        report("01890000-0000-7000-8000-000000000000"),
        b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n--b--",
    ],
)
def test_whatever_else_comes_is_ignored_and_said_to_be(message_id: UUID, raw: bytes) -> None:
    assert bounces.read_report(raw).startswith("Ignored: ")
    assert (receipt(), closed()) == (("sent", None, ""), [])


def test_what_a_strangers_server_writes_is_shown_as_one_line_of_text(
    cast: Cast, message_id: UUID, page_client: Any
) -> None:
    bounces.read_report(report(message_id, said="550 5.1.1 <script>alert(1)</script>\x1b[31m" + "x" * 500))
    detail = closed()[0][1]
    assert len(detail) <= 180
    assert "\x1b" not in detail
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert "<script>alert" not in page.text


def test_letters_come_back_to_the_address_that_is_set(
    mail: Postman, cast: Cast, booked: Booked, set_up: Callable[..., None]
) -> None:
    set_up(mail_return_path="bounces@clinic.example.org")
    booked(cast.ana)
    send_due()
    assert mail.senders == ["bounces@clinic.example.org"]
    assert mail.letters[0]["From"] == "Frontdesk <frontdesk@localhost>"


def test_the_pipe_of_the_mail_server(tmp_path: Path, app: Any) -> None:
    """`frontdesk bounce`: what it ignores is done with; without its database it asks for another try."""
    import os
    import subprocess

    from tests.conftest import SECRETS
    from tests.running import FRONTDESK

    settings = app.config["FRONTDESK"]
    env = {
        **os.environ,
        **{name.upper(): value for name, value in SECRETS.items()},
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }

    def bounce(raw: bytes, **over: str) -> tuple[int, bytes]:
        done = subprocess.run([*FRONTDESK, "bounce"], env={**env, **over}, input=raw, capture_output=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    code, said = bounce(report("01890000-0000-7000-8000-000000000000"))
    assert (code, said) == (0, b"Ignored: there is no such letter any more.\n")
    code, said = bounce(
        report("01890000-0000-7000-8000-000000000000"), DATABASE_URL="postgresql://nobody@127.0.0.1:1/x"
    )
    assert code == 75
    assert b"please try again" in said
