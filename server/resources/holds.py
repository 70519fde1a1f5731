"""Holds: a time kept while somebody decides."""

from typing import Any
from uuid import UUID

from flask import current_app, url_for

from server.resources.schemas.appointments import HoldRequestSchema, HoldSchema
from server.services import holds as service
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import hold_limit
from server.web.rest import Blueprint, MethodView

holds = Blueprint("holds", __name__, url_prefix="/api/v1/holds", description="Holds")
guard(holds, account_by_api)


@holds.route("")
class Holds(MethodView):
    decorators = [idempotent, hold_limit]

    @holds.doc(refusals=[403, 404, 409, 429], shows=["Location"])
    @holds.arguments(HoldRequestSchema)
    @holds.response(201, HoldSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Hold a time for some minutes; two at most for one person"""
        minutes = current_app.config["FRONTDESK"].hold_minutes
        held = service.hold_time(**body, minutes=minutes, actor=current_actor())
        return held, {"Location": url_for("holds.HoldById", hold_id=held.id)}


@holds.route("/<uuid:hold_id>")
class HoldById(MethodView):
    @holds.doc(refusals=[404])
    @holds.response(204)
    def delete(self, hold_id: UUID) -> None:
        """Give a held time back"""
        service.release_hold(hold_id, actor=current_actor())
