"""Shapes of the waitlist: who waits, what is offered, what became of freed time."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from server.resources.schemas.fields import Day, Instant, PageQuerySchema, QueryInstant, StrictSchema, WallTime

ENTRY_STATES = ("waiting", "booked", "left", "over")
OFFER_STATES = ("open", "accepted", "declined", "expired", "withdrawn")


class EntryRequestSchema(StrictSchema):
    """A service to wait for, or a visit to have earlier."""

    service_id = fields.UUID(metadata={"description": "Not needed with `appointment_id`"})
    appointment_id = fields.UUID(metadata={"description": "The later visit that an accepted offer moves"})
    patient_id = fields.UUID()
    practitioner_id = fields.UUID()
    location_id = fields.UUID()
    weekdays = fields.List(
        fields.Integer(strict=True, validate=validate.Range(1, 7)),
        load_default=list,
        validate=validate.Length(max=7),
        metadata={"description": "Monday is 1; empty: any", "example": [2, 4]},
    )
    from_time = WallTime(metadata={"description": "A visit starts in [from_time, until_time) of the place"})
    until_time = WallTime(metadata={"example": "12:00"})
    from_on = Day(metadata={"example": "2026-12-01"})
    until_on = Day(metadata={"example": "2026-12-24"})
    notice_minutes = fields.Integer(
        strict=True,
        load_default=1440,
        validate=validate.Range(0, 100_000),
        metadata={"description": "No time is offered that starts sooner than this", "example": 1440},
    )

    @validates_schema
    def _one_of_two(self, data: dict[str, Any], **_: Any) -> None:
        if "service_id" not in data and "appointment_id" not in data:
            raise ValidationError({"service_id": ["Give this or `appointment_id`."]})


class EntrySchema(Schema):
    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(ENTRY_STATES), metadata={"example": "waiting"})
    patient_id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    location_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    appointment_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "What would be moved; once booked: what was", "example": None},
    )
    weekdays = fields.List(fields.Integer(), required=True, metadata={"example": [2, 4]})
    from_time = WallTime(required=True, allow_none=True)
    until_time = WallTime(required=True, allow_none=True, metadata={"example": "12:00"})
    from_on = fields.Date(required=True, allow_none=True, metadata={"example": None})
    until_on = fields.Date(required=True, allow_none=True, metadata={"example": None})
    notice_minutes = fields.Integer(required=True, metadata={"example": 1440})
    open_offer_id = fields.UUID(required=True, allow_none=True, attribute="open_offer.id", dump_default=None)
    created_at = Instant(required=True, metadata={"example": "2026-11-20T09:00:00Z"})


class EntryQuerySchema(PageQuerySchema):
    patient_id = fields.UUID()
    service_id = fields.UUID()
    status = fields.String(validate=validate.OneOf(ENTRY_STATES))


class EntryListSchema(Schema):
    items = fields.List(fields.Nested(EntrySchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})


class OfferSchema(Schema):
    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(OFFER_STATES), metadata={"example": "open"})
    entry_id = fields.UUID(required=True)
    patient_id = fields.UUID(required=True, attribute="entry.patient_id")
    service_id = fields.UUID(required=True, attribute="entry.service_id")
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = Instant(required=True, metadata={"example": "2026-12-01T14:30:00Z"})
    expires_at = Instant(required=True, metadata={"example": "2026-11-20T11:00:00Z"})
    appointment_id = fields.UUID(
        required=True,
        allow_none=True,
        attribute="entry.appointment_id",
        metadata={"description": "The later visit that accepting moves; once accepted: the visit at the offered time"},
    )
    answered_at = Instant(required=True, allow_none=True, metadata={"example": None})
    days_gained = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    created_at = Instant(required=True, metadata={"example": "2026-11-20T09:00:00Z"})


class OfferQuerySchema(PageQuerySchema):
    patient_id = fields.UUID()
    entry_id = fields.UUID()
    status = fields.String(validate=validate.OneOf(OFFER_STATES))


class OfferListSchema(Schema):
    items = fields.List(fields.Nested(OfferSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})


class FreedTimeSchema(Schema):
    id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = Instant(required=True, metadata={"example": "2026-12-01T14:30:00Z"})
    cause = fields.String(
        required=True,
        validate=validate.OneOf(("cancelled", "moved", "opened", "released")),
        metadata={"example": "cancelled"},
    )
    outcome = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "taken, nobody, over; null while it is offered", "example": "taken"},
    )
    created_at = Instant(required=True, metadata={"example": "2026-11-20T09:00:00Z"})
    closed_at = Instant(required=True, allow_none=True, metadata={"example": None})
    offers = fields.List(fields.Nested(OfferSchema), required=True)


class FreedTimeQuerySchema(PageQuerySchema):
    outcome = fields.String(
        validate=validate.OneOf(("open", "taken", "nobody", "over")),
        metadata={"description": "open: it is still offered"},
    )


class FreedTimeListSchema(Schema):
    items = fields.List(fields.Nested(FreedTimeSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})


class FiguresSchema(Schema):
    waiting = fields.Integer(required=True, metadata={"example": 12})
    offers = fields.Integer(required=True, metadata={"example": 40})
    open = fields.Integer(required=True, metadata={"example": 2})
    accepted = fields.Integer(required=True, metadata={"example": 9})
    declined = fields.Integer(required=True, metadata={"example": 11})
    expired = fields.Integer(required=True, metadata={"example": 17})
    withdrawn = fields.Integer(required=True, metadata={"example": 1})
    accepted_share = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Of the offers that were accepted, declined or expired", "example": 0.243},
    )
    median_days_gained = fields.Float(
        required=True, allow_none=True, metadata={"description": "By moving a later visit", "example": 12.0}
    )


class ServiceFiguresSchema(FiguresSchema):
    service_id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Check-up"})


class YardstickSchema(Schema):
    accepted_share = fields.Float(required=True, metadata={"example": 0.11})
    median_days_gained = fields.Float(required=True, metadata={"example": 14.0})


class WaitlistReportSchema(Schema):
    in_all = fields.Nested(FiguresSchema, required=True)
    services = fields.List(fields.Nested(ServiceFiguresSchema), required=True)
    yardstick = fields.Nested(
        YardstickSchema, required=True, metadata={"description": "What is published about automated waitlists"}
    )


class WaitlistReportQuerySchema(StrictSchema):
    from_ = QueryInstant(data_key="from", metadata={"example": "2026-11-01T00:00:00Z"})
    to = QueryInstant(metadata={"example": "2026-12-01T00:00:00Z"})
