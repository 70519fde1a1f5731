"""Shapes of free times."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Instant, InstantOrDate, InstantOrWallTime, StrictSchema


class FreeTimeSchema(Schema):
    start = Instant(required=True)
    end = Instant(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)


class AvailabilityQuerySchema(StrictSchema):
    service_id = fields.UUID(required=True)
    from_ = InstantOrDate(required=True, data_key="from", metadata={"example": "2026-12-01"})
    to = InstantOrDate(required=True, metadata={"example": "2026-12-08"})
    practitioner_id = fields.UUID()
    location_id = fields.UUID()
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


class AvailabilitySchema(Schema):
    items = fields.List(fields.Nested(FreeTimeSchema), required=True)
    next_from = Instant(
        required=True, allow_none=True, metadata={"description": "Ask on from here; null when that was all"}
    )


class WhyQuerySchema(StrictSchema):
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID()
    start = InstantOrWallTime(required=True, metadata={"example": "2026-12-01T09:00:00Z"})


class ReasonSchema(Schema):
    code = fields.String(required=True, metadata={"example": "outside-hours"})
    detail = fields.String(required=True)


class WhySchema(Schema):
    free = fields.Boolean(required=True)
    reasons = fields.List(fields.Nested(ReasonSchema), required=True)
