"""A practitioner's own calendar elsewhere."""

from typing import Any
from uuid import UUID

from flask import current_app

from server.resources.schemas.closures import ExternalCalendarRequestSchema, ExternalCalendarSchema
from server.services import external_calendars as calendars
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

external_calendars = Blueprint(
    "external_calendars",
    __name__,
    url_prefix="/api/v1/practitioners/<uuid:practitioner_id>/external-calendar",
    description="Practitioners' own calendars",
)
guard(external_calendars, account_by_api)


@external_calendars.route("")
class ExternalCalendar(MethodView):
    tells_more_than_its_etag = True

    @external_calendars.doc(refusals=[403, 404], shows=["ETag"])
    @external_calendars.response(200, ExternalCalendarSchema)
    def get(self, practitioner_id: UUID) -> Any:
        """How fresh it is; never its address (staff, or the practitioner)"""
        found = calendars.read_calendar(practitioner_id, actor=current_actor())
        return found, {"ETag": etag(found.version)}

    @external_calendars.doc(refusals=[403, 404, 412, 428], shows=["ETag"])
    @external_calendars.arguments(ExternalCalendarRequestSchema)
    @external_calendars.response(200, ExternalCalendarSchema)
    def put(self, body: dict[str, Any], practitioner_id: UUID) -> Any:
        """Enter or replace the address; its busy times are taken from then on"""
        version = version_from_if_match(required=True)
        found = calendars.set_calendar(
            practitioner_id,
            url=body["url"],
            if_version=version,
            private_urls=current_app.config["FRONTDESK"].allow_private_urls,
            actor=current_actor(),
        )
        return found, {"ETag": etag(found.version)}

    @external_calendars.doc(refusals=[403, 404, 412])
    @external_calendars.response(204)
    def delete(self, practitioner_id: UUID) -> None:
        """Forget the address and what was read from it"""
        version = version_from_if_match(required=False)
        calendars.remove_calendar(practitioner_id, if_version=version, actor=current_actor())
