"""Shapes of free times."""

from marshmallow import Schema, fields, validate

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


class ReasonSchema(Schema):
    code = fields.String(required=True, metadata={"example": "busy"})
    detail = fields.String(required=True, metadata={"example": "This time is taken."})


class WhySchema(Schema):
    free = fields.Boolean(required=True, metadata={"example": False})
    reasons = fields.List(fields.Nested(ReasonSchema), required=True)
