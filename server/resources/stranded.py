"""Visits that lie where nobody will be."""

from typing import Any

from server.resources.schemas.fields import PageQuerySchema
from server.resources.schemas.schedules import StrandedListSchema
from server.services.stranded import list_stranded
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor
from server.web.paging import decode_cursor, encode_cursor
from server.web.rest import Blueprint, MethodView

stranded = Blueprint("stranded", __name__, url_prefix="/api/v1/stranded-appointments", description="Stranded visits")
guard(stranded, account_by_api)


@stranded.route("")
class StrandedAppointments(MethodView):
    @stranded.doc(refusals=[403])
    @stranded.arguments(PageQuerySchema, location="query")
    @stranded.response(200, StrandedListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Visits in a closure, at a busy time of another calendar, or outside of hours (staff)"""
        after = decode_cursor(query.pop("cursor", None))
        found, position = list_stranded(**query, after=after, actor=current_actor())
        return {"items": found, "next_cursor": encode_cursor(position) if position else None}
