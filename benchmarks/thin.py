"""The yardstick: a booking in Flask and SQLAlchemy Core without sign-in, validation, limits or idempotency.

It writes what the product writes (appointment, audit event, letter) into the same tables in one
transaction, and trusts whatever it is sent. Served by the same gunicorn settings.
"""

import os
from datetime import datetime, timedelta
from uuid import UUID

from flask import Flask, request
from sqlalchemy import create_engine, insert
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql import insert as insert_or_nothing

from server.models import Appointment, AuditEvent, OutboxMessage
from server.utils.tokens import new_id

app = Flask(__name__)
engine = create_engine(
    "postgresql+psycopg://" + os.environ["THIN_DATABASE_URL"].partition("://")[2], pool_size=10, max_overflow=0
)
appointments, audit_events, outbox_messages = (kind.__table__ for kind in (Appointment, AuditEvent, OutboxMessage))


@app.post("/bookings")
def book() -> tuple[dict[str, str], int]:
    body = request.get_json()
    start = datetime.fromisoformat(body["start"])
    during = Range(start, start + timedelta(minutes=30), bounds="[)")
    key, patient_id = new_id(), UUID(body["patient_id"])
    with engine.begin() as connection:
        row = connection.execute(
            insert_or_nothing(appointments)
            .values(
                id=key,
                service_id=UUID(body["service_id"]),
                practitioner_id=UUID(body["practitioner_id"]),
                location_id=UUID(body["location_id"]),
                patient_id=patient_id,
                status="booked",
                during=during,
                occupied=during,
            )
            .on_conflict_do_nothing()
            .returning(appointments.c.id)
        ).one_or_none()
        if row is None:
            return {"error": "taken"}, 409
        connection.execute(
            insert(audit_events).values(
                id=new_id(),
                action="appointment.booked",
                object_type="Appointment",
                object_id=key,
                patient_id=patient_id,
            )
        )
        connection.execute(
            insert(outbox_messages).values(
                id=new_id(), letter="appointment-booked", appointment_id=key, patient_id=patient_id
            )
        )
    return {"id": str(key), "start": body["start"]}, 201


@app.get("/healthz")
def health() -> str:
    return "ok"
