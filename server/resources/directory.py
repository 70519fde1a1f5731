"""The public directory: locations, services, practitioners. Cached, with ETags; open to everybody."""

from typing import Any
from uuid import UUID

from flask import Response, json, jsonify
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema

from server.resources.schemas.directory import (
    LocationListSchema,
    LocationSchema,
    PractitionerListSchema,
    PractitionerQuerySchema,
    PractitionerSchema,
    ServiceChangeSchema,
    ServiceListSchema,
    ServiceSchema,
)
from server.services import directory as listing
from server.web.caching import cached_json
from server.web.guards import account_by_api, anyone_by_api, guard
from server.web.identity import current_actor
from server.web.preconditions import etag, version_from_if_match, with_etag

directory = Blueprint("directory", __name__, url_prefix="/api/v1", description="Public directory")
guard(directory, anyone_by_api)
directory_changes = Blueprint("directory_changes", __name__, url_prefix="/api/v1", description="Set-up")
guard(directory_changes, account_by_api)


@directory.route("/locations")
class Locations(MethodView):
    @directory.response(200, LocationListSchema)
    def get(self) -> Response:
        """The clinic's locations"""
        return cached_json(lambda: _list(LocationSchema(), listing.locations()))


@directory.route("/locations/<uuid:location_id>")
class LocationById(MethodView):
    @directory.response(200, LocationSchema)
    def get(self, location_id: UUID) -> Response:
        """One location"""
        return cached_json(lambda: json.dumps(LocationSchema().dump(listing.location(location_id))))


@directory.route("/services")
class Services(MethodView):
    @directory.response(200, ServiceListSchema)
    def get(self) -> Response:
        """What can be booked"""
        return cached_json(lambda: _list(ServiceSchema(), listing.services()))


@directory.route("/services/<uuid:service_id>")
class ServiceById(MethodView):
    @directory.response(200, ServiceSchema)
    def get(self, service_id: UUID) -> Response:
        """One service; its ETag is what a change must name"""
        found = listing.service(service_id)
        response = jsonify(ServiceSchema().dump(found))
        response.headers["Cache-Control"] = "public, no-cache"
        return with_etag(response, found.version)


@directory.route("/practitioners")
class Practitioners(MethodView):
    @directory.arguments(PractitionerQuerySchema, location="query")
    @directory.response(200, PractitionerListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """Practitioners, of one service, location or language"""
        return cached_json(lambda: _list(PractitionerSchema(), listing.practitioners(**query)))


@directory.route("/practitioners/<uuid:practitioner_id>")
class PractitionerById(MethodView):
    @directory.response(200, PractitionerSchema)
    def get(self, practitioner_id: UUID) -> Response:
        """One practitioner"""
        return cached_json(lambda: json.dumps(PractitionerSchema().dump(listing.practitioner(practitioner_id))))


@directory_changes.route("/services/<uuid:service_id>")
class ServiceChange(MethodView):
    @directory_changes.arguments(ServiceChangeSchema)
    @directory_changes.response(200, ServiceSchema)
    def patch(self, changes: dict[str, Any], service_id: UUID) -> Any:
        """Change a service (administrators); needs If-Match"""
        version = version_from_if_match(required=True)
        changed = listing.update_service(service_id, changes, if_version=version, actor=current_actor())
        return changed, {"ETag": etag(changed.version)}


def _list(schema: Schema, found: Any) -> str:
    return json.dumps({"items": schema.dump(found, many=True), "next_cursor": None})
