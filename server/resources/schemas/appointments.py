"""Shapes of holds and appointments."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from server.models import Status
from server.resources.schemas.fields import Instant, PageQuerySchema, QueryInstant, StrictSchema, Text


class HoldRequestSchema(StrictSchema):
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})
    location_id = fields.UUID()
    patient_id = fields.UUID()


class HoldSchema(Schema):
    id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = Instant(required=True, metadata={"example": "2026-12-01T14:30:00Z"})
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    expires_at = Instant(required=True, attribute="hold_expires_at", metadata={"example": "2026-11-20T09:05:00Z"})


class OverrideSchema(StrictSchema):
    reason = Text(required=True, min=1, max=500, metadata={"example": "She flies at noon."})


class BookingRequestSchema(StrictSchema):
    """A time of a practitioner, or a seat of a group session."""

    service_id = fields.UUID()
    practitioner_id = fields.UUID()
    start = Instant(metadata={"example": "2026-12-01T09:00:00Z"})
    location_id = fields.UUID()
    group_session_id = fields.UUID(metadata={"description": "Instead of service, practitioner and start"})
    patient_id = fields.UUID()
    reason = Text(max=500, load_default="", metadata={"example": "Follow-up"})
    hold_id = fields.UUID()
    override = fields.Nested(OverrideSchema, metadata={"description": "Staff only, audited"})
    overbook = fields.Nested(
        OverrideSchema, metadata={"description": "Staff only, audited: put it over the visit that has this time"}
    )

    @validates_schema
    def _one_of_two(self, data: dict[str, Any], **_: Any) -> None:
        time = ("service_id", "practitioner_id", "start")
        if "group_session_id" not in data:
            missing = {name: ["Missing data for required field."] for name in time if name not in data}
            if missing:
                raise ValidationError(missing)
        elif others := [name for name in (*time, "location_id", "hold_id", "overbook") if name in data]:
            raise ValidationError({name: ["The group session says this already."] for name in others})


class RescheduleSchema(StrictSchema):
    start = Instant(required=True, metadata={"example": "2026-12-01T10:00:00Z"})
    practitioner_id = fields.UUID()
    location_id = fields.UUID()
    override = fields.Nested(OverrideSchema, metadata={"description": "Staff only, audited"})


class VisitRoomSchema(StrictSchema):
    room_id = fields.UUID(required=True, allow_none=True)
    device_id = fields.UUID(load_default=None, allow_none=True)


class CancelSchema(StrictSchema):
    reason = Text(max=500, load_default="", metadata={"example": "I have a cold."})


class AppointmentSchema(Schema):
    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(Status)), metadata={"example": "booked"})
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = Instant(required=True, metadata={"example": "2026-12-01T14:30:00Z"})
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    room_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    device_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    patient_id = fields.UUID(required=True, allow_none=True, metadata={"description": "null: a group session itself"})
    group_session_id = fields.UUID(required=True, allow_none=True, attribute="session_id", metadata={"example": None})
    series_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    is_overbooked = fields.Boolean(required=True, metadata={"example": False})
    answer_by = Instant(
        required=True, allow_none=True, metadata={"example": None, "description": "While pending: void after that"}
    )
    reason = fields.String(required=True, metadata={"example": "Follow-up"})
    cancel_reason = fields.String(required=True)
    confirmed_at = Instant(required=True, allow_none=True, metadata={"example": None})
    arrived_at = Instant(required=True, allow_none=True, metadata={"example": None})
    started_at = Instant(required=True, allow_none=True, metadata={"example": None})
    ended_at = Instant(required=True, allow_none=True, metadata={"example": None})
    created_at = Instant(required=True, metadata={"example": "2026-11-20T09:00:00Z"})
    updated_at = Instant(required=True, metadata={"example": "2026-11-20T09:00:00Z"})


class AppointmentQuerySchema(PageQuerySchema):
    patient_id = fields.UUID()
    practitioner_id = fields.UUID()
    status = fields.String(validate=validate.OneOf(list(Status)))
    from_ = QueryInstant(data_key="from")
    to = QueryInstant()


class AppointmentListSchema(Schema):
    items = fields.List(fields.Nested(AppointmentSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})
