"""Shapes of the identity routes."""

from marshmallow import Schema, fields, validate

from server.resources.schemas.fields import Day, Line, StrictSchema


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
    birth_date = Day(required=True, metadata={"example": "1988-04-12"})
    phone = Line(max=40, load_default="", metadata={"example": "+1 212 555 0100"})
    language = Line(max=6, pattern="^[a-z]{2,3}(-[A-Z]{2})?$", load_default=None, metadata={"example": "en"})


class ConfirmSchema(StrictSchema):
    token = fields.String(
        required=True, validate=validate.Length(min=1, max=500), metadata={"example": "WyIxMjM0IiwiYWJjZCJd.aRx..."}
    )


class ForgotPasswordSchema(StrictSchema):
    email = fields.String(required=True, validate=validate.Length(max=254), metadata={"example": "ana@example.com"})


class ResetPasswordSchema(ConfirmSchema):
    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(max=200),
        metadata={"example": "a long sentence of my own"},
    )


class LoginSchema(StrictSchema):
    email = fields.String(required=True, validate=validate.Length(max=254), metadata={"example": "ana@example.com"})
    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(max=200),
        metadata={"example": "frontdesk-demo-1"},
    )
    code = fields.String(
        validate=validate.Length(max=40),
        load_default="",
        metadata={"description": "Of the authenticator app, or a recovery code, when a second factor is set up"},
    )


class AcceptedSchema(Schema):
    detail = fields.String(required=True, metadata={"example": "A letter is on its way to this address."})


class TokensSchema(Schema):
    access_token = fields.String(required=True, metadata={"example": "eyJhbGciOiJIUzI1NiIs..."})
    refresh_token = fields.String(required=True, metadata={"example": "eyJhbGciOiJIUzI1NiIs..."})
    token_type = fields.String(
        required=True, dump_default="Bearer", validate=validate.Equal("Bearer"), metadata={"example": "Bearer"}
    )
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds", "example": 900})


class MyPatientSchema(Schema):
    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Ana Silva"})
    relationship = fields.String(
        required=True, metadata={"description": "self, or what was said when it was granted", "example": "self"}
    )
    may = fields.List(fields.String(), required=True, metadata={"example": ["book", "read"]})


class MeSchema(Schema):
    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "ana@example.com"})
    name = fields.String(required=True, metadata={"example": "Ana Silva"})
    roles = fields.List(fields.String(), required=True, metadata={"example": ["patient"]})
    second_factors = fields.List(fields.String(), required=True, metadata={"example": ["authenticator", "passkey"]})
    patients = fields.List(fields.Nested(MyPatientSchema), required=True)
