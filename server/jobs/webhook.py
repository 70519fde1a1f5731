"""Telling the clinic's own system what happened to a visit: ids only, signed, as often as it takes."""

import hashlib
import hmac
import json
import time
from typing import Any
from uuid import UUID

from server.extensions import db
from server.models import OutboxMessage
from server.services.outbox import Undeliverable, Unreachable
from server.settings import Settings
from server.utils import outside


def send(message_id: UUID, *, settings: Settings) -> None:
    """POST one message. Raises Undeliverable, Unreachable, or anything else to try again later."""
    if not settings.webhook_url:
        raise Undeliverable("No address of the clinic's own system is set up.")
    body = json.dumps(_content(db.session.get_one(OutboxMessage, message_id, populate_existing=True))).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(message_id),
        "Frontdesk-Signature": signature(body, at=int(time.time()), secret=settings.webhook_secret),
    }
    private = settings.allow_private_urls
    try:
        status = outside.post(
            settings.webhook_url,
            body,
            headers=headers,
            may_connect=outside.anywhere if private else outside.is_public,
            plain_http=private,
        )
    except outside.CannotRead as error:
        raise Unreachable(str(error)) from error
    if status in (408, 425, 429) or status >= 500 or 300 <= status < 400:
        raise RuntimeError(f"It answered {status}.")
    if status >= 400:
        raise Undeliverable(f"It refused the message ({status}).")


def signature(body: bytes, *, at: int, secret: str) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA-256 over the seconds, a dot and the body. An old `t` is somebody's repetition."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def _content(message: OutboxMessage) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "event": message.letter.removesuffix("-by-clinic").removesuffix("-leave"),  # why is for the patient's letter
        "appointment_id": str(message.appointment_id),
        "patient_id": str(message.patient_id),
        "sequence": message.sequence,
        "created_at": message.created_at.isoformat(),
    }
