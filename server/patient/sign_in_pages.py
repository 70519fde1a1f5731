"""Sign-in and devices: second factor, recovery codes, passkeys, and where somebody is signed in."""

from uuid import UUID

from flask import flash, redirect, render_template, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import InputRequired

from server.errors import Invalid
from server.services import accounts, passkeys, second_factor, tokens
from server.utils import agents
from server.web.forms import show_errors
from server.web.identity import FAMILY, current_actor
from server.web.limits import change_sign_in_limit

OFFERED = "offered_second_factor"  # in the session, encrypted, until a code has shown that the phone has it


class CodeForm(FlaskForm):
    code = StringField("Code", [InputRequired("Please fill this in.")])


def show_sign_in() -> str:
    """Everything about how this account is entered, and from where it is open now."""
    user_id = _own_id()
    return render_template(
        "patient/sign_in_and_devices.html",
        user=accounts.own_account(user_id),
        passkeys=passkeys.list_of(user_id),
        sign_ins=[(sign_in, agents.in_words(sign_in.agent)) for sign_in in tokens.sign_ins_of(user_id)],
        this_one=session.get(FAMILY),
        zone=accounts.own_zone(user_id),
    )


def end_sign_in(family_id: UUID) -> Response:
    """End one; it is out with its next request."""
    tokens.end_sign_in(family_id, actor=current_actor())
    flash("That sign-in has ended.", "success")
    return redirect(url_for("own_account.show_sign_in"))


def end_other_sign_ins() -> Response:
    """End all but the one that asks."""
    tokens.end_other_sign_ins(UUID(session[FAMILY]), actor=current_actor())
    flash("You are signed out everywhere else.", "success")
    return redirect(url_for("own_account.show_sign_in"))


def show_second_factor() -> str:
    """A picture for the app on the phone. It stays the same until it is used or the session ends."""
    return _offer(CodeForm())


@change_sign_in_limit
def turn_on_second_factor() -> str | tuple[str, int] | Response:
    """With a first code of the app; the recovery codes that come with it are shown this once."""
    form, kept = CodeForm(), session.get(OFFERED)
    if kept is None:
        return redirect(url_for("own_account_changes.show_second_factor"))
    if not form.validate():
        return _offer(form), 422
    try:
        codes = second_factor.turn_on(kept, form.code.data or "", actor=current_actor())
    except Invalid as refusal:
        show_errors(form, {"code": [refusal.detail]})
        return _offer(form), 422
    session.pop(OFFERED)
    return render_template("patient/recovery_codes.html", codes=codes, is_new=True)


@change_sign_in_limit
def turn_off_second_factor() -> Response:
    """No code is asked for any more."""
    second_factor.turn_off(actor=current_actor())
    flash("No code is asked for any more when you sign in.", "success")
    return redirect(url_for("own_account.show_sign_in"))


@change_sign_in_limit
def renew_recovery_codes() -> str:
    """New ones, shown this once."""
    codes = second_factor.renew_recovery_codes(actor=current_actor())
    return render_template("patient/recovery_codes.html", codes=codes, is_new=False)


@change_sign_in_limit
def remove_passkey(passkey_id: UUID) -> Response:
    """Take one away."""
    passkeys.remove(passkey_id, actor=current_actor())
    flash("The passkey is removed.", "success")
    return redirect(url_for("own_account.show_sign_in"))


def _offer(form: CodeForm) -> str:
    user = accounts.own_account(_own_id())
    offered = second_factor.offer(user, kept=session.get(OFFERED))
    session[OFFERED] = offered.kept
    return render_template("patient/second_factor.html", form=form, offered=offered, user=user)


def _own_id() -> UUID:
    user_id = current_actor().user_id
    assert user_id is not None  # the guard
    return user_id
