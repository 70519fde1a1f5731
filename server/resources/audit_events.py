"""What is on record: for auditors all of it, for people and staff who had to do with one patient's record."""

from typing import Any
from uuid import UUID

from server.resources.schemas.audit_events import (
    AccessListSchema,
    AuditEventListSchema,
    AuditEventQuerySchema,
)
from server.resources.schemas.fields import PageQuerySchema
from server.services import audit_search
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor
from server.web.paging import decode_cursor, encode_cursor
from server.web.rest import Blueprint, MethodView

audit_events = Blueprint("audit_events", __name__, url_prefix="/api/v1", description="What is on record")
guard(audit_events, account_by_api)


@audit_events.route("/audit-events")
class AuditEvents(MethodView):
    @audit_events.doc(refusals=[403])
    @audit_events.arguments(AuditEventQuerySchema, location="query")
    @audit_events.response(200, AuditEventListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Who did what, for whom and from where, newest first (auditors)"""
        after = decode_cursor(query.pop("cursor", None))
        found, position = audit_search.search(**query, after=after, actor=current_actor())
        items = [line.event for line in found]
        return {"items": items, "next_cursor": encode_cursor(position) if position else None}


@audit_events.route("/patients/<uuid:patient_id>/access-log")
class AccessLog(MethodView):
    @audit_events.doc(refusals=[403, 404])
    @audit_events.arguments(PageQuerySchema, location="query")
    @audit_events.response(200, AccessListSchema)
    def get(self, query: dict[str, Any], patient_id: UUID) -> dict[str, Any]:
        """Who read or changed a patient's record, newest first (the patient, proxies, staff)"""
        found, position = audit_search.access_log(
            patient_id, limit=query["limit"], after=decode_cursor(query.get("cursor")), actor=current_actor()
        )
        return {"items": found, "next_cursor": encode_cursor(position) if position else None}
