"""The signed-in account: who am I, for whom may I act, sign out."""

from typing import Any
from uuid import UUID

from flask.views import MethodView
from flask_jwt_extended import get_jwt
from flask_smorest import Blueprint

from server.resources.schemas.auth import MeSchema
from server.services import people, tokens
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor

account = Blueprint("account", __name__, url_prefix="/api/v1", description="The signed-in account")
guard(account, account_by_api)


@account.route("/me")
class Me(MethodView):
    @account.response(200, MeSchema)
    def get(self) -> dict[str, Any]:
        """The account, its roles, and the patients it may act for"""
        actor = current_actor()
        return {
            "id": actor.user_id,
            "email": actor.email,
            "name": actor.name,
            "roles": sorted(actor.roles),
            "second_factors": [],
            "patients": people.patients_of(actor),
        }


@account.route("/auth/logout")
class Logout(MethodView):
    @account.response(204)
    def post(self) -> None:
        """Sign out: every token of this sign-in is dead at once"""
        tokens.end_family(UUID(get_jwt()["fam"]), actor=current_actor())
