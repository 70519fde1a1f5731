"""Shapes of appointment series."""

from datetime import datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from server.resources.schemas.appointments import AppointmentSchema
from server.resources.schemas.availability import FreeTimeSchema, ReasonSchema
from server.resources.schemas.fields import Flag, Instant, StrictSchema, Text
from server.services.occurrences import MAX_COUNT, MAX_WEEKS
from server.services.series import Scope


class ReplacementSchema(StrictSchema):
    number = fields.Integer(required=True, strict=True, validate=validate.Range(1), metadata={"example": 3})
    start = Instant(required=True, metadata={"example": "2026-12-15T15:00:00Z"})


class _WithReplacements(StrictSchema):
    replacements = fields.List(
        fields.Nested(ReplacementSchema),
        load_default=list,
        validate=validate.Length(max=MAX_COUNT),
        metadata={"description": "Another start for visits of the plan", "example": []},
    )
    skip_conflicts = Flag(load_default=False, metadata={"description": "Leave out what is not possible"})
    dry_run = Flag(load_default=False, metadata={"description": "Answer the plan and keep nothing", "example": True})

    @post_load
    def _by_number(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        by_number: dict[int, datetime] = {each["number"]: each["start"] for each in data["replacements"]}
        if len(by_number) < len(data["replacements"]):
            raise ValidationError({"replacements": ["Each number once."]})
        return {**data, "replacements": by_number}


class SeriesRequestSchema(_WithReplacements):
    service_id = fields.UUID(required=True)
    practitioner_id = fields.UUID(required=True)
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    every_n_weeks = fields.Integer(
        load_default=1, strict=True, validate=validate.Range(1, MAX_WEEKS), metadata={"example": 1}
    )
    count = fields.Integer(required=True, strict=True, validate=validate.Range(1, MAX_COUNT), metadata={"example": 8})
    location_id = fields.UUID()
    patient_id = fields.UUID()
    reason = Text(max=500, load_default="", metadata={"example": "Back pain"})


class _ScopeSchema(StrictSchema):
    scope = fields.Enum(
        Scope,
        by_value=True,
        required=True,
        metadata={"description": "One visit, it and the later ones, or all to come", "example": "following"},
    )


class SeriesCancelSchema(_ScopeSchema):
    appointment_id = fields.UUID(metadata={"description": "The visit of `this` and `following`"})
    reason = Text(max=500, load_default="", metadata={"example": "We are moving away."})

    @validates_schema
    def _names_a_visit(self, data: dict[str, Any], **_: Any) -> None:
        if data["scope"] != Scope.ALL and "appointment_id" not in data:
            raise ValidationError({"appointment_id": ["Missing data for required field."]})


class SeriesRescheduleSchema(_ScopeSchema, _WithReplacements):
    appointment_id = fields.UUID(required=True)
    start = Instant(
        required=True,
        metadata={
            "description": "Of this visit; the others take its weekday and time in their own weeks",
            "example": "2026-12-03T15:00:00Z",
        },
    )
    practitioner_id = fields.UUID()


class OccurrenceSchema(Schema):
    number = fields.Integer(required=True, metadata={"example": 1})
    start = Instant(required=True, metadata={"example": "2026-12-01T14:00:00Z"})
    end = Instant(required=True, metadata={"example": "2026-12-01T14:30:00Z"})
    is_free = fields.Boolean(required=True, metadata={"example": True})
    reasons = fields.List(fields.Nested(ReasonSchema), required=True, metadata={"example": []})
    proposal = fields.Nested(
        FreeTimeSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The nearest time that could be had instead", "example": None},
    )
    appointment_id = fields.UUID(
        required=True, allow_none=True, metadata={"description": "null: not booked", "example": None}
    )


class SeriesPlanSchema(Schema):
    id = fields.UUID(required=True, allow_none=True, metadata={"description": "null: a dry run", "example": None})
    patient_id = fields.UUID(required=True)
    service_id = fields.UUID(required=True)
    every_n_weeks = fields.Integer(required=True, metadata={"example": 1})
    time_zone = fields.String(required=True, metadata={"example": "America/New_York"})
    is_free = fields.Boolean(required=True, metadata={"description": "Every visit is possible", "example": True})
    occurrences = fields.List(fields.Nested(OccurrenceSchema), required=True)


class SeriesSchema(Schema):
    id = fields.UUID(required=True)
    patient_id = fields.UUID(required=True, attribute="row.patient_id")
    service_id = fields.UUID(required=True, attribute="row.service_id")
    every_n_weeks = fields.Integer(required=True, attribute="row.every_n_weeks", metadata={"example": 1})
    created_at = Instant(required=True, attribute="row.created_at", metadata={"example": "2026-11-20T09:00:00Z"})
    appointments = fields.List(fields.Nested(AppointmentSchema), required=True, attribute="visits")
