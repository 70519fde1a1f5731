"""Shapes of hours."""

import re
from datetime import date, time
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from server.resources.schemas.appointments import AppointmentSchema
from server.resources.schemas.fields import Day, PageQuerySchema, StrictSchema

_WALL_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"


class WallTime(fields.Time):
    """HH:MM on the clocks of the location."""

    default_error_messages = {"invalid": "Not a time such as 09:00."}

    def __init__(self, *, metadata: dict[str, Any], **kwargs: Any) -> None:
        shape = {"type": "string", "pattern": f"^{_WALL_TIME}$"}
        super().__init__(format="%H:%M", metadata={**shape, **metadata}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> time:
        if not isinstance(value, str) or not re.fullmatch(_WALL_TIME, value):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return super()._deserialize(value, attr, data, **kwargs)


class ScheduleSchema(Schema):
    id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    room_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    weekday = fields.Integer(required=True, metadata={"description": "ISO: Monday is 1", "example": 1})
    starts_at = WallTime(required=True, metadata={"example": "09:00"})
    ends_at = WallTime(required=True, metadata={"example": "17:00"})
    valid_from = fields.Date(required=True, metadata={"example": "2026-12-01"})
    valid_until = fields.Date(required=True, allow_none=True, metadata={"example": None})
    every_n_weeks = fields.Integer(
        required=True, metadata={"description": "Counted from the week of `valid_from`", "example": 1}
    )
    service_ids = fields.Function(
        lambda schedule: sorted(str(service.id) for service in schedule.services),
        required=True,
        metadata={"type": "array", "items": {"type": "string", "format": "uuid"}},
    )


class ScheduleChangeSchema(StrictSchema):
    """What is left out stays."""

    location_id = fields.UUID()
    room_id = fields.UUID(allow_none=True)
    weekday = fields.Integer(strict=True, validate=validate.Range(1, 7))
    starts_at = WallTime(metadata={"example": "09:00"})
    ends_at = WallTime(metadata={"example": "17:00"})
    valid_from = Day(metadata={"example": "2026-12-01"})
    valid_until = Day(allow_none=True, metadata={"example": None})
    every_n_weeks = fields.Integer(strict=True, validate=validate.Range(1, 52), metadata={"example": 1})
    service_ids = fields.List(fields.UUID(), validate=validate.Length(min=1, max=100))


class ScheduleRequestSchema(StrictSchema):
    """Weekly hours, or with `on` an extra opening on that date alone."""

    practitioner_id = fields.UUID(required=True)
    location_id = fields.UUID(required=True)
    room_id = fields.UUID(allow_none=True, load_default=None)
    weekday = fields.Integer(
        strict=True, validate=validate.Range(1, 7), metadata={"description": "ISO: Monday is 1", "example": 1}
    )
    starts_at = WallTime(required=True, metadata={"example": "09:00"})
    ends_at = WallTime(required=True, metadata={"example": "17:00"})
    valid_from = Day(metadata={"example": "2026-12-01"})
    valid_until = Day(allow_none=True, metadata={"example": None})
    every_n_weeks = fields.Integer(strict=True, validate=validate.Range(1, 52), metadata={"example": 1})
    on = Day(metadata={"description": "Instead of weekday, validity and rhythm"})
    service_ids = fields.List(fields.UUID(), required=True, validate=validate.Length(min=1, max=100))

    @validates_schema
    def _weekly_or_once(self, data: dict[str, Any], **_: Any) -> None:
        weekly = ("weekday", "valid_from", "valid_until", "every_n_weeks")
        if "on" in data:
            if others := [name for name in weekly if name in data]:
                raise ValidationError({name: ["The date says this already."] for name in others})
        elif missing := [name for name in ("weekday", "valid_from") if name not in data]:
            raise ValidationError({name: ["Missing data for required field."] for name in missing})

    @post_load
    def _date_to_validity(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        on: date | None = data.pop("on", None)
        if on is not None:
            data |= {"weekday": on.isoweekday(), "valid_from": on, "valid_until": on}
        return data


class ScheduleChangedSchema(Schema):
    schedule = fields.Nested(ScheduleSchema, required=True)
    outside_hours = fields.List(
        fields.Nested(AppointmentSchema),
        required=True,
        metadata={"description": "Visits that now lie outside of any hours; they stay until somebody decides"},
    )


class ScheduleQuerySchema(PageQuerySchema):
    practitioner_id = fields.UUID()
    location_id = fields.UUID()


class ScheduleListSchema(Schema):
    items = fields.List(fields.Nested(ScheduleSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})


class StrandedSchema(Schema):
    appointment = fields.Nested(AppointmentSchema, required=True)
    cause = fields.String(
        required=True,
        validate=validate.OneOf(["hours", "leave", "holiday", "block", "external"]),
        metadata={"example": "leave"},
    )
    closure_id = fields.UUID(required=True, allow_none=True)
    state = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["waiting", "failed"]),
        metadata={"description": "Of its plan; null when nothing was decided", "example": "failed"},
    )
    detail = fields.String(required=True, metadata={"example": "Somebody else has this time."})


class StrandedListSchema(Schema):
    items = fields.List(fields.Nested(StrandedSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})
