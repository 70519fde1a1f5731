"""What staff set up: services, rooms and devices, rules of practitioners, referrals, settings."""

from typing import Any
from uuid import UUID

from flask import url_for

from server.resources.schemas.directory import NewServiceSchema, ServiceChangeSchema, ServiceSchema
from server.resources.schemas.set_up import (
    NewRoomSchema,
    ReferralListSchema,
    ReferralQuerySchema,
    ReferralRequestSchema,
    ReferralSchema,
    RoomChangeSchema,
    RoomListSchema,
    RoomQuerySchema,
    RoomSchema,
    RuleListSchema,
    RuleRequestSchema,
    RuleSchema,
    SettingsChangeSchema,
    SettingsSchema,
)
from server.services import set_up as service
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

set_up = Blueprint("set_up", __name__, url_prefix="/api/v1", description="Set-up")
guard(set_up, account_by_api)


def _versioned(row: Any, **headers: str) -> tuple[Any, dict[str, str]]:
    return row, {"ETag": etag(row.version), **headers}


@set_up.route("/services")
class NewService(MethodView):
    decorators = [idempotent]

    @set_up.doc(refusals=[403], shows=["ETag", "Location"])
    @set_up.arguments(NewServiceSchema)
    @set_up.response(201, ServiceSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Add a service (administrators)"""
        created = service.create_service(body, actor=current_actor())
        return _versioned(created, Location=url_for("directory.ServiceById", service_id=created.id))


@set_up.route("/services/<uuid:service_id>")
class ServiceChange(MethodView):
    @set_up.doc(refusals=[403, 404, 412, 428], shows=["ETag"])
    @set_up.arguments(ServiceChangeSchema)
    @set_up.response(200, ServiceSchema)
    def patch(self, changes: dict[str, Any], service_id: UUID) -> Any:
        """Change a service (administrators); needs If-Match"""
        version = version_from_if_match(required=True)
        return _versioned(service.update_service(service_id, changes, if_version=version, actor=current_actor()))


@set_up.route("/rooms")
class Rooms(MethodView):
    @set_up.doc(refusals=[403])
    @set_up.arguments(RoomQuerySchema, location="query")
    @set_up.response(200, RoomListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Rooms and devices (staff)"""
        return {"items": service.list_rooms(**query, actor=current_actor())}

    @idempotent
    @set_up.doc(refusals=[403], shows=["ETag"])
    @set_up.arguments(NewRoomSchema)
    @set_up.response(201, RoomSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Add a room or device (administrators)"""
        return _versioned(service.create_room(body, actor=current_actor()))


@set_up.route("/rooms/<uuid:room_id>")
class RoomById(MethodView):
    @set_up.doc(refusals=[403, 404, 412, 428], shows=["ETag"])
    @set_up.arguments(RoomChangeSchema)
    @set_up.response(200, RoomSchema)
    def patch(self, changes: dict[str, Any], room_id: UUID) -> Any:
        """Change a room or device, or take it out of use (administrators); needs If-Match"""
        version = version_from_if_match(required=True)
        return _versioned(service.update_room(room_id, changes, if_version=version, actor=current_actor()))


@set_up.route("/practitioners/<uuid:practitioner_id>/rules")
class Rules(MethodView):
    @set_up.doc(refusals=[403, 404])
    @set_up.response(200, RuleListSchema)
    def get(self, practitioner_id: UUID) -> dict[str, Any]:
        """Where this practitioner's rules differ from the services' (staff)"""
        return {"items": service.list_rules(practitioner_id, actor=current_actor())}


@set_up.route("/practitioners/<uuid:practitioner_id>/rules/<uuid:service_id>")
class RuleByService(MethodView):
    @set_up.doc(refusals=[403, 404])
    @set_up.arguments(RuleRequestSchema)
    @set_up.response(200, RuleSchema)
    def put(self, body: dict[str, Any], practitioner_id: UUID, service_id: UUID) -> Any:
        """Rules of their own for one service, as a whole (administrators)"""
        return service.put_rule(practitioner_id, service_id, body, actor=current_actor())

    @set_up.doc(refusals=[403, 404])
    @set_up.response(204)
    def delete(self, practitioner_id: UUID, service_id: UUID) -> None:
        """The service's rules again (administrators)"""
        service.delete_rule(practitioner_id, service_id, actor=current_actor())


@set_up.route("/referrals")
class Referrals(MethodView):
    @set_up.doc(refusals=[403, 404])
    @set_up.arguments(ReferralQuerySchema, location="query")
    @set_up.response(200, ReferralListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """A patient's referrals: mine, or for staff anybody's"""
        return {"items": service.list_referrals(query.get("patient_id"), actor=current_actor())}

    @idempotent
    @set_up.doc(refusals=[403, 404])
    @set_up.arguments(ReferralRequestSchema)
    @set_up.response(201, ReferralSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Take down a referral (staff)"""
        return service.add_referral(**body, actor=current_actor())


@set_up.route("/referrals/<uuid:referral_id>")
class ReferralById(MethodView):
    @set_up.doc(refusals=[403, 404])
    @set_up.response(204)
    def delete(self, referral_id: UUID) -> None:
        """Remove a referral (staff)"""
        service.remove_referral(referral_id, actor=current_actor())


@set_up.route("/settings")
class Settings(MethodView):
    @set_up.doc(shows=["ETag"])
    @set_up.response(200, SettingsSchema)
    def get(self) -> Any:
        """What the clinic decides for itself"""
        return _versioned(service.read_settings())

    @set_up.doc(refusals=[403, 412, 428], shows=["ETag"])
    @set_up.arguments(SettingsChangeSchema)
    @set_up.response(200, SettingsSchema)
    def patch(self, changes: dict[str, Any]) -> Any:
        """Change settings (administrators); needs If-Match"""
        version = version_from_if_match(required=True)
        return _versioned(service.update_settings(changes, if_version=version, actor=current_actor()))
