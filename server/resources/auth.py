"""Identity: register, confirm, sign in, rotate. Nothing here tells whether an address is known."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import current_app, request
from flask_jwt_extended import create_access_token, create_refresh_token, get_jwt, verify_jwt_in_request

from server.resources.schemas.auth import (
    AcceptedSchema,
    ConfirmSchema,
    ForgotPasswordSchema,
    LoginSchema,
    RegisterSchema,
    ResetPasswordSchema,
    TokensSchema,
)
from server.resources.schemas.fields import NothingSchema
from server.services import access, accounts, passwords, tokens
from server.utils.tokens import new_secret
from server.web.guards import anyone_by_api, guard
from server.web.identity import current_actor
from server.web.limits import new_password_limits, register_limit, sign_in_limits
from server.web.rest import Blueprint, MethodView

auth = Blueprint("auth", __name__, url_prefix="/api/v1/auth", description="Accounts and tokens")
guard(auth, anyone_by_api)


@auth.route("/register")
class Register(MethodView):
    decorators = [register_limit]

    @auth.doc(refusals=[429])
    @auth.arguments(RegisterSchema)
    @auth.response(202, AcceptedSchema)
    def post(self, body: dict[str, Any]) -> dict[str, str]:
        """Register a patient

        The answer is the same whether or not the e-mail is known; a letter says what comes next.
        """
        accounts.register_patient(**body, actor=current_actor())
        return {"detail": "A letter is on its way to this address."}


@auth.route("/confirm")
class Confirm(MethodView):
    decorators = [register_limit]

    @auth.doc(refusals=[429])
    @auth.arguments(ConfirmSchema)
    @auth.response(204)
    def post(self, body: dict[str, str]) -> None:
        """Confirm the e-mail address with the token of the letter"""
        accounts.confirm_account(body["token"], actor=current_actor())


@auth.route("/forgot-password")
class ForgotPassword(MethodView):
    decorators = [*reversed(new_password_limits)]  # the last one is asked first

    @auth.doc(refusals=[429])
    @auth.arguments(ForgotPasswordSchema)
    @auth.response(202, AcceptedSchema)
    def post(self, body: dict[str, str]) -> dict[str, str]:
        """Ask for a letter with which a new password can be set

        The answer is the same whether or not the e-mail is known.
        """
        passwords.ask_for_new(body["email"], actor=current_actor())
        return {"detail": "If there is an account with this address, a letter is on its way to it."}


@auth.route("/reset-password")
class ResetPassword(MethodView):
    decorators = [register_limit]

    @auth.doc(refusals=[429])
    @auth.arguments(ResetPasswordSchema)
    @auth.response(204)
    def post(self, body: dict[str, str]) -> None:
        """Set a new password with the token of the letter; every sign-in of the account ends"""
        passwords.set_new(body["token"], password=body["password"], actor=current_actor())


@auth.route("/login")
class Login(MethodView):
    decorators = [*reversed(sign_in_limits)]

    @auth.doc(refusals=[401, 403, 429])
    @auth.arguments(LoginSchema)
    @auth.response(200, TokensSchema)
    def post(self, body: dict[str, str]) -> dict[str, Any]:
        """Sign in: an access token and a refresh token

        Where the account has a second factor, `code` is needed, too: of the authenticator app, or a recovery code.
        Without it, or with a wrong one, the answer is 401 `second-factor-required`. Staff without a second factor get
        403 `second-factor-missing`, where the clinic wants one of them.
        """
        actor, agent = current_actor(), request.user_agent.string
        user = accounts.sign_in(**body, agent=agent, actor=actor)
        if current_app.config["FRONTDESK"].staff_second_factor:
            access.demand_second_factor(actor=access.actor_for(user.id))
        secret = new_secret()
        family_id = tokens.begin_family(user.id, secret=secret, lifetime=_refresh_lifetime(), actor=actor, agent=agent)
        return _pair(user.id, family_id, secret)


@auth.route("/refresh")
class Refresh(MethodView):
    @auth.doc(refusals=[401], security=[{"bearer": []}])
    @auth.arguments(NothingSchema, required=False)
    @auth.response(200, TokensSchema)
    def post(self, _body: dict[str, Any]) -> dict[str, Any]:
        """A new pair for a refresh token

        The refresh token is sent as Bearer and is used up. One that comes twice ends the whole sign-in, unless it comes
        within five seconds: requests that cross get the same new refresh token.
        """
        verify_jwt_in_request(refresh=True)
        claims = get_jwt()
        user_id, family_id = UUID(claims["sub"]), UUID(claims["fam"])
        secret = tokens.rotate(
            family_id=family_id,
            old_secret=claims["sec"],
            secret_key=current_app.config["SECRET_KEY"],
            lifetime=_refresh_lifetime(),
            actor=current_actor(),
        )
        access.actor_for(user_id, family_id=family_id)  # the account may have been switched off meanwhile
        return _pair(user_id, family_id, secret)


def _refresh_lifetime() -> timedelta:
    return current_app.config["JWT_REFRESH_TOKEN_EXPIRES"]


def _pair(user_id: UUID, family_id: UUID, secret: str) -> dict[str, Any]:
    family, headers = {"fam": str(family_id)}, current_app.config["JWT_HEADERS"]
    return {
        "access_token": create_access_token(str(user_id), additional_claims=family, additional_headers=headers),
        "refresh_token": create_refresh_token(
            str(user_id), additional_claims={**family, "sec": secret}, additional_headers=headers
        ),
        "expires_in": int(current_app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()),
    }
