"""How the clinic appears on pages and in letters."""

from typing import Any

from flask import current_app, url_for

from server.resources.schemas.letters import AppearanceChangeSchema, AppearanceSchema
from server.services import appearance as service
from server.services.appearance import Appearance as Look
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

appearance = Blueprint("appearance", __name__, url_prefix="/api/v1/settings", description="Appearance")
guard(appearance, account_by_api)


@appearance.route("/appearance")
class Appearance(MethodView):
    @appearance.doc(shows=["ETag"])
    @appearance.response(200, AppearanceSchema)
    def get(self) -> Any:
        """The clinic's name, logo, colour and signature; empty is the standard"""
        return _shown(service.read(current_app.config["FRONTDESK"]))

    @appearance.doc(refusals=[403, 412, 428], shows=["ETag"])
    @appearance.arguments(AppearanceChangeSchema)
    @appearance.response(200, AppearanceSchema)
    def patch(self, changes: dict[str, Any]) -> Any:
        """Change how the clinic appears (administrators); needs If-Match"""
        version = version_from_if_match(required=True)
        settings = current_app.config["FRONTDESK"]
        return _shown(service.change(changes, if_version=version, settings=settings, actor=current_actor()))


def _shown(look: Look) -> Any:
    logo = url_for("patient.show_logo", fingerprint=look.logo_fingerprint) if look.logo_fingerprint else None
    return {**vars(look), "logo_url": logo}, {"ETag": etag(look.version)}
