"""Registering and confirming an address. Signing in is Flask-Security's view with our template."""

from datetime import date

from flask import flash, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import EmailField, IntegerField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, Optional

from server.errors import Invalid
from server.patient import choice
from server.services import accounts, passwords
from server.utils.languages import LANGUAGES
from server.utils.text import clean_line
from server.web.forms import show_errors
from server.web.identity import current_actor, plain_visitor
from server.web.limits import new_password_limits, register_limit

NEEDED = InputRequired("Please fill this in.")
SHOWN_AT = {"birth_date": "birth_day"}  # the field beside which the page says it


def _one_line(typed: str | None) -> str:
    return clean_line(typed or "")


class RegisterForm(FlaskForm):
    """The shape only: what makes a good password or a real address is the service's to say."""

    given_name = StringField("First name", [NEEDED, Length(max=100, message="At most 100 characters.")], [_one_line])
    family_name = StringField("Last name", [NEEDED, Length(max=100, message="At most 100 characters.")], [_one_line])
    birth_day = IntegerField("Day", [Optional()])
    birth_month = IntegerField("Month", [Optional()])
    birth_year = IntegerField("Year", [Optional()])
    phone = StringField("Phone", [Length(max=40, message="At most 40 characters.")], [_one_line])
    email = EmailField("E-mail address", [NEEDED, Length(max=254, message="At most 254 characters.")], [_one_line])
    password = PasswordField("Password", [NEEDED])

    @property
    def birth_date(self) -> date | None:
        """None when the three numbers are no date."""
        try:
            return date(self.birth_year.data or 0, self.birth_month.data or 0, self.birth_day.data or 0)
        except (ValueError, OverflowError):
            return None


class ForgotPasswordForm(FlaskForm):
    email = EmailField("E-mail address", [NEEDED, Length(max=254, message="At most 254 characters.")], [_one_line])


class NewPasswordForm(FlaskForm):
    password = PasswordField("New password", [NEEDED])


def register() -> str:
    """The form of a new account."""
    return render_template("patient/register.html", form=RegisterForm(), choice=choice.current())


@register_limit
def send_registration() -> Response | tuple[str, int]:
    """Register; the answer is the same for an address that is known already."""
    form = RegisterForm()
    is_valid, birth_date = form.validate(), form.birth_date
    if is_valid and birth_date:
        try:
            accounts.register_patient(
                email=form.email.data or "",
                password=form.password.data or "",
                given_name=form.given_name.data or "",
                family_name=form.family_name.data or "",
                birth_date=birth_date,
                phone=form.phone.data or "",
                language=request.accept_languages.best_match(LANGUAGES),  # of the letters
                actor=plain_visitor(),
            )
            return redirect(url_for("patient.show_registration_sent"))
        except Invalid as problem:
            show_errors(form, {SHOWN_AT.get(name, name): lines for name, lines in problem.extra["errors"].items()})
    if birth_date is None:
        form.birth_day.errors = ["Give it as three numbers: day, month, year."]
        form.birth_month.errors = form.birth_year.errors = []
    return render_template("patient/register.html", form=form, choice=choice.current()), 422


def show_registration_sent() -> str:
    """Whatever was registered: look into your mail."""
    return render_template("patient/registration_sent.html", choice=choice.current())


def ask_confirmation(token: str) -> str:
    """A button: opening the link of a letter (which programs do, too) confirms nothing."""
    return render_template("patient/confirm.html", token=token, refusal=None)


def confirm_address(token: str) -> Response | tuple[str, int]:
    """Confirm the address of the letter; what was being chosen comes after signing in."""
    try:
        accounts.confirm_account(token, actor=plain_visitor())
    except Invalid as refusal:
        return render_template("patient/confirm.html", token=token, refusal=refusal), refusal.status
    flash("Your e-mail address is confirmed. Please sign in.", "success")
    return redirect(url_for("security.login"))


def forgot_password() -> str:
    """The form of whoever cannot sign in any more."""
    return render_template("patient/forgot_password.html", form=ForgotPasswordForm())


@new_password_limits[0]
@new_password_limits[1]
def send_new_password() -> Response | tuple[str, int]:
    """Send the letter; the answer is the same for an address that nobody has."""
    form = ForgotPasswordForm()
    if not form.validate():
        return render_template("patient/forgot_password.html", form=form), 422
    passwords.ask_for_new(form.email.data or "", actor=plain_visitor())
    return redirect(url_for("patient.show_new_password_sent"))


def show_new_password_sent() -> str:
    """Whoever it was: look into your mail."""
    return render_template("patient/new_password_sent.html")


def choose_password(token: str) -> str | tuple[str, int]:
    """The form behind the letter's link; opening it uses nothing up."""
    try:
        passwords.demand_valid(token)
    except Invalid as refusal:
        return _password_page(token, NewPasswordForm(), refusal)
    return _password_page(token, NewPasswordForm())


@register_limit
def set_password(token: str) -> Response | str | tuple[str, int]:
    """Set it, then sign in with it."""
    form = NewPasswordForm()
    if not form.validate():
        return _password_page(token, form)
    try:
        passwords.set_new(token, password=form.password.data or "", actor=plain_visitor())
    except Invalid as refusal:
        if "password" not in refusal.extra["errors"]:
            return _password_page(token, form, refusal)
        show_errors(form, refusal.extra["errors"])
        return _password_page(token, form)
    flash("Your new password is set. Please sign in with it.", "success")
    return redirect(url_for("security.login"))


def _password_page(token: str, form: NewPasswordForm, refusal: Invalid | None = None) -> str | tuple[str, int]:
    page = render_template("patient/new_password.html", token=token, form=form, refusal=refusal)
    return (page, 422) if refusal or form.errors else page


def after_sign_in() -> Response:
    """Staff go to the day; whoever was choosing a time goes on with it; everybody else to their visits."""
    if current_actor().is_staff or g.get("lacks_second_factor"):  # the guard there says what they lack
        return redirect(url_for("admin.show_day"))
    if current_actor().may("audit"):
        return redirect(url_for("audit.show_audit"))
    if chosen := choice.current():
        return redirect(url_for("patient.show_hold", hold_id=chosen.hold_id))
    return redirect(url_for("patient_account.list_visits"))
