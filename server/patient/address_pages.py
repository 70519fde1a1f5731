"""Another e-mail address to sign in with: asked for by its owner, confirmed from the letter that goes there."""

from flask import current_app, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import EmailField
from wtforms.validators import InputRequired, Length

from server.errors import Invalid
from server.services import email_changes
from server.utils.text import clean_line
from server.web.forms import show_errors
from server.web.identity import current_actor, plain_visitor
from server.web.limits import change_sign_in_limit, register_limit


class AddressForm(FlaskForm):
    email = EmailField(
        "New e-mail address",
        [InputRequired("Please fill this in."), Length(max=254, message="At most 254 characters.")],
        [lambda typed: clean_line(typed or "")],
    )


def ask_new_address() -> str:
    """The form."""
    return render_template("patient/new_address.html", form=AddressForm())


@change_sign_in_limit
def send_new_address() -> Response | tuple[str, int]:
    """Send the letter; the answer is the same for an address that somebody else has."""
    form = AddressForm()
    if form.validate():
        try:
            email_changes.ask(form.email.data or "", actor=current_actor())
            flash("A letter is on its way to the new address. Open the link in it to confirm the change.", "success")
            return redirect(url_for("own_account.show_sign_in"))
        except Invalid as refusal:
            show_errors(form, refusal.extra["errors"])
    return render_template("patient/new_address.html", form=form), 422


def ask_confirm_address(token: str) -> str | tuple[str, int]:
    """A button: opening the link of a letter (which programs do, too) changes nothing."""
    try:
        new_email = email_changes.demand_valid(token, secret_key=_secret_key()).new_email
    except Invalid as refusal:
        return _confirm_page(token, refusal=refusal), refusal.status
    return _confirm_page(token, new_email=new_email)


@register_limit
def confirm_new_address(token: str) -> Response | tuple[str, int]:
    """Take the new address; everybody signs in anew."""
    try:
        email_changes.confirm(token, secret_key=_secret_key(), actor=plain_visitor())
    except Invalid as refusal:
        return _confirm_page(token, refusal=refusal), refusal.status
    flash("Your new address is confirmed. Please sign in with it.", "success")
    return redirect(url_for("security.login"))


def _confirm_page(token: str, *, new_email: str | None = "", refusal: Invalid | None = None) -> str:
    return render_template("patient/confirm_address.html", token=token, new_email=new_email, refusal=refusal)


def _secret_key() -> str:
    return str(current_app.config["SECRET_KEY"])
