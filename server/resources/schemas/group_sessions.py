"""Shapes of group sessions."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.appointments import OverrideSchema
from server.resources.schemas.fields import Instant, QueryInstant, StrictSchema

CAPACITY = validate.Range(1, 500)


class GroupSessionRequestSchema(StrictSchema):
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})
    location_id = fields.UUID()
    capacity = fields.Integer(
        strict=True, validate=CAPACITY, metadata={"example": 12, "description": "Default: the service's"}
    )
    override = fields.Nested(OverrideSchema)


class GroupSessionChangeSchema(StrictSchema):
    capacity = fields.Integer(required=True, strict=True, validate=CAPACITY, metadata={"example": 14})


class GroupSessionQuerySchema(StrictSchema):
    from_ = QueryInstant(data_key="from", required=True)
    to = QueryInstant(required=True)
    service_id = fields.UUID()
    practitioner_id = fields.UUID()
    location_id = fields.UUID()


class GroupSessionSchema(Schema):
    id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    start = fields.String(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = fields.String(required=True, metadata={"example": "2026-12-01T15:00:00Z"})
    status = fields.String(required=True, metadata={"example": "booked"})
    capacity = fields.Integer(required=True, metadata={"example": 12})
    free_seats = fields.Integer(required=True, metadata={"example": 3})


class GroupSessionListSchema(Schema):
    items = fields.List(fields.Nested(GroupSessionSchema), required=True)
