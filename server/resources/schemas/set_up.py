"""Shapes of what administrators set up: rooms, rules of practitioners, referrals, settings."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.directory import FOR_PATIENTS, RuleFields
from server.resources.schemas.fields import Day, Flag, Line, StrictSchema
from server.utils.languages import LANGUAGES


class RoomSchema(Schema):
    id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Exam 2"})
    kind = fields.String(required=True, metadata={"example": "exam"})
    is_device = fields.Boolean(required=True, metadata={"example": False})
    is_active = fields.Boolean(required=True, metadata={"example": True})


class RoomListSchema(Schema):
    items = fields.List(fields.Nested(RoomSchema), required=True)


class RoomQuerySchema(StrictSchema):
    location_id = fields.UUID()


class RoomChangeSchema(StrictSchema):
    name = Line(min=1, max=80, metadata={"example": "Exam 2"})
    kind = Line(min=1, max=40, metadata={"example": "exam"})
    is_active = Flag()


class NewRoomSchema(StrictSchema):
    location_id = fields.UUID(required=True)
    name = Line(required=True, min=1, max=80, metadata={"example": "Exam 2"})
    kind = Line(required=True, min=1, max=40, metadata={"example": "exam"})
    is_device = Flag(load_default=False)


class RuleRequestSchema(RuleFields):
    """What differs; what is left out or null is the service's own."""

    minimum_notice_minutes = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, 1_000_000))
    horizon_days = fields.Integer(strict=True, allow_none=True, validate=validate.Range(1, 1000))
    cancel_cutoff_minutes = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, 1_000_000))
    self_bookable = Flag(allow_none=True)
    for_patients = fields.String(allow_none=True, validate=FOR_PATIENTS)
    needs_referral = Flag(allow_none=True)
    needs_approval = Flag(allow_none=True)


class RuleSchema(Schema):
    service_id = fields.UUID(required=True)
    minimum_notice_minutes = fields.Integer(required=True, allow_none=True, metadata={"example": 60})
    horizon_days = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    cancel_cutoff_minutes = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    self_bookable = fields.Boolean(required=True, allow_none=True, metadata={"example": None})
    max_open_per_patient = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    max_per_day = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    for_patients = fields.String(required=True, allow_none=True, metadata={"example": None})
    needs_referral = fields.Boolean(required=True, allow_none=True, metadata={"example": None})
    min_age_years = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    max_age_years = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    needs_approval = fields.Boolean(required=True, allow_none=True, metadata={"example": None})


class RuleListSchema(Schema):
    items = fields.List(fields.Nested(RuleSchema), required=True)


class ReferralQuerySchema(StrictSchema):
    patient_id = fields.UUID(metadata={"description": "Default: me"})


class ReferralRequestSchema(StrictSchema):
    patient_id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)
    valid_until = Day(metadata={"example": "2027-03-31"})
    note = Line(max=300, load_default="", metadata={"example": "From Dr Lopes"})


class ReferralSchema(Schema):
    id = fields.UUID(required=True)
    patient_id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)
    valid_until = fields.Date(required=True, allow_none=True, metadata={"example": "2027-03-31"})
    note = fields.String(required=True, metadata={"example": "From Dr Lopes"})


class ReferralListSchema(Schema):
    items = fields.List(fields.Nested(ReferralSchema), required=True)


class SettingsSchema(Schema):
    offer_minutes = fields.Integer(required=True, metadata={"example": 120})
    offer_stop_minutes = fields.Integer(required=True, metadata={"example": 120})
    offers_a_week = fields.Integer(required=True, metadata={"example": 3})
    quiet_from = fields.Time(required=True, format="%H:%M", metadata={"example": "21:00"})
    quiet_until = fields.Time(required=True, format="%H:%M", metadata={"example": "08:00"})
    language = fields.String(required=True, metadata={"example": "en"})


class SettingsChangeSchema(StrictSchema):
    offer_minutes = fields.Integer(strict=True, validate=validate.Range(5, 10080))
    offer_stop_minutes = fields.Integer(strict=True, validate=validate.Range(0, 10080))
    offers_a_week = fields.Integer(strict=True, validate=validate.Range(1, 100))
    quiet_from = fields.Time(
        format="%H:%M", metadata={"example": "21:00", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
    )
    quiet_until = fields.Time(
        format="%H:%M", metadata={"example": "08:00", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
    )
    language = fields.String(
        validate=validate.OneOf([*LANGUAGES]),
        metadata={"description": "Of letters to those who have not chosen one", "example": "en"},
    )
