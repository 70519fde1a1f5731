"""The gateway as it calls us, and what its callers see of a visit."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Flask, json
from sqlalchemy import select, update

from server.extensions import db
from server.jobs.letters import send_due
from server.models import Appointment, AuditEvent, OutboxMessage
from server.utils import clock
from server.web.signatures import json_signature, twilio_signature
from tests.clients import Client

TOKEN = "what both sides know"
PHONE = "+12125550141"


class Phone:
    """The gateway as it calls us: signed JSON."""

    def __init__(self, app: Flask) -> None:
        self.client = Client(app, app.response_class)
        self.count = 0

    def call(
        self, path: str, body: dict[str, Any], *, token: str = TOKEN, age: int = 0, signature: str | None = None
    ) -> Any:
        raw = json.dumps(body).encode()
        timestamp = str(int(clock.now().timestamp()) - age)
        headers = {
            "Content-Type": "application/json",
            "X-Frontdesk-Timestamp": timestamp,
            "X-Frontdesk-Signature": json_signature(timestamp, raw, token) if signature is None else signature,
        }
        return self.client.post(path, data=raw, headers=headers)

    def says(self, text: str, *, number: str = PHONE, text_id: str = "") -> str:
        """What is written back."""
        self.count += 1
        answer = self.call("/hooks/texts", {"id": text_id or f"in-{self.count}", "from": number, "text": text})
        assert answer.status_code == 200, answer.text
        return str(answer.json["reply"])


def send_texts() -> None:
    db.session.execute(update(OutboxMessage).where(OutboxMessage.channel == "email").values(outcome="skipped"))
    db.session.execute(update(OutboxMessage).where(OutboxMessage.channel == "sms").values(due_at=clock.now()))
    db.session.commit()
    send_due()


def now(visit: Appointment) -> Appointment:
    db.session.expire_all()
    return db.session.get_one(Appointment, visit.id)


def events(visit: Appointment, action: str) -> list[tuple[str, UUID | None]]:
    found = select(AuditEvent.role, AuditEvent.patient_id).where(
        AuditEvent.object_id == visit.id, AuditEvent.action == action
    )
    return [tuple(row) for row in db.session.execute(found)]


class Twilio:
    def __init__(self, app: Flask) -> None:
        self.client = Client(app, app.response_class)

    def call(self, path: str, *, token: str = TOKEN, **form: str) -> Any:
        url = f"https://clinic.example.org{path}"
        signature = twilio_signature(url, {name: [value] for name, value in form.items()}, token)
        return self.client.post(
            path,
            data=urlencode(form),
            headers={"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"},
        )
