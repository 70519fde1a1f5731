"""Closures: leave, holidays and blocks, each with the plan for the visits in its way."""

from typing import Any
from uuid import UUID

from flask import Response, jsonify, url_for

from server.resources.schemas.closures import (
    ClosureChangeSchema,
    ClosureListSchema,
    ClosurePreviewRequestSchema,
    ClosureQuerySchema,
    ClosureRequestSchema,
    ClosureSchema,
    HolidayListSchema,
    HolidayQuerySchema,
    PreviewSchema,
    ProgressSchema,
)
from server.services import closures as closing
from server.services import public_holidays
from server.services.replacing import Proposal
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.paging import decode_cursor, encode_cursor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

closures = Blueprint("closures", __name__, url_prefix="/api/v1/closures", description="Leave, holidays and blocks")
guard(closures, account_by_api)


def _preview(proposals: list[Proposal]) -> Response:
    return jsonify(PreviewSchema().dump({"appointments": proposals}))


@closures.route("")
class Closures(MethodView):
    @closures.doc(refusals=[403])
    @closures.arguments(ClosureQuerySchema, location="query")
    @closures.response(200, ClosureListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Closures (staff); busy times of other calendars only with `kind=external`"""
        after = decode_cursor(query.pop("cursor", None))
        query |= {"from_at": query.pop("from_", None), "to_at": query.pop("to", None)}
        found, position = closing.list_closures(**query, after=after, actor=current_actor())
        return {"items": found, "next_cursor": encode_cursor(position) if position else None}

    @idempotent
    @closures.doc(refusals=[403, 409], shows=["ETag", "Location"])
    @closures.arguments(ClosureRequestSchema)
    @closures.alt_response(200, schema=PreviewSchema, description="With `dry_run`")
    @closures.response(201, ClosureSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Enter a closure together with a plan for every visit in its way

        With `dry_run` it answers these visits, with proposals, and changes nothing. Without, 409 `plan-incomplete`
        names the visits that the `plan` leaves out. A job carries the plan out; `GET /closures/{id}` shows how far.
        """
        if body.pop("dry_run"):
            whose = {name: body.get(name) for name in ("start", "end", "practitioner_id", "location_id")}
            return _preview(closing.preview_closure(**whose, actor=current_actor()))  # type: ignore[arg-type]
        made = closing.create_closure(**body, actor=current_actor())
        location = url_for("closures.ClosureById", closure_id=made.id)
        return made, {"ETag": etag(made.version), "Location": location}


@closures.route("/<uuid:closure_id>")
class ClosureById(MethodView):
    tells_more_than_its_etag = True

    @closures.doc(refusals=[403, 404], shows=["ETag"])
    @closures.response(200, ProgressSchema)
    def get(self, closure_id: UUID) -> Any:
        """One closure, how far its plan is, and what is still in its way (staff)"""
        found = closing.read_progress(closure_id, actor=current_actor())
        return found, {"ETag": etag(found.closure.version)}

    @closures.doc(refusals=[403, 404, 409, 412, 428], shows=["ETag"])
    @closures.arguments(ClosureChangeSchema)
    @closures.response(200, ClosureSchema)
    def patch(self, changes: dict[str, Any], closure_id: UUID) -> Any:
        """Other times or another reason, with a plan for what is newly in the way"""
        version = version_from_if_match(required=True)
        plan = changes.pop("plan")
        changed = closing.change_closure(closure_id, changes, plan=plan, if_version=version, actor=current_actor())
        return changed, {"ETag": etag(changed.version)}

    @closures.doc(refusals=[403, 404, 409, 412])
    @closures.response(204)
    def delete(self, closure_id: UUID) -> None:
        """Withdraw it: its time is free again; what was moved or cancelled stays so"""
        version = version_from_if_match(required=False)
        closing.delete_closure(closure_id, if_version=version, actor=current_actor())


@closures.route("/<uuid:closure_id>/preview")
class ClosurePreview(MethodView):
    @closures.doc(refusals=[403, 404])
    @closures.arguments(ClosurePreviewRequestSchema)
    @closures.response(200, PreviewSchema)
    def post(self, changes: dict[str, Any], closure_id: UUID) -> Any:
        """What is in the way of it, or would be at other times, and undecided; nothing is changed"""
        return {"appointments": closing.preview_change(closure_id, changes, actor=current_actor())}


@closures.route("/holidays")
class Holidays(MethodView):
    @closures.doc(refusals=[403, 404])
    @closures.arguments(HolidayQuerySchema, location="query")
    @closures.response(200, HolidayListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Public holidays of a location's country and region that are not entered yet (staff)"""
        return {"items": public_holidays.propose_holidays(**query, actor=current_actor())}
