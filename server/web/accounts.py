"""Sign-in on the pages: Flask-Security's views with our commands, letters and audit behind them."""

from typing import Any
from uuid import UUID

from flask import Flask, request, session, url_for
from flask_login import user_logged_in, user_logged_out
from flask_security import LoginForm, MailUtil, SQLAlchemyUserDatastore, current_user
from flask_security.utils import validate_redirect_url
from werkzeug.exceptions import UnsupportedMediaType

from server.extensions import db, security
from server.models import Passkey, Role, User
from server.services import access, audit, devices, outbox, tokens, transaction
from server.services.transaction import atomic
from server.web import second_factors
from server.web.identity import FAMILY, plain_visitor
from server.web.limits import second_step_limit, sign_in_again_limit, sign_in_limits

LIMITED = {
    "security.login": sign_in_limits,
    "security.verify": [sign_in_again_limit],
    "security.two_factor_token_validation": [second_step_limit],
    "security.mf_recovery": [second_step_limit],
    "security.wan_signin_response": [second_step_limit],
}


class Datastore(SQLAlchemyUserDatastore):
    """Flask-Security's way to the tables; the one place that commits does it for it, too."""

    def commit(self) -> None:
        transaction.commit()


class OutboxMail(MailUtil):
    """What Flask-Security wants to send goes through the outbox like every letter, so nobody waits for SMTP."""

    LETTERS = {"confirmation_instructions": "account-confirm", "welcome": "account-confirm"}

    def send_mail(  # type: ignore[override]
        self, template: str, *args: Any, user: User, **kwargs: Any
    ) -> None:
        with atomic():
            outbox.post(self.LETTERS[template], user_id=user.id)


class SignInForm(LoginForm):
    """Refusals go on record; somebody with the right password and an unconfirmed address gets a new letter."""

    def validate(self, **kwargs: Any) -> bool:
        accepted = bool(super().validate(**kwargs))
        self.next.data = self.next.data or url_for("patient_account.after_sign_in")  # else: back to where one came from
        if not accepted:
            with atomic():
                audit.record(
                    "account.signed-in",
                    actor=plain_visitor(),
                    object_type="User",
                    object_id=getattr(self.user, "id", None),
                    outcome="refused",
                )
                user: Any = self.user
                if self.requires_confirmation and user.active:
                    outbox.post("account-confirm", user_id=user.id)
        return accepted

    def validate_next(self, field: Any) -> None:
        """A way back that leads to another host is dropped, without a word to whoever was sent here with it."""
        if field.data and not validate_redirect_url(field.data):
            field.data = ""


def init_app(app: Flask) -> None:
    """Bind Flask-Security; its sign-in takes forms only, is limited, and goes on record."""
    for name, ours in {"mail_util_cls": OutboxMail, **second_factors.CLASSES}.items():
        setattr(security, f"_{name}", ours)  # init_app takes forms only, and ignores these without a word
    datastore = Datastore(db, User, Role, webauthn_model=Passkey)
    security.init_app(app, datastore, login_form=SignInForm, **second_factors.FORMS)
    second_factors.init_app(app)
    # A session is the only way in to the pages: Flask-Security would take tokens of its own, in headers and addresses.
    app.login_manager._request_callback = None  # type: ignore[attr-defined]
    # Nobody here asks Flask-Principal who it is, and it would look into the session for each request to know.
    security.principal.identity_loaders.clear()
    app.before_request(_forms_only)
    app.before_request(_limit_sign_in)
    user_logged_in.connect(_signed_in, app)
    user_logged_out.connect(_signed_out, app)


def _forms_only() -> None:
    # Flask-Security would read JSON here, and fail on a bare string.
    if request.blueprint == "security" and request.method == "POST" and request.is_json:
        raise UnsupportedMediaType("This page takes a form.")


def _limit_sign_in() -> None:
    if request.method == "POST":
        for limit in LIMITED.get(request.endpoint or "", ()):
            limit.demand()


def _signed_in(_app: Flask, user: User, **_: Any) -> None:
    agent, actor = request.user_agent.string, plain_visitor()
    with atomic():
        who = access.in_person(actor, user)
        audit.record("account.signed-in", actor=who, object_type="User", object_id=user.id)
        devices.note_sign_in(user.id, agent=agent, actor=actor)
        session[FAMILY] = str(tokens.begin_session(user.id, agent=agent, actor=actor))


def _signed_out(_app: Flask, user: Any = None, **_: Any) -> None:
    family_id = session.pop(FAMILY, None)
    if family_id is None:  # it had ended before, and the browser hears of it only now
        return
    who: Any = user or current_user
    with atomic():
        actor = access.in_person(plain_visitor(), who) if who.is_authenticated else plain_visitor()
        tokens.end_family(UUID(family_id), actor=actor)
        audit.record("account.signed-out", actor=actor, object_type="User", object_id=actor.user_id)
