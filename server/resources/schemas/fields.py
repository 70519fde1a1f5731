"""Field types of the contract that marshmallow does not bring."""

from datetime import date, datetime
from typing import Any

from marshmallow import Schema, fields, validate

from server.utils.text import clean_line, clean_text


class StrictSchema(Schema):
    """Unknown fields are an error, never ignored; members keep their order."""

    class Meta:
        unknown = "raise"


class Line(fields.String):
    """One line of a person's text, cleaned of control characters. `max`: characters."""

    def __init__(self, *, max: int, min: int = 0, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=min, max=max), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return clean_line(super()._deserialize(value, attr, data, **kwargs))


class Text(Line):
    """Several lines of a person's text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return clean_text(fields.String._deserialize(self, value, attr, data, **kwargs))


class Instant(fields.AwareDateTime):
    """RFC 3339 with an offset; a time without one is refused, because it would be a guess."""

    default_error_messages = {
        "invalid_awareness": "Give the offset, for example 2026-12-01T09:00:00+01:00 or ...Z.",
        "invalid": "Not an instant of RFC 3339, such as 2026-12-01T09:00:00Z.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        parsed = super()._deserialize(value, attr, data, **kwargs)
        if not 1900 < parsed.year < 2200:
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return parsed

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        text = super()._serialize(value, attr, obj, **kwargs)
        return str(text).replace("+00:00", "Z") if text is not None else None


class InstantOrDate(fields.String):
    """An instant with offset or a plain date (which then means the location's day)."""

    default_error_messages = {"invalid_moment": "Neither an instant with offset nor a date (YYYY-MM-DD)."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            parsed = date.fromisoformat(text) if len(text) == 10 else _aware(text)
        except ValueError as error:
            raise self.make_error("invalid_moment") from error
        if not 1900 < parsed.year < 2200:
            raise self.make_error("invalid_moment")
        return parsed


class InstantOrWallTime(fields.String):
    """An instant with offset, or a wall time without (which then is the location's)."""

    default_error_messages = {"invalid_moment": "Not a time such as 2026-12-01T09:00:00Z or 2026-12-01T09:00."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            parsed = datetime.fromisoformat(super()._deserialize(value, attr, data, **kwargs).replace(" ", "+"))
        except ValueError as error:
            raise self.make_error("invalid_moment") from error
        if not 1900 < parsed.year < 2200:
            raise self.make_error("invalid_moment")
        return parsed


def _aware(text: str) -> datetime:
    parsed = datetime.fromisoformat(text.replace(" ", "+"))  # a "+" that a form decoded
    if parsed.tzinfo is None:
        raise ValueError("no offset")
    return parsed


class ProblemSchema(Schema):
    """RFC 9457, as every error under /api is answered."""

    type = fields.String(required=True, metadata={"description": "A stable slug", "example": "slot-taken"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "By field, for 422"},
    )
    reasons = fields.List(fields.Dict(keys=fields.String(), values=fields.String()))
    alternatives = fields.List(fields.Dict(keys=fields.String(), values=fields.String()))
    request_id = fields.String(required=True)
