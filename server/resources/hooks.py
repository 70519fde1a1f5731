"""Doors for the gateway of texts: what people reply, and what became of what we sent. No part of the API."""

from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from flask import Blueprint, Response, current_app, jsonify, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from webargs import missing

from server.errors import Invalid
from server.extensions import csrf
from server.services import receipts, replies
from server.web.guards import guard
from server.web.identity import current_actor
from server.web.limits import hook_limit
from server.web.rest import read_json
from server.web.signatures import signed_by_text_gateway

hooks = Blueprint("hooks", __name__, url_prefix="/hooks")
guard(hooks, signed_by_text_gateway)
csrf.exempt(hooks)  # a signature and no cookie is what lets in


class TextSchema(Schema):
    id = fields.String(required=True, validate=validate.Length(1, 120))
    from_ = fields.String(required=True, data_key="from", validate=validate.Length(1, 40))
    text = fields.String(required=True, validate=validate.Length(0, 2000))


class ReceiptSchema(Schema):
    id = fields.UUID(required=True)  # ours, as the gateway got it
    status = fields.String(required=True, validate=validate.Length(1, 40))
    detail = fields.String(load_default="", validate=validate.Length(0, 200))


@hooks.post("/texts")
@hook_limit
def take_text() -> Response:
    """A text of somebody: answers what the gateway is to write back, if anything."""
    is_twilio = _is_twilio()
    names = {"id": "MessageSid", "from": "From", "text": "Body"}
    sent = _read(TextSchema, {ours: request.form.get(theirs) for ours, theirs in names.items()} if is_twilio else None)
    answer = replies.take(
        sent["id"],
        number=sent["from_"],
        words=sent["text"],
        settings=current_app.config["FRONTDESK"],
        actor=current_actor(),
        is_answered=is_twilio and "OptOutType" in request.form,
    )
    if not is_twilio:
        return jsonify(reply=answer)
    message = f"<Message>{escape(answer)}</Message>" if answer else ""
    xml = f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>'
    return Response(xml, content_type="text/xml; charset=utf-8")


@hooks.post("/texts/status")
@hook_limit
def take_receipt() -> Response:
    """What became of a text: queued, sent and the like are heard and forgotten."""
    form: dict[str, Any] | None = None
    if _is_twilio():
        code = request.form.get("ErrorCode", "")
        detail = f"The network says: error {code}." if code else ""
        form = {"id": request.args.get("message"), "status": request.form.get("MessageStatus"), "detail": detail}
    sent = _read(ReceiptSchema, form)
    message_id: UUID = sent["id"]
    receipts.take(message_id, sent["status"], detail=sent["detail"])
    return Response(status=204)


def _is_twilio() -> bool:
    return bool(current_app.config["FRONTDESK"].sms_gateway == "twilio")


def _read(schema: type[Schema], form: dict[str, Any] | None) -> dict[str, Any]:
    """What was sent, in a form or as JSON; gateways may tell more than we ask for. Raises Invalid."""
    body = form if form is not None else read_json()
    if body is missing:
        raise Invalid("Send a JSON object.")
    try:
        return dict(schema(unknown=EXCLUDE).load(body))
    except ValidationError as error:
        raise Invalid("Some of what was sent is not right.", errors=error.normalized_messages()) from error
