"""Shapes of the clinic's appearance and of its own words in letters."""

import binascii
from base64 import b64decode
from typing import Any

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Line, StrictSchema, Text

COLOUR = "^(#[0-9a-fA-F]{6})?$"
MOST_DIGITS = 700_000  # of a logo in base64


class Base64(fields.String):
    """Bytes, as text (RFC 4648, section 4)."""

    def __init__(self, *, metadata: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(
            validate=validate.Length(max=MOST_DIGITS), metadata={"contentEncoding": "base64", **metadata}, **kwargs
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return b64decode(super()._deserialize(value, attr, data, **kwargs), validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.make_error("invalid") from error


class AppearanceSchema(Schema):
    clinic_name = fields.String(required=True, attribute="own_name", metadata={"example": "Riverside Clinic"})
    shown_name = fields.String(required=True, attribute="name", metadata={"example": "Riverside Clinic"})
    accent_colour = fields.String(required=True, metadata={"example": "#0b5394"})
    signature = fields.String(required=True, metadata={"example": "120 Riverside Drive\n+1 212 555 0100"})
    logo_url = fields.String(required=True, allow_none=True, metadata={"example": None})


class AppearanceChangeSchema(StrictSchema):
    clinic_name = Line(max=80, metadata={"example": "Riverside Clinic", "description": "Empty: CLINIC_NAME"})
    accent_colour = Line(max=7, pattern=COLOUR, metadata={"example": "#0b5394", "description": "Empty: the standard"})
    signature = Text(max=300, metadata={"example": "120 Riverside Drive\n+1 212 555 0100"})
    logo = Base64(
        allow_none=True,
        metadata={"example": None, "description": "A PNG, JPEG or WebP image of at most 500 kB; null: no logo"},
    )


class LetterSchema(Schema):
    name = fields.String(required=True, metadata={"example": "appointment-booked"})
    goes_to = fields.String(required=True, metadata={"example": "The patient"})
    when = fields.String(required=True, metadata={"example": "When a visit is booked, by whomever."})
    placeholders = fields.List(fields.String(), required=True, metadata={"example": ["given_name", "day"]})
    languages = fields.List(fields.String(), required=True, metadata={"example": ["de", "en"]})


class LetterListSchema(Schema):
    items = fields.List(fields.Nested(LetterSchema), required=True)


class LetterTextRequestSchema(StrictSchema):
    subject = Line(max=120, load_default="", metadata={"example": "See you on {day}"})
    introduction = Text(max=1000, load_default="", metadata={"example": "We look forward to your visit."})
    closing = Text(max=1000, load_default="", metadata={"example": "Please come ten minutes early."})


class LetterTextSchema(Schema):
    subject = fields.String(required=True, metadata={"example": "See you on {day}"})
    introduction = fields.String(required=True, metadata={"example": "We look forward to your visit."})
    closing = fields.String(required=True, metadata={"example": "Please come ten minutes early."})
    is_own = fields.Boolean(required=True, metadata={"example": True})
