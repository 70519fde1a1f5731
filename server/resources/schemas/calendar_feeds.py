"""Shapes of calendar feeds."""

from marshmallow import Schema, fields

from server.resources.schemas.fields import Flag, Instant, StrictSchema


class CalendarFeedRequestSchema(StrictSchema):
    patient_id = fields.UUID(
        load_default=None, allow_none=True, metadata={"description": "Me unless told", "example": None}
    )
    practitioner_id = fields.UUID(load_default=None, allow_none=True)
    shows_names = Flag(load_default=False, metadata={"description": "Of patients, in a practitioner's feed"})


class CalendarFeedSchema(Schema):
    id = fields.UUID(required=True)
    patient_id = fields.UUID(required=True, allow_none=True)
    practitioner_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    shows_names = fields.Boolean(required=True, metadata={"example": False})
    created_at = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})
    last_read_at = Instant(required=True, allow_none=True, metadata={"example": None})


class NewCalendarFeedSchema(CalendarFeedSchema):
    url = fields.Url(
        required=True,
        metadata={
            "description": "Its secret address, shown this once",
            "example": "https://clinic.example/calendars/pQ4x7n2LkT0wYb3Vf8sZcA.ics",
        },
    )


class CalendarFeedListSchema(Schema):
    items = fields.List(fields.Nested(CalendarFeedSchema), required=True)
