"""Shapes of holds and appointments."""

from marshmallow import Schema, fields, validate

from server.models import Status
from server.resources.schemas.fields import Instant, StrictSchema, Text


class HoldRequestSchema(StrictSchema):
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})
    location_id = fields.UUID()
    patient_id = fields.UUID()


class HoldSchema(Schema):
    id = fields.UUID(required=True)
    start = Instant(required=True)
    end = Instant(required=True)
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    expires_at = Instant(required=True, attribute="hold_expires_at")


class OverrideSchema(StrictSchema):
    reason = Text(required=True, min=1, max=500)


class BookingRequestSchema(HoldRequestSchema):
    reason = Text(max=500, load_default="", metadata={"example": "Follow-up"})
    hold_id = fields.UUID()
    override = fields.Nested(OverrideSchema, metadata={"description": "Staff only, audited"})


class RescheduleSchema(StrictSchema):
    start = Instant(required=True, metadata={"example": "2026-12-01T10:00:00Z"})
    practitioner_id = fields.UUID()


class CancelSchema(StrictSchema):
    reason = Text(max=500, load_default="")


class NothingSchema(StrictSchema):
    """An empty body, or {}."""


class AppointmentSchema(Schema):
    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(Status)))
    start = Instant(required=True)
    end = Instant(required=True)
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    room_id = fields.UUID(required=True, allow_none=True)
    patient_id = fields.UUID(required=True)
    reason = fields.String(required=True)
    cancel_reason = fields.String(required=True)
    confirmed_at = Instant(required=True, allow_none=True)
    created_at = Instant(required=True)
    updated_at = Instant(required=True)


class AppointmentQuerySchema(StrictSchema):
    patient_id = fields.UUID()
    practitioner_id = fields.UUID()
    status = fields.String(validate=validate.OneOf(list(Status)))
    from_ = Instant(data_key="from")
    to = Instant()
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
    cursor = fields.String(validate=validate.Length(max=500))


class AppointmentListSchema(Schema):
    items = fields.List(fields.Nested(AppointmentSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
