"""Shapes of what is on record."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Instant, PageQuerySchema, QueryInstant
from server.web.audit_words import in_words

OUTCOMES = ("success", "refused")


class AuditEventSchema(Schema):
    id = fields.UUID(required=True)
    created_at = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    action = fields.String(required=True, metadata={"example": "appointment.read"})
    outcome = fields.String(required=True, metadata={"example": "success"})
    user_id = fields.UUID(required=True, allow_none=True)
    role = fields.String(required=True, metadata={"example": "front-desk"})
    patient_id = fields.UUID(required=True, allow_none=True)
    object_type = fields.String(required=True, metadata={"example": "Appointment"})
    object_id = fields.UUID(required=True, allow_none=True)
    ip = fields.String(required=True, metadata={"example": "203.0.113.9"})
    request_id = fields.String(required=True, metadata={"example": "aBcDeFgHiJkLmNoPqRsTuV"})


class AuditEventQuerySchema(PageQuerySchema):
    patient_id = fields.UUID()
    user_id = fields.UUID(metadata={"description": "What this account did, or what befell it"})
    action = fields.String(
        validate=validate.Regexp("^[a-z-]{1,40}(\\.[a-z-]{1,40})?$"),
        metadata={"description": "A whole action, or what it is about", "example": "appointment"},
    )
    outcome = fields.String(validate=validate.OneOf(OUTCOMES))
    from_ = QueryInstant(data_key="from", metadata={"example": "2026-12-01T00:00:00Z"})
    to = QueryInstant(metadata={"example": "2026-12-08T00:00:00Z"})


class AuditEventListSchema(Schema):
    items = fields.List(fields.Nested(AuditEventSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})


class AccessSchema(Schema):
    id = fields.UUID(required=True, attribute="event.id")
    at = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    who = fields.String(
        required=True,
        metadata={
            "description": "The account's name; empty for a link, a text, or the clinic itself",
            "example": "Dana",
        },
    )
    role = fields.String(required=True, metadata={"example": "front-desk"})
    action = fields.String(required=True, attribute="event.action", metadata={"example": "appointment.read"})
    in_words = fields.Function(
        lambda line: in_words(line.event.action),
        required=True,
        metadata={"type": "string", "description": "What was done, after the name", "example": "looked at a visit"},
    )
    outcome = fields.String(required=True, attribute="event.outcome", metadata={"example": "success"})


class AccessListSchema(Schema):
    items = fields.List(fields.Nested(AccessSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})
