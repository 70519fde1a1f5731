"""The signed-in account: who am I, for whom may I act, sign out."""

from typing import Any

from flask import g

from server.resources.schemas.auth import MeSchema
from server.resources.schemas.fields import NothingSchema
from server.services import people, second_factor, tokens
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor
from server.web.rest import Blueprint, MethodView

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
            "second_factors": second_factor.names_of(actor),
            "patients": people.read_own(actor=actor),
        }


@account.route("/auth/logout")
class Logout(MethodView):
    @account.arguments(NothingSchema, required=False)
    @account.response(204)
    def post(self, _body: dict[str, Any]) -> None:
        """Sign out: every token of this sign-in is dead at once"""
        tokens.end_family(g.token_family_id, actor=current_actor())
