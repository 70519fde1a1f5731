"""Hours: weekly ones and extra openings."""

from typing import Any
from uuid import UUID

from flask import url_for

from server.resources.schemas.schedules import (
    ScheduleChangedSchema,
    ScheduleChangeSchema,
    ScheduleListSchema,
    ScheduleQuerySchema,
    ScheduleRequestSchema,
    ScheduleSchema,
)
from server.services import schedules as hours
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.paging import decode_cursor, encode_cursor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

schedules = Blueprint("schedules", __name__, url_prefix="/api/v1/schedules", description="Hours")
guard(schedules, account_by_api)


@schedules.route("")
class Schedules(MethodView):
    @schedules.doc(refusals=[403])
    @schedules.arguments(ScheduleQuerySchema, location="query")
    @schedules.response(200, ScheduleListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Hours of a practitioner or location (staff)"""
        after = decode_cursor(query.pop("cursor", None))
        found, position = hours.list_schedules(**query, after=after, actor=current_actor())
        return {"items": found, "next_cursor": encode_cursor(position) if position else None}

    @idempotent
    @schedules.doc(refusals=[403], shows=["ETag", "Location"])
    @schedules.arguments(ScheduleRequestSchema)
    @schedules.response(201, ScheduleSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Add weekly hours, or an extra opening on one date (staff)"""
        made = hours.create_schedule(**body, actor=current_actor())
        location = url_for("schedules.ScheduleById", schedule_id=made.id)
        return made, {"ETag": etag(made.version), "Location": location}


@schedules.route("/<uuid:schedule_id>")
class ScheduleById(MethodView):
    @schedules.doc(refusals=[404], shows=["ETag"], cacheable=True)
    @schedules.response(200, ScheduleSchema)
    def get(self, schedule_id: UUID) -> Any:
        """Hours on one weekday (staff)"""
        found = hours.read_schedule(schedule_id, actor=current_actor())
        return found, {"ETag": etag(found.version)}

    @schedules.doc(refusals=[403, 404, 412, 428], shows=["ETag"])
    @schedules.arguments(ScheduleChangeSchema)
    @schedules.response(200, ScheduleChangedSchema)
    def patch(self, changes: dict[str, Any], schedule_id: UUID) -> Any:
        """Change hours; answers the visits that then lie outside of any

        They stay where they are until somebody decides; `GET /stranded-appointments` lists them, too.
        """
        version = version_from_if_match(required=True)
        changed = hours.change_schedule(schedule_id, changes, if_version=version, actor=current_actor())
        return changed, {"ETag": etag(changed.schedule.version)}

    @schedules.doc(refusals=[403, 404, 412])
    @schedules.response(200, ScheduleChangedSchema)
    def delete(self, schedule_id: UUID) -> Any:
        """Remove hours; answers the visits that then lie outside of any"""
        version = version_from_if_match(required=False)
        return hours.delete_schedule(schedule_id, if_version=version, actor=current_actor())
