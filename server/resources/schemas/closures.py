"""Shapes of closures, their plans, holidays, and practitioners' own calendars."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from server.resources.schemas.appointments import AppointmentSchema
from server.resources.schemas.availability import FreeTimeSchema
from server.resources.schemas.fields import Count, Flag, Instant, Line, PageQuerySchema, QueryInstant, StrictSchema

KINDS = ("leave", "holiday", "block")
ACTIONS = ("keep", "move", "cancel")
START, END = "2026-12-21T05:00:00Z", "2026-12-24T05:00:00Z"


class PlanItemRequestSchema(StrictSchema):
    """What is to become of one visit. A move names the time, and the practitioner when it is another one."""

    appointment_id = fields.UUID(required=True)
    action = fields.String(required=True, validate=validate.OneOf(ACTIONS), metadata={"example": "move"})
    start = Instant(metadata={"example": "2026-12-28T14:00:00Z"})
    practitioner_id = fields.UUID()

    @validates_schema
    def _only_a_move_goes_somewhere(self, data: dict[str, Any], **_: Any) -> None:
        is_move = data.get("action") == "move"
        if is_move and "start" not in data:
            raise ValidationError({"start": ["Say to which time."]})
        if not is_move and (given := [name for name in ("start", "practitioner_id") if name in data]):
            raise ValidationError({name: ["Only a move goes somewhere."] for name in given})


def _plan_field(**kwargs: Any) -> fields.List:
    return fields.List(
        fields.Nested(PlanItemRequestSchema),
        validate=validate.Length(max=2000),
        metadata={"description": "One item for each visit in the way", "example": []},
        **kwargs,
    )


class ClosureRequestSchema(StrictSchema):
    """Of one practitioner, of one location, or of everybody when both are left out."""

    practitioner_id = fields.UUID()
    location_id = fields.UUID()
    start = Instant(required=True, metadata={"example": START})
    end = Instant(required=True, metadata={"example": END})
    kind = fields.String(load_default="leave", validate=validate.OneOf(KINDS), metadata={"example": "leave"})
    reason = Line(max=200, load_default="", metadata={"example": "Annual leave"})
    plan = _plan_field(load_default=list)
    dry_run = Flag(load_default=False, metadata={"description": "Answers what is in the way and changes nothing"})


class ClosureChangeSchema(StrictSchema):
    """What is left out stays. A `plan` alone decides anew about visits that are still in the way."""

    start = Instant(metadata={"example": START})
    end = Instant(metadata={"example": END})
    reason = Line(max=200, metadata={"example": "Annual leave"})
    plan = _plan_field(load_default=list)


class ClosurePreviewRequestSchema(StrictSchema):
    """Other times; what is left out is as it is."""

    start = Instant(metadata={"example": START})
    end = Instant(metadata={"example": END})


class ProposalSchema(Schema):
    appointment = fields.Nested(AppointmentSchema, required=True)
    proposals = fields.List(
        fields.Nested(FreeTimeSchema), required=True, metadata={"description": "Best first; none is proposed twice"}
    )
    suggested = fields.String(required=True, validate=validate.OneOf(ACTIONS), metadata={"example": "move"})


class PreviewSchema(Schema):
    appointments = fields.List(fields.Nested(ProposalSchema), required=True)


class ClosureSchema(Schema):
    id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True, allow_none=True)
    location_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    start = Instant(required=True, attribute="during.lower", metadata={"example": START})
    end = Instant(required=True, attribute="during.upper", metadata={"example": END})
    kind = fields.String(required=True, validate=validate.OneOf([*KINDS, "external"]), metadata={"example": "leave"})
    reason = fields.String(required=True, metadata={"example": "Annual leave"})


class PlanItemSchema(Schema):
    appointment_id = fields.UUID(required=True)
    action = fields.String(required=True, validate=validate.OneOf(ACTIONS), metadata={"example": "move"})
    start = Instant(required=True, allow_none=True, metadata={"example": "2026-12-28T14:00:00Z"})
    practitioner_id = fields.UUID(required=True, allow_none=True)
    state = fields.String(
        required=True, validate=validate.OneOf(["waiting", "done", "failed"]), metadata={"example": "done"}
    )
    detail = fields.String(required=True, metadata={"example": "Moved; the patient is told."})


class ProgressSchema(Schema):
    closure = fields.Nested(ClosureSchema, required=True)
    planned = fields.Function(lambda progress: len(progress.items), required=True, metadata={"type": "integer"})
    done = fields.Integer(required=True)
    waiting = fields.Integer(required=True)
    items = fields.List(fields.Nested(PlanItemSchema), required=True)
    in_the_way = fields.List(
        fields.Nested(AppointmentSchema),
        required=True,
        metadata={"description": "Visits in the closure that are not kept on purpose"},
    )


class ClosureQuerySchema(PageQuerySchema):
    practitioner_id = fields.UUID()
    location_id = fields.UUID()
    kind = fields.String(validate=validate.OneOf([*KINDS, "external"]))
    from_ = QueryInstant(data_key="from")
    to = QueryInstant()


class ClosureListSchema(Schema):
    items = fields.List(fields.Nested(ClosureSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})


class HolidayQuerySchema(StrictSchema):
    location_id = fields.UUID(required=True)
    year = Count(required=True, validate=validate.Range(2000, 2100), metadata={"example": 2027})


class HolidaySchema(Schema):
    on = fields.Date(required=True, metadata={"example": "2027-01-01"})
    name = fields.String(required=True, metadata={"example": "New Year's Day"})
    start = Instant(required=True, metadata={"example": "2027-01-01T05:00:00Z"})
    end = Instant(required=True, metadata={"example": "2027-01-02T05:00:00Z"})
    location_id = fields.UUID(required=True)


class HolidayListSchema(Schema):
    items = fields.List(fields.Nested(HolidaySchema), required=True)


class ExternalCalendarRequestSchema(StrictSchema):
    url = fields.String(
        required=True,
        validate=validate.Length(1, 2000),
        metadata={
            "description": "The private iCalendar address; it is never told to anybody again",
            "example": "https://calendar.example.com/private/basic.ics",
        },
    )


class ExternalCalendarSchema(Schema):
    practitioner_id = fields.UUID(required=True)
    host = fields.String(
        required=True, allow_none=True, metadata={"description": "null: none", "example": "calendar.example.com"}
    )
    fetched_at = Instant(required=True, allow_none=True, metadata={"example": "2026-11-20T09:00:00Z"})
    failed_at = Instant(
        required=True, allow_none=True, metadata={"description": "Since when it cannot be read", "example": None}
    )
    error = fields.String(required=True, metadata={"example": ""})
    busy_times = fields.Integer(required=True, metadata={"example": 12})
