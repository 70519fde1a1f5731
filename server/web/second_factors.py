"""Second factors and passkeys on the pages: Flask-Security's views and ceremonies, with our rules behind them."""

import base64
import io
from typing import Any, NoReturn
from uuid import UUID

import qrcode
from flask import Flask, session
from flask_security import MfRecoveryCodesUtil, Totp, WebauthnUtil
from flask_security.forms import TwoFactorRescueForm, TwoFactorVerifyCodeForm, VerifyForm
from flask_security.recovery_codes import MfRecoveryForm
from flask_security.signals import wan_registered
from flask_security.tf_plugin import TwoFactorSelectForm
from flask_security.webauthn import (
    WebAuthnRegisterForm,
    WebAuthnRegisterResponseForm,
    WebAuthnSigninForm,
    WebAuthnSigninResponseForm,
)
from passlib.totp import TotpMatch
from qrcode.image.svg import SvgPathImage
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from wtforms import HiddenField

from server.errors import DomainError, NotVisible
from server.models import User
from server.services import audit, passkeys, second_factor
from server.services.transaction import atomic
from server.web.identity import current_actor, plain_visitor

CHALLENGE = "passkey_challenge"
# Flask-Security's pages whose place ours take: a secret is set up, and codes are made, by services/second_factor.py.
CLOSED = (
    "confirm_email",
    "mf_recovery_codes",
    "send_confirmation",
    "two_factor_rescue",
    "two_factor_setup",
    "two_factor_setup_validate",
    "wan_delete",
)


class OneTimeCodes(Totp):
    """Codes that are each used once, and a QR code without a third party."""

    def get_last_counter(self, user: Any) -> int | None:
        counter: int | None = user.tf_last_counter
        return counter

    def set_last_counter(self, user: Any, tmatch: TotpMatch) -> None:
        user.tf_last_counter = tmatch.counter

    def generate_qrcode(self, username: str, totp: str) -> str:
        """An SVG of one path as a data: URL, which our Content-Security-Policy lets an image be."""
        image = qrcode.make(self.get_totp_uri(username, totp), image_factory=SvgPathImage, box_size=20, border=2)
        with io.BytesIO() as file:
            image.save(file)
            return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


class RecoveryCodes(MfRecoveryCodesUtil):
    """Flask-Security asks whether there are any; the rest is `second_factor`'s, which keeps fingerprints only."""

    def delete_recovery_code(self, user: Any, code: str) -> bool:
        return True  # was used up when it was looked at


def _accepts(form: Any) -> bool:
    """Whether the code of this form is right; it is used up then."""
    if not super(form.asked_by, form).validate():
        return False
    try:
        second_factor.check(form.user.id, form.code.data or "", actor=plain_visitor())
    except DomainError as refusal:
        form.code.errors = [refusal.detail]
        return False
    return True


class CodeForm(TwoFactorVerifyCodeForm):
    """A code of the app or a recovery code: whoever signs in need not know which field is for which."""

    asked_by = TwoFactorVerifyCodeForm

    def validate(self, **kwargs: Any) -> bool:
        return _accepts(self)


class _Chosen(HiddenField):
    """What was chosen, from `choices` that the page shows in its own words."""

    choices: list[tuple[str, str]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = []


class RescueForm(TwoFactorRescueForm):
    help_setup = _Chosen()


class WhichForm(TwoFactorSelectForm):
    which = _Chosen()


class RecoveryForm(MfRecoveryForm):
    asked_by = MfRecoveryForm

    def validate(self, **kwargs: Any) -> bool:
        return _accepts(self)


class SignInAgainForm(VerifyForm):
    """A wrong password is on record here, too."""

    def validate(self, **kwargs: Any) -> bool:
        accepted = bool(super().validate(**kwargs))
        with atomic():
            audit.record(
                "account.signed-in-again",
                actor=current_actor(),
                object_type="User",
                object_id=UUID(str(self.user.id)),
                outcome="success" if accepted else "refused",
            )
        return accepted


class Passkeys(WebauthnUtil):
    """Each passkey signs in alone, or after the password: so its device has to know its owner, every time."""

    def generate_challenge(self, nbytes: int | None = None) -> str:
        session[CHALLENGE] = super().generate_challenge(nbytes)
        return str(session[CHALLENGE])

    def authenticator_selection(self, user: Any, usage: str) -> AuthenticatorSelectionCriteria:
        return AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        )

    def user_verification(self, user: Any, usage: list[str]) -> UserVerificationRequirement:
        return UserVerificationRequirement.REQUIRED


