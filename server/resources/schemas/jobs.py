"""Shapes of imports, exports and of the timetable."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Day, Flag, Instant, Line, PageQuerySchema, StrictSchema

KINDS = ["import-patients", "import-appointments", "export-patients", "export-appointments", "export-messages"]
STATES = ["waiting", "running", "checked", "done", "failed", "cancelled"]
ROW_STATES = ["ready", "skipped", "wrong", "done", "failed"]


class ImportRequestSchema(StrictSchema):
    kind = fields.String(required=True, validate=validate.OneOf(["patients", "appointments"]))
    csv = fields.String(
        required=True,
        validate=validate.Length(min=1, max=10_000_000),
        metadata={
            "description": "The file as text, 10 MB and 20,000 rows at most; ; or , or tabs between the cells",
            "example": "given_name,family_name,birth_date,email\nNina,Okafor,1990-02-03,nina@example.com\n",
        },
    )
    file_name = Line(max=120, load_default="", metadata={"example": "patients.csv"})
    letters = Flag(
        load_default=False, metadata={"description": "Whether patients get the letter that their visit is booked"}
    )


class ApplyRequestSchema(StrictSchema):
    sha256 = fields.String(
        required=True,
        validate=validate.Regexp("^[0-9a-f]{64}$"),
        metadata={"description": "Of the file that was checked", "pattern": "^[0-9a-f]{64}$", "example": "5e" * 32},
    )


class ExportRequestSchema(StrictSchema):
    kind = fields.String(required=True, validate=validate.OneOf(["patients", "appointments", "messages"]))
    from_ = Day(data_key="from", metadata={"description": "First local day; not for patients", "example": "2026-12-01"})
    to = Day(metadata={"description": "Last local day", "example": "2026-12-31"})


class JobQuerySchema(PageQuerySchema):
    kind = fields.String(validate=validate.OneOf(KINDS))
    state = fields.String(validate=validate.OneOf(STATES))


class RowQuerySchema(PageQuerySchema):
    state = fields.String(validate=validate.OneOf(ROW_STATES))


class BulkJobSchema(Schema):
    id = fields.UUID(required=True)
    kind = fields.String(required=True, metadata={"enum": KINDS, "example": "import-patients"})
    step = fields.String(required=True, metadata={"enum": ["check", "apply", "export"], "example": "check"})
    state = fields.String(required=True, metadata={"enum": STATES, "example": "checked"})
    done = fields.Integer(required=True, metadata={"example": 240})
    total = fields.Integer(required=True, metadata={"example": 240})
    created_at = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})
    started_at = Instant(required=True, allow_none=True, metadata={"example": "2026-12-01T09:00:01Z"})
    ended_at = Instant(required=True, allow_none=True, metadata={"example": None})
    error = fields.String(required=True, metadata={"example": ""})
    file_name = fields.String(required=True, metadata={"example": "patients.csv"})
    sha256 = fields.String(required=True, allow_none=True, metadata={"example": "5e" * 32})
    has_result = fields.Boolean(required=True, metadata={"example": True})


class BulkJobListSchema(Schema):
    items = fields.List(fields.Nested(BulkJobSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class RowSchema(Schema):
    number = fields.Integer(required=True, metadata={"example": 2})
    state = fields.String(required=True, metadata={"enum": ROW_STATES, "example": "skipped"})
    label = fields.String(required=True, metadata={"example": "Nina Okafor, born 1990-02-03"})
    detail = fields.String(required=True, metadata={"example": "Already a patient: the same e-mail address as ..."})
    object_id = fields.UUID(required=True, allow_none=True)


class RowListSchema(Schema):
    items = fields.List(fields.Nested(RowSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ClockSchema(Schema):
    clock = fields.String(required=True, metadata={"example": "desk-1, process 4711"})
    since = Instant(required=True, metadata={"example": "2026-12-01T06:00:00Z"})
    seen_at = Instant(required=True, metadata={"example": "2026-12-01T09:00:00Z"})


class TimetableRowSchema(Schema):
    name = fields.String(required=True, metadata={"example": "send-letters"})
    what = fields.String(required=True, metadata={"example": "Sends what is due."})
    every_seconds = fields.Integer(required=True, metadata={"example": 15})
    queue = fields.String(required=True, metadata={"example": "letters"})
    next_at = Instant(required=True, allow_none=True, metadata={"example": "2026-12-01T09:00:15Z"})
    started_at = Instant(required=True, allow_none=True, metadata={"example": "2026-12-01T09:00:00Z"})
    ended_at = Instant(required=True, allow_none=True, metadata={"example": "2026-12-01T09:00:01Z"})
    took_ms = fields.Integer(required=True, allow_none=True, metadata={"example": 840})
    did = fields.Integer(required=True, allow_none=True, metadata={"example": 3})
    runs = fields.Integer(required=True, metadata={"example": 5760})
    did_in_all = fields.Integer(required=True, metadata={"example": 911})
    failures = fields.Integer(required=True, metadata={"example": 0})
    failed_at = Instant(required=True, allow_none=True, metadata={"example": None})
    error = fields.String(required=True, metadata={"example": ""})


class TimetableSchema(Schema):
    clock = fields.Nested(
        ClockSchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "The one that leads, or led last",
            "example": {
                "clock": "desk-1, process 4711",
                "since": "2026-12-01T06:00:00Z",
                "seen_at": "2026-12-01T09:00:00Z",
            },
        },
    )
    troubles = fields.List(fields.String(), required=True, metadata={"description": "What stands still, in sentences"})
    items = fields.List(fields.Nested(TimetableRowSchema), required=True)
