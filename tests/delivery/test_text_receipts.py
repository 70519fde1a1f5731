"""What became of a text: the gateway tells us later."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import select

from server.extensions import db
from server.jobs.letters import send_due
from server.models import Appointment, OutboxMessage
from tests.cast import Cast
from tests.delivery.phone import Phone, Twilio, now
from tests.gateway import Gateway


def receipt_of(visit: Appointment) -> tuple[str | None, str, str | None]:
    found = select(OutboxMessage.outcome, OutboxMessage.receipt_detail, OutboxMessage.receipt).where(
        OutboxMessage.appointment_id == visit.id, OutboxMessage.channel == "sms"
    )
    outcome, detail, receipt = db.session.execute(found).one()
    return outcome, detail, receipt


def message_of(visit: Appointment) -> UUID:
    return db.session.scalars(
        select(OutboxMessage.id).where(OutboxMessage.appointment_id == visit.id, OutboxMessage.channel == "sms")
    ).one()


def test_the_first_final_receipt_stands(phone: Phone, cast: Cast, remind: Callable[..., Appointment]) -> None:
    visit = remind(cast.ana)
    message_id = str(message_of(visit))
    for status, expected in (("queued", None), ("sent", None), ("delivered", "delivered"), ("failed", "delivered")):
        assert phone.call("/hooks/texts/status", {"id": message_id, "status": status}).status_code == 204
        assert receipt_of(visit) == ("sent", "", expected)


def test_a_text_that_was_not_delivered_is_a_trouble_that_dana_sees_and_tries_again(
    phone: Phone, gateway: Gateway, cast: Cast, remind: Callable[..., Appointment], page_client: Any
) -> None:
    visit = remind(cast.ana)
    message_id = message_of(visit)
    sent = {"id": str(message_id), "status": "undelivered", "detail": "Switched off"}
    phone.call("/hooks/texts/status", sent)
    page = page_client(cast.dana).get("/admin/messages", status=200)
    assert page.says("Sent, not delivered Switched off")
    assert "which" not in phone.says("2")
    assert now(visit).status == "booked", "it cannot be an answer to what never came"
    page.post(f"/admin/messages/{message_id}/retry", status=302)
    send_due()
    assert len(gateway.texts) == 2
    assert receipt_of(visit) == ("sent", "", None)


def test_twilios_receipt_finds_its_text_by_our_own_id(
    twilio: Twilio, gateway: Gateway, cast: Cast, remind: Callable[..., Appointment]
) -> None:
    visit = remind(cast.ana)
    path = gateway.texts[0]["StatusCallback"][0].removeprefix("https://clinic.example.org")
    sent = {"MessageSid": "SM9", "MessageStatus": "undelivered", "ErrorCode": "30003"}
    assert twilio.call(path, token="guessed", **sent).status_code == 403
    assert receipt_of(visit)[2] is None
    assert twilio.call(path, **sent).status_code == 204
    assert receipt_of(visit) == ("sent", "The network says: error 30003.", "undelivered")


def test_a_receipt_for_nothing_is_told_so(phone: Phone, cast: Cast) -> None:
    sent = {"id": "01890000-0000-7000-8000-000000000000", "status": "delivered"}
    assert phone.call("/hooks/texts/status", sent).status_code == 404