class _AnswersOnce:
    """A challenge is answered once, and in the session that it was made for: Flask-Security's is good for a minute."""

    challenge: str
    credential: Any

    def validate(self, **kwargs: Any) -> bool:
        if not self.challenge or session.pop(CHALLENGE, None) != self.challenge:
            self.credential.errors = ["This took too long, or was answered before. Please try again."]
            return False
        return bool(super().validate(**kwargs))  # type: ignore[misc]


class NamePasskeyForm(WebAuthnRegisterForm):
    usage = HiddenField()

    def validate(self, **kwargs: Any) -> bool:
        self.usage.data = "first"  # and second: see tables/security.py
        return bool(super().validate(**kwargs))


class NewPasskeyForm(_AnswersOnce, WebAuthnRegisterResponseForm):
    pass


class PasskeyForm(WebAuthnSigninForm):
    """Who signs in is known by the passkey; no address is asked for, and none is told."""

    def validate(self, **kwargs: Any) -> bool:
        self.identity.data = ""
        return bool(super().validate(**kwargs))


class PasskeyAnswerForm(_AnswersOnce, WebAuthnSigninResponseForm):
    """Refusals go on record; as the second factor it must be a passkey of whoever gave the password."""

    def validate(self, **kwargs: Any) -> bool:
        accepted = super().validate(**kwargs)
        user: Any = self.user
        if accepted and not self.is_verify:
            is_theirs = not self.is_secondary or user.fs_uniquifier == session.get("tf_user_id")
            accepted = is_theirs and bool(user.active and user.confirmed_at)
            if not accepted:
                self.credential.errors = ["This passkey is not for this account."]
        if self.is_verify or not accepted:  # a sign-in that succeeds is on record where it begins
            with atomic():
                audit.record(
                    "account.signed-in-again" if self.is_verify else "account.signed-in",
                    actor=current_actor() if self.is_verify else plain_visitor(),
                    object_type="User",
                    object_id=user.id if user else None,
                    outcome="success" if accepted else "refused",
                )
        return accepted


FORMS: dict[str, Any] = {
    "two_factor_verify_code_form": CodeForm,
    "two_factor_rescue_form": RescueForm,
    "two_factor_select_form": WhichForm,
    "mf_recovery_form": RecoveryForm,
    "verify_form": SignInAgainForm,
    "wan_register_form": NamePasskeyForm,
    "wan_register_response_form": NewPasskeyForm,
    "wan_signin_form": PasskeyForm,
    "wan_signin_response_form": PasskeyAnswerForm,
}
CLASSES: dict[str, Any] = {
    "totp_cls": OneTimeCodes,
    "mf_recovery_codes_util_cls": RecoveryCodes,
    "webauthn_util_cls": Passkeys,
}


def init_app(app: Flask) -> None:
    """After Flask-Security: shut what ours replaces, and put new passkeys on record."""
    for name in CLOSED:
        app.view_functions[f"security.{name}"] = _closed
    wan_registered.connect(_passkey_added, app)


def _closed(**_: Any) -> NoReturn:
    raise NotVisible("There is no such page.")


def _passkey_added(_app: Flask, user: User, **_: Any) -> None:
    passkeys.tell_of_new(user.id, actor=current_actor())


__all__ = ["CLASSES", "FORMS", "init_app"]
