"""Shapes of the identity routes."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Line, StrictSchema


class RegisterSchema(StrictSchema):
    email = fields.String(required=True, validate=validate.Length(max=254), metadata={"example": "ana@example.com"})
    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(max=200),
        metadata={"example": "a long sentence of my own"},
    )
    given_name = Line(required=True, min=1, max=100, metadata={"example": "Ana"})
    family_name = Line(required=True, min=1, max=100, metadata={"example": "Silva"})
    birth_date = fields.Date(required=True, metadata={"example": "1988-04-12"})
    phone = Line(max=40, load_default="", metadata={"example": "+1 212 555 0100"})
    language = fields.String(load_default="en", validate=validate.Regexp(r"^[a-z]{2,3}(-[A-Z]{2})?\Z"))


class ConfirmSchema(StrictSchema):
    token = fields.String(required=True, validate=validate.Length(min=1, max=500))


class LoginSchema(StrictSchema):
    email = fields.String(required=True, validate=validate.Length(max=254), metadata={"example": "ana@example.com"})
    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(max=200),
        metadata={"example": "frontdesk-demo-1"},
    )
    code = fields.String(
        validate=validate.Length(max=20), metadata={"description": "Of the second factor, when one is set up"}
    )


class AcceptedSchema(Schema):
    detail = fields.String(required=True)


class TokensSchema(Schema):
    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.Constant("Bearer")
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds"})


class MyPatientSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True)
    relationship = fields.String(required=True, metadata={"description": "self, or what was said when it was granted"})
    may = fields.List(fields.String(), required=True, metadata={"example": ["book", "read"]})


class MeSchema(Schema):
    id = fields.UUID(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    roles = fields.List(fields.String(), required=True)
    second_factors = fields.List(fields.String(), required=True)
    patients = fields.List(fields.Nested(MyPatientSchema), required=True)
