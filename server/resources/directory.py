"""The public directory: locations, services, practitioners. Cached, with ETags; open to everybody."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from flask import Response, json, jsonify
from marshmallow import Schema

from server.resources.schemas.directory import (
    LocationListSchema,
    LocationSchema,
    PractitionerListSchema,
    PractitionerQuerySchema,
    PractitionerSchema,
    ServiceListSchema,
    ServiceSchema,
)
from server.resources.schemas.fields import PageQuerySchema
from server.services import directory as listing
from server.services.directory import Page
from server.web.caching import cached_json
from server.web.guards import anyone_by_api, guard
from server.web.paging import decode_cursor, encode_cursor
from server.web.preconditions import with_etag
from server.web.rest import Blueprint, MethodView

directory = Blueprint("directory", __name__, url_prefix="/api/v1", description="Public directory")
guard(directory, anyone_by_api)


@directory.route("/locations")
class Locations(MethodView):
    @directory.doc(shows=["ETag"], cacheable=True)
    @directory.arguments(PageQuerySchema, location="query")
    @directory.response(200, LocationListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """The clinic's locations"""
        return cached_json(lambda: _list(LocationSchema(), listing.locations, query))


@directory.route("/locations/<uuid:location_id>")
class LocationById(MethodView):
    @directory.doc(refusals=[404], shows=["ETag"], cacheable=True)
    @directory.response(200, LocationSchema)
    def get(self, location_id: UUID) -> Response:
        """One location"""
        return cached_json(lambda: json.dumps(LocationSchema().dump(listing.location(location_id))))


@directory.route("/services")
class Services(MethodView):
    @directory.doc(shows=["ETag"], cacheable=True)
    @directory.arguments(PageQuerySchema, location="query")
    @directory.response(200, ServiceListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """What can be booked"""
        return cached_json(lambda: _list(ServiceSchema(), listing.services, query))


@directory.route("/services/<uuid:service_id>")
class ServiceById(MethodView):
    @directory.doc(refusals=[404], shows=["ETag"], cacheable=True)
    @directory.response(200, ServiceSchema)
    def get(self, service_id: UUID) -> Response:
        """One service; its ETag is what a change must name"""
        found = listing.service(service_id)
        response = jsonify(ServiceSchema().dump(found))
        response.headers["Cache-Control"] = "public, no-cache"
        return with_etag(response, found.version)


@directory.route("/practitioners")
class Practitioners(MethodView):
    @directory.doc(shows=["ETag"], cacheable=True)
    @directory.arguments(PractitionerQuerySchema, location="query")
    @directory.response(200, PractitionerListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """Practitioners, of one service, location or language"""
        return cached_json(lambda: _list(PractitionerSchema(), listing.practitioners, query))


@directory.route("/practitioners/<uuid:practitioner_id>")
class PractitionerById(MethodView):
    @directory.doc(refusals=[404], shows=["ETag"], cacheable=True)
    @directory.response(200, PractitionerSchema)
    def get(self, practitioner_id: UUID) -> Response:
        """One practitioner"""
        return cached_json(lambda: json.dumps(PractitionerSchema().dump(listing.practitioner(practitioner_id))))


def _list(schema: Schema, find: Callable[..., Sequence[Any]], query: dict[str, Any]) -> str:
    """One page of a list by name, as JSON text."""
    limit, after = query.pop("limit"), decode_cursor(query.pop("cursor", None))
    found = find(**query, page=Page(limit + 1, after))
    more = {"name": found[limit - 1].name, "id": str(found[limit - 1].id)} if len(found) > limit else None
    cursor = encode_cursor(more) if more else None
    return json.dumps({"items": schema.dump(found[:limit], many=True), "next_cursor": cursor})
