"""Shapes of free times."""

from typing import Any

from marshmallow import Schema, fields, post_dump, validate

from server.resources.schemas.fields import Count, Instant, InstantOrDate, InstantOrWallTime, StrictSchema


class FreeTimeSchema(Schema):
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = Instant(required=True, metadata={"example": "2026-12-01T14:30:00Z"})
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)


class AvailabilityQuerySchema(StrictSchema):
    service_id = fields.UUID(required=True)
    from_ = InstantOrDate(data_key="from", metadata={"example": "2026-12-01"})
    to = InstantOrDate(metadata={"example": "2026-12-08"})
    practitioner_id = fields.UUID()
    location_id = fields.UUID()
    limit = Count(load_default=50, validate=validate.Range(1, 200))


class AvailabilitySchema(Schema):
    items = fields.List(fields.Nested(FreeTimeSchema), required=True)
    next_from = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "Ask on from here; null when that was all", "example": None},
    )


class WhyQuerySchema(StrictSchema):
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID()
    start = InstantOrWallTime(metadata={"example": "2026-12-01T09:00:00Z"})
    patient_id = fields.UUID(metadata={"description": "Of somebody for whom you may book: asks their limits, too"})


class BlockingSchema(Schema):
    type = fields.String(required=True, metadata={"example": "Appointment"})
    id = fields.UUID(required=True)
    start = fields.String(metadata={"format": "date-time", "example": "2026-12-01T09:00:00Z"})
    end = fields.String(metadata={"format": "date-time", "example": "2026-12-01T09:30:00Z"})
    state = fields.String(metadata={"example": "booked"})


class ReasonSchema(Schema):
    code = fields.String(required=True, metadata={"example": "busy"})
    detail = fields.String(required=True, metadata={"example": "This time is taken."})
    possible_from = Instant(metadata={"description": "When this rule would allow it"})
    blocking = fields.List(fields.Nested(BlockingSchema), metadata={"description": "Staff only: what is in the way"})

    @post_dump
    def _only_what_is_known(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value}


class WhySchema(Schema):
    free = fields.Boolean(required=True, metadata={"example": False})
    reasons = fields.List(fields.Nested(ReasonSchema), required=True)
