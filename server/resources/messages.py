"""Reminders: their rules, what waits and what became of what left, and who wants them."""

from typing import Any
from uuid import UUID

from server.resources.schemas.fields import NothingSchema
from server.resources.schemas.messages import (
    MessageListSchema,
    MessageQuerySchema,
    MessageSchema,
    PreferencesChangeSchema,
    PreferencesSchema,
    ReminderRuleListSchema,
    ReminderRuleRequestSchema,
    ReminderRuleSchema,
)
from server.services import messages as outgoing
from server.services import reminders
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import test_letter_limit
from server.web.rest import Blueprint, MethodView

messages = Blueprint("messages", __name__, url_prefix="/api/v1", description="Messages")
guard(messages, account_by_api)


@messages.route("/reminder-rules")
class ReminderRules(MethodView):
    @messages.doc(refusals=[403])
    @messages.response(200, ReminderRuleListSchema)
    def get(self) -> dict[str, Any]:
        """When patients are reminded, or written to after a visit (staff)"""
        return {"items": reminders.list_rules(actor=current_actor())}

    @idempotent
    @messages.doc(refusals=[403])
    @messages.arguments(ReminderRuleRequestSchema)
    @messages.response(201, ReminderRuleSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Add a rule (administrators); it holds for booked visits, too"""
        return reminders.create_rule(body, actor=current_actor())


@messages.route("/reminder-rules/<uuid:rule_id>")
class ReminderRuleById(MethodView):
    @messages.doc(refusals=[403, 404])
    @messages.response(204)
    def delete(self, rule_id: UUID) -> None:
        """No more reminders by this rule (administrators)"""
        reminders.delete_rule(rule_id, actor=current_actor())


@messages.route("/reminder-rules/<uuid:rule_id>/test")
class ReminderRuleTest(MethodView):
    decorators = [idempotent, test_letter_limit]

    @messages.doc(refusals=[403, 404, 429])
    @messages.arguments(NothingSchema, required=False)
    @messages.response(202)
    def post(self, _body: dict[str, Any], rule_id: UUID) -> None:
        """Send me what this rule sends, about an invented visit (staff)"""
        reminders.send_test(rule_id, actor=current_actor())


@messages.route("/notifications")
class Notifications(MethodView):
    @messages.doc(refusals=[403])
    @messages.arguments(MessageQuerySchema, location="query")
    @messages.response(200, MessageListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """What goes out, or what became of it, by due time (staff); 200 at most"""
        found = outgoing.list_messages(
            from_at=query["from_"], to_at=query["to"], outcome=query.get("outcome"), actor=current_actor()
        )
        return {"items": found}


@messages.route("/notifications/<uuid:message_id>/retry")
class Retry(MethodView):
    decorators = [idempotent]

    @messages.doc(refusals=[403, 404, 409])
    @messages.arguments(NothingSchema, required=False)
    @messages.response(200, MessageSchema)
    def post(self, _body: dict[str, Any], message_id: UUID) -> Any:
        """Try a message again that failed (front desk)"""
        return outgoing.retry(message_id, actor=current_actor())


@messages.route("/patients/<uuid:patient_id>/reminder-preferences")
class Preferences(MethodView):
    @messages.doc(refusals=[403, 404])
    @messages.response(200, PreferencesSchema)
    def get(self, patient_id: UUID) -> Any:
        """Whether a patient is reminded"""
        return reminders.read_preferences(patient_id, actor=current_actor())

    @messages.doc(refusals=[403, 404])
    @messages.arguments(PreferencesChangeSchema)
    @messages.response(200, PreferencesSchema)
    def put(self, body: dict[str, Any], patient_id: UUID) -> Any:
        """Whether a patient is reminded, in which language, and in which zone their night is"""
        return reminders.set_preferences(patient_id, body, actor=current_actor())
