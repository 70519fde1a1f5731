"""Shapes of the public directory."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Line, StrictSchema, Text


class LocationSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True)
    time_zone = fields.String(required=True, metadata={"description": "IANA name", "example": "Europe/Lisbon"})
    address = fields.String(required=True)
    phone = fields.String(required=True)


class ServiceSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    duration_minutes = fields.Integer(required=True)
    step_minutes = fields.Integer(required=True)
    buffer_before_minutes = fields.Integer(required=True)
    buffer_after_minutes = fields.Integer(required=True)
    minimum_notice_minutes = fields.Integer(required=True)
    horizon_days = fields.Integer(required=True)
    cancel_cutoff_minutes = fields.Integer(required=True)
    self_bookable = fields.Boolean(required=True)
    capacity = fields.Integer(required=True)


class ServiceChangeSchema(StrictSchema):
    """What an administrator may change; what is left out stays."""

    name = Line(min=1, max=120)
    description = Text(max=2000)
    duration_minutes = fields.Integer(strict=True, validate=validate.Range(1, 1440))
    step_minutes = fields.Integer(strict=True, validate=validate.Range(1, 1440))
    buffer_before_minutes = fields.Integer(strict=True, validate=validate.Range(0, 720))
    buffer_after_minutes = fields.Integer(strict=True, validate=validate.Range(0, 720))
    minimum_notice_minutes = fields.Integer(strict=True, validate=validate.Range(0, 1_000_000))
    horizon_days = fields.Integer(strict=True, validate=validate.Range(1, 1000))
    cancel_cutoff_minutes = fields.Integer(strict=True, validate=validate.Range(0, 1_000_000))
    self_bookable = fields.Boolean(truthy={True}, falsy={False})
    max_open_per_patient = fields.Integer(strict=True, allow_none=True, validate=validate.Range(1, 1000))


class PractitionerSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True)
    specialty = fields.String(required=True)
    languages = fields.List(fields.String(), required=True)


class PractitionerQuerySchema(StrictSchema):
    service_id = fields.UUID()
    location_id = fields.UUID()
    language = fields.String(validate=validate.Length(max=10))


def listed(schema: type[Schema]) -> type[Schema]:
    """The schema of a list of these."""
    name = schema.__name__.removesuffix("Schema") + "ListSchema"
    return Schema.from_dict(
        {
            "items": fields.List(fields.Nested(schema), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
        },
        name=name,
    )


LocationListSchema = listed(LocationSchema)
ServiceListSchema = listed(ServiceSchema)
PractitionerListSchema = listed(PractitionerSchema)
