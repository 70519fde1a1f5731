"""Field types of the contract that marshmallow does not bring, as strict as the description says they are."""

import re
from datetime import date, datetime, time
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from server.utils.text import clean_line, clean_text

# Python reads far more than the contract promises (week dates, digits of other scripts), so form comes first.
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_INSTANT = _DATE + r"[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
_TIME_OF_DAY = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_WALL_TIME = _DATE + r"T[0-9]{2}:[0-9]{2}(:[0-9]{2})?"


class StrictSchema(Schema):
    """Unknown fields are an error, never ignored; members keep their order."""

    class Meta:
        unknown = "raise"


class NothingSchema(StrictSchema):
    """An empty body, or {}."""


class Line(fields.String):
    """One line of a person's text, cleaned of control characters. `max`: characters, as sent and as kept."""

    def __init__(self, *, max: int, min: int = 0, pattern: str = "", **kwargs: Any) -> None:
        form = [validate.Regexp(pattern)] if pattern else []
        super().__init__(validate=[validate.Length(min=min, max=max), *form], **kwargs)
        self.max = max

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > self.max:
            raise ValidationError(f"At most {self.max} characters.")
        return self._clean(text)

    def _clean(self, text: str) -> str:
        return clean_line(text)


class Text(Line):
    """Several lines of a person's text."""

    def _clean(self, text: str) -> str:
        return clean_text(text)


class Flag(fields.Boolean):
    """true or false, and not 1, "yes" or "off"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Count(fields.Integer):
    """A whole number in a query string: decimal digits only."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch("[0-9]{1,9}", str(value)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Day(fields.Date):
    """A calendar date, YYYY-MM-DD."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:
        if not re.fullmatch(_DATE, str(value)):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return super()._deserialize(value, attr, data, **kwargs)


class WallTime(fields.String):
    """A time of the day on the clocks of the place, HH:MM."""

    default_error_messages = {"invalid_time": "Not a time of the day such as 09:30."}

    def __init__(self, *, metadata: dict[str, Any] | None = None, **kwargs: Any) -> None:
        metadata = {"pattern": f"^{_TIME_OF_DAY}$", "example": "09:30", **(metadata or {})}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(_TIME_OF_DAY, value):
            raise self.make_error("invalid_time")
        return time.fromisoformat(value)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else f"{value:%H:%M}"


class Instant(fields.AwareDateTime):
    """RFC 3339 with an offset; a time without one is refused, because it would be a guess."""

    default_error_messages = {"invalid": "Not an instant of RFC 3339 with its offset, such as 2026-12-01T09:00:00Z."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        parsed = _parse(value, _INSTANT)
        if not isinstance(parsed, datetime):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return parsed

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        text = super()._serialize(value, attr, obj, **kwargs)
        return str(text).replace("+00:00", "Z") if text is not None else None


class QueryInstant(Instant):
    """An instant in a query string, where a "+" that was not encoded arrives as a space."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        return super()._deserialize(_with_plus(value), attr, data, **kwargs)


class InstantOrDate(fields.String):
    """An instant with offset or a plain date (which then means the location's day)."""

    default_error_messages = {"invalid_moment": "Neither an instant with offset nor a date (YYYY-MM-DD)."}

    def __init__(self, *, metadata: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(required=True, metadata={"pattern": f"^({_DATE}|{_INSTANT})$", **metadata}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        parsed = _parse(_with_plus(value), _DATE, _INSTANT)
        if parsed is None:
            raise self.make_error("invalid_moment")
        return parsed


class InstantOrWallTime(fields.String):
    """An instant with offset, or a wall time without (which then is the location's)."""

    default_error_messages = {"invalid_moment": "Not a time such as 2026-12-01T09:00:00Z or 2026-12-01T09:00."}

    def __init__(self, *, metadata: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(required=True, metadata={"pattern": f"^({_WALL_TIME}|{_INSTANT})$", **metadata}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        parsed = _parse(_with_plus(value), _WALL_TIME, _INSTANT)
        if not isinstance(parsed, datetime):
            raise self.make_error("invalid_moment")
        return parsed


def _with_plus(value: Any) -> str:
    return str(value).replace(" ", "+")


def _parse(value: Any, *forms: str) -> datetime | date | None:
    """The date or time that `value` spells in one of these forms; None when it does not, or lies far off."""
    if not isinstance(value, str) or not any(re.fullmatch(form, value) for form in forms):
        return None
    try:
        parsed = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    return parsed if 1900 < parsed.year < 2200 else None


class PageQuerySchema(StrictSchema):
    """What every list takes."""

    limit = Count(load_default=50, validate=validate.Range(1, 200))
    cursor = fields.String(
        validate=validate.Length(min=1, max=500),
        metadata={"description": "`next_cursor` of the page before; opaque"},
    )


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
    missing = fields.List(fields.UUID(), metadata={"description": "Appointments that a plan leaves out"})
    state = fields.String(metadata={"description": "Of the appointment, when a step is not possible in it"})
    plan = fields.List(fields.Dict(keys=fields.String()), metadata={"description": "Of a series, visit by visit"})
    request_id = fields.String(required=True)
