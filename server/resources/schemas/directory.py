"""Shapes of the public directory."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Flag, Line, PageQuerySchema, StrictSchema, Text

FOR_PATIENTS = validate.OneOf(["all", "new", "known"])


class LocationSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Riverside"})
    time_zone = fields.String(required=True, metadata={"description": "IANA name", "example": "Europe/Lisbon"})
    address = fields.String(required=True, metadata={"example": "1 River Street"})
    phone = fields.String(required=True, metadata={"example": "+1 212 555 0100"})


class ServiceSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Check-up"})
    description = fields.String(required=True, metadata={"example": "For whatever you have in mind."})
    duration_minutes = fields.Integer(required=True, metadata={"example": 30})
    step_minutes = fields.Integer(required=True, metadata={"example": 15})
    buffer_before_minutes = fields.Integer(required=True, metadata={"example": 0})
    buffer_after_minutes = fields.Integer(required=True, metadata={"example": 5})
    minimum_notice_minutes = fields.Integer(required=True, metadata={"example": 120})
    horizon_days = fields.Integer(required=True, metadata={"example": 90})
    cancel_cutoff_minutes = fields.Integer(required=True, metadata={"example": 1440})
    self_bookable = fields.Boolean(required=True)
    capacity = fields.Integer(required=True, metadata={"example": 1})
    max_open_per_patient = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    max_open_in_all = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    max_per_day = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    for_patients = fields.String(required=True, validate=FOR_PATIENTS, metadata={"example": "all"})
    needs_referral = fields.Boolean(required=True, metadata={"example": False})
    min_age_years = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    max_age_years = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    needs_approval = fields.Boolean(required=True, metadata={"example": False})
    approval_minutes = fields.Integer(required=True, metadata={"example": 2880})
    room_kind = fields.String(required=True, allow_none=True, metadata={"example": "exam"})
    device_kind = fields.String(required=True, allow_none=True, metadata={"example": None})
    no_show_after_minutes = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    frees_rest = fields.Boolean(required=True, metadata={"example": False})


class RuleFields(StrictSchema):
    """The rules of a service that a practitioner may have of their own."""

    minimum_notice_minutes = fields.Integer(strict=True, validate=validate.Range(0, 1_000_000))
    horizon_days = fields.Integer(strict=True, validate=validate.Range(1, 1000))
    cancel_cutoff_minutes = fields.Integer(strict=True, validate=validate.Range(0, 1_000_000))
    self_bookable = Flag()
    max_open_per_patient = fields.Integer(strict=True, allow_none=True, validate=validate.Range(1, 1000))
    max_per_day = fields.Integer(strict=True, allow_none=True, validate=validate.Range(1, 100))
    for_patients = fields.String(validate=FOR_PATIENTS, metadata={"example": "all"})
    needs_referral = Flag()
    min_age_years = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, 150))
    max_age_years = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, 150))
    needs_approval = Flag()


class ServiceChangeSchema(RuleFields):
    """What an administrator may change; what is left out stays."""

    name = Line(min=1, max=120, metadata={"example": "Check-up"})
    description = Text(max=2000)
    duration_minutes = fields.Integer(strict=True, validate=validate.Range(1, 1440))
    step_minutes = fields.Integer(strict=True, validate=validate.Range(1, 1440))
    buffer_before_minutes = fields.Integer(strict=True, validate=validate.Range(0, 720))
    buffer_after_minutes = fields.Integer(strict=True, validate=validate.Range(0, 720))
    max_open_in_all = fields.Integer(strict=True, allow_none=True, validate=validate.Range(1, 1000))
    approval_minutes = fields.Integer(strict=True, validate=validate.Range(1, 100_000))
    room_kind = Line(min=1, max=40, allow_none=True, metadata={"example": "exam"})
    device_kind = Line(min=1, max=40, allow_none=True, metadata={"example": None})
    no_show_after_minutes = fields.Integer(strict=True, allow_none=True, validate=validate.Range(1, 1440))
    frees_rest = Flag()


class NewServiceSchema(ServiceChangeSchema):
    name = Line(required=True, min=1, max=120, metadata={"example": "Check-up"})
    duration_minutes = fields.Integer(
        required=True, strict=True, validate=validate.Range(1, 1440), metadata={"example": 30}
    )
    step_minutes = fields.Integer(
        required=True, strict=True, validate=validate.Range(1, 1440), metadata={"example": 15}
    )
    capacity = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 500), metadata={"example": 1})


class PractitionerSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Dr Min Cho"})
    specialty = fields.String(required=True, metadata={"example": "General practice"})
    languages = fields.List(fields.String(), required=True, metadata={"example": ["en", "ko"]})


class PractitionerQuerySchema(PageQuerySchema):
    service_id = fields.UUID()
    location_id = fields.UUID()
    language = fields.String(validate=validate.Length(max=10))


def listed(schema: type[Schema]) -> type[Schema]:
    """The schema of a list of these."""
    name = schema.__name__.removesuffix("Schema") + "ListSchema"
    return Schema.from_dict(
        {
            "items": fields.List(fields.Nested(schema), required=True),
            "next_cursor": fields.String(required=True, allow_none=True, metadata={"example": None}),
        },
        name=name,
    )


LocationListSchema = listed(LocationSchema)
ServiceListSchema = listed(ServiceSchema)
PractitionerListSchema = listed(PractitionerSchema)
