"""How the clinic appears: name, logo, colour and signature, with a letter as they make it."""

from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import previews
from server.admin.reading import read_version
from server.errors import Invalid, Stale
from server.services import access, appearance, letters
from server.utils.text import clean_line, clean_text
from server.web.identity import current_actor

MOST = {"clinic_name": 80, "signature": 300}  # characters, as the table keeps them

Page = str | tuple[str, int] | Response


def show_appearance() -> Page:
    access.demand("set-up", actor=current_actor())
    return _page(vars(appearance.read(current_app.config["FRONTDESK"])))


def change_appearance() -> Page:
    settings, actor = current_app.config["FRONTDESK"], current_actor()
    try:
        appearance.change(_read_changes(), if_version=read_version(), settings=settings, actor=actor)
    except Invalid as refused:
        return _page(request.form, refused.extra.get("errors") or {"form": [refused.detail]}), refused.status
    except Stale as refused:
        return _page(request.form, {"form": [refused.detail]}), refused.status
    flash("Saved. Pages and letters look like this from now on.", "success")
    return redirect(url_for("admin.show_appearance"))


def preview_appearance() -> Response:
    """A letter as it looks now (GET), or as the form would make it look, with the logo that is in use (POST)."""
    settings, actor, look = current_app.config["FRONTDESK"], current_actor(), None
    access.demand("set-up", actor=actor)
    try:
        if request.method == "POST":
            look = appearance.draft(_read_fields(), settings=settings, actor=actor)
    except Invalid as refused:
        return previews.refused(refused)
    return previews.show(letters.sample("appointment-booked", language="en", settings=settings, look=look))


def _read_changes() -> dict[str, Any]:
    changes = _read_fields()
    given = request.files.get("logo")
    if given:
        changes["logo"] = given.read(appearance.MOST_BYTES + 1)
        if not changes["logo"]:
            raise Invalid("The file is empty.", errors={"logo": ["The file of the logo is empty."]})
    elif "no_logo" in request.form:
        changes["logo"] = None
    return changes


def _read_fields() -> dict[str, Any]:
    changes: dict[str, Any] = {
        "clinic_name": clean_line(request.form.get("clinic_name", "")),
        "signature": clean_text(request.form.get("signature", "")),
        "accent_colour": "" if "standard_colour" in request.form else request.form.get("accent_colour", ""),
    }
    errors = {name: [f"At most {most} characters."] for name, most in MOST.items() if len(changes[name]) > most}
    if errors:
        raise Invalid("This is too long.", errors=errors)
    return changes


def _page(form: Any, errors: dict[str, list[str]] | None = None) -> str:
    settings = current_app.config["FRONTDESK"]
    now = appearance.read(settings)
    return render_template(
        "admin/show_appearance.html",
        form=form,
        errors=errors or {},
        now=now,
        standard_name=settings.clinic_name,
        standard_colour=appearance.STANDARD,
        most=MOST,
        views=previews.VIEWS,
    )
