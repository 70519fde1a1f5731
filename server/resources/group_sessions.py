"""Group sessions: open to everybody to find, to staff to make. A seat is booked as an appointment."""

from typing import Any
from uuid import UUID

from flask import url_for

from server.resources.schemas.appointments import CancelSchema
from server.resources.schemas.group_sessions import (
    GroupSessionChangeSchema,
    GroupSessionListSchema,
    GroupSessionQuerySchema,
    GroupSessionRequestSchema,
    GroupSessionSchema,
)
from server.services import sessions
from server.web.guards import account_by_api, anyone_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.rest import Blueprint, MethodView

group_sessions = Blueprint("group_sessions", __name__, url_prefix="/api/v1/group-sessions", description="Groups")
guard(group_sessions, anyone_by_api)
group_sessions_of_staff = Blueprint(
    "group_sessions_of_staff", __name__, url_prefix="/api/v1/group-sessions", description="Groups"
)
guard(group_sessions_of_staff, account_by_api)


@group_sessions.route("")
class GroupSessions(MethodView):
    @group_sessions.arguments(GroupSessionQuerySchema, location="query")
    @group_sessions.response(200, GroupSessionListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Sessions by start, with how many places are free; 200 at most"""
        found = sessions.list_sessions(from_at=query.pop("from_"), to_at=query.pop("to"), **query)
        return {"items": [each.as_json() for each in found]}


@group_sessions.route("/<uuid:session_id>")
class GroupSessionById(MethodView):
    @group_sessions.doc(refusals=[404])
    @group_sessions.response(200, GroupSessionSchema)
    def get(self, session_id: UUID) -> Any:
        """One session"""
        return sessions.read_session(session_id).as_json()


@group_sessions_of_staff.route("")
class NewGroupSession(MethodView):
    decorators = [idempotent]

    @group_sessions_of_staff.doc(refusals=[403, 404, 409], shows=["Location"])
    @group_sessions_of_staff.arguments(GroupSessionRequestSchema)
    @group_sessions_of_staff.response(201, GroupSessionSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Plan a session of a service with capacity > 1 (staff)"""
        override = body.pop("override", {})
        made = sessions.create_session(**body, override_reason=override.get("reason", ""), actor=current_actor())
        return made.as_json(), {"Location": url_for("group_sessions.GroupSessionById", session_id=made.id)}


@group_sessions_of_staff.route("/<uuid:session_id>/capacity")
class GroupSessionCapacity(MethodView):
    @group_sessions_of_staff.doc(refusals=[403, 404, 409])
    @group_sessions_of_staff.arguments(GroupSessionChangeSchema)
    @group_sessions_of_staff.response(200, GroupSessionSchema)
    def put(self, body: dict[str, Any], session_id: UUID) -> Any:
        """More or fewer places, never fewer than are taken (staff)"""
        return sessions.change_capacity(session_id, **body, actor=current_actor()).as_json()


@group_sessions_of_staff.route("/<uuid:session_id>/cancel")
class GroupSessionCancel(MethodView):
    decorators = [idempotent]

    @group_sessions_of_staff.doc(refusals=[403, 404, 409])
    @group_sessions_of_staff.arguments(CancelSchema, required=False)
    @group_sessions_of_staff.response(200, GroupSessionSchema)
    def post(self, body: dict[str, Any], session_id: UUID) -> Any:
        """Cancel the session and every place in it; everybody is told (staff)"""
        return sessions.cancel_session(session_id, reason=body.get("reason", ""), actor=current_actor()).as_json()
