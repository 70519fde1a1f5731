"""Shapes of reminders and messages."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Flag, Instant, Line, QueryInstant, StrictSchema
from server.utils.languages import LANGUAGES

CHANNELS = ["email", "sms"]
KINDS = ["before", "after", "noshow"]
OUTCOMES = ["waiting", "sent", "skipped", "failed", "missed"]


class ReminderRuleRequestSchema(StrictSchema):
    kind = fields.String(load_default="before", validate=validate.OneOf(KINDS))
    minutes_before = fields.Integer(
        required=True, strict=True, validate=validate.Range(15, 86_400), metadata={"example": 1440}
    )
    channel = fields.String(load_default="email", validate=validate.OneOf(CHANNELS))
    asks_to_confirm = Flag(load_default=False)
    service_id = fields.UUID(load_default=None, allow_none=True)
    location_id = fields.UUID(load_default=None, allow_none=True)


class ReminderRuleSchema(Schema):
    id = fields.UUID(required=True)
    kind = fields.String(required=True, metadata={"example": "before"})
    minutes_before = fields.Integer(required=True, metadata={"example": 1440})
    channel = fields.String(required=True, metadata={"example": "email"})
    asks_to_confirm = fields.Boolean(required=True, metadata={"example": True})
    service_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    location_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})


class ReminderRuleListSchema(Schema):
    items = fields.List(fields.Nested(ReminderRuleSchema), required=True)


class MessageQuerySchema(StrictSchema):
    from_ = QueryInstant(data_key="from", required=True)
    to = QueryInstant(required=True)
    outcome = fields.String(validate=validate.OneOf(OUTCOMES))


class MessageSchema(Schema):
    id = fields.UUID(required=True)
    letter = fields.String(required=True, metadata={"example": "appointment-reminder"})
    channel = fields.String(required=True, metadata={"example": "email"})
    patient_id = fields.UUID(required=True, allow_none=True)
    appointment_id = fields.UUID(required=True, allow_none=True)
    due_at = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})
    attempts = fields.Integer(required=True, metadata={"example": 1})
    outcome = fields.String(required=True, allow_none=True, metadata={"example": "sent"})
    outcome_at = Instant(required=True, allow_none=True, metadata={"example": "2026-12-01T09:00:03Z"})
    detail = fields.String(required=True)
    receipt = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What came back later: delivered, failed, undelivered", "example": "delivered"},
    )
    receipt_at = Instant(required=True, allow_none=True, metadata={"example": "2026-12-01T09:00:09Z"})
    receipt_detail = fields.String(required=True, metadata={"example": ""})


class MessageListSchema(Schema):
    items = fields.List(fields.Nested(MessageSchema), required=True)


class PreferencesSchema(Schema):
    wants_email_reminders = fields.Boolean(required=True)
    wants_sms_reminders = fields.Boolean(required=True)
    time_zone = fields.String(required=True, allow_none=True, metadata={"example": "Europe/Lisbon"})
    language = fields.String(
        required=True, allow_none=True, metadata={"description": "Of letters; null: the clinic's", "example": "es"}
    )


class PreferencesChangeSchema(StrictSchema):
    wants_email_reminders = Flag()
    wants_sms_reminders = Flag()
    time_zone = Line(min=1, max=64, allow_none=True, metadata={"example": "Europe/Lisbon"})
    language = fields.String(allow_none=True, validate=validate.OneOf([*LANGUAGES, None]), metadata={"example": "es"})
