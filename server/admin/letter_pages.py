"""Letters: who gets which and when, the clinic's own words in them, and how they look."""

from collections.abc import Mapping

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from server.admin import previews, words
from server.admin.reading import read_version
from server.errors import Invalid, Stale
from server.services import letter_texts, letters
from server.services.letter_texts import ABOUT, LIMITS
from server.utils.languages import LANGUAGES
from server.utils.text import clean_line, clean_text
from server.web.identity import current_actor
from server.web.limits import test_letter_limit

Page = str | tuple[str, int] | AnyResponse


def list_letters() -> str:
    own = letter_texts.list_letters(actor=current_actor())
    return render_template("admin/list_letters.html", own=own, about=ABOUT, letters=words.LETTERS, languages=LANGUAGES)


def show_letter(letter: str, language: str) -> Page:
    own = letter_texts.read_words(letter, language, actor=current_actor())
    return _page(letter, language, vars(own))


def save_letter(letter: str, language: str) -> Page:
    try:
        letter_texts.put_words(letter, language, _read_words(), if_version=read_version(), actor=current_actor())
    except Invalid as refused:
        return _page(letter, language, request.form, refused.extra.get("errors") or {"form": [refused.detail]}), 422
    except Stale as refused:
        return _page(letter, language, request.form, {"form": [refused.detail]}), refused.status
    flash("Saved. Letters that leave from now on say this.", "success")
    return redirect(url_for("admin.show_letter", letter=letter, language=language))


def ask_reset(letter: str, language: str) -> str:
    """Asked for once more: the words are gone then."""
    own = letter_texts.read_words(letter, language, actor=current_actor())
    return render_template("admin/reset_letter.html", own=own, **_names(letter, language))


def reset_letter(letter: str, language: str) -> Page:
    try:
        letter_texts.reset_words(letter, language, if_version=read_version(), actor=current_actor())
    except Stale as refused:
        flash(refused.detail, "danger")
    else:
        flash("The standard words are used again.", "success")
    return redirect(url_for("admin.show_letter", letter=letter, language=language))


@test_letter_limit
def send_test_letter(letter: str, language: str) -> AnyResponse:
    letter_texts.send_test(letter, language, actor=current_actor())
    flash(f"A test is on its way to {current_actor().email}.", "success")
    return redirect(url_for("admin.show_letter", letter=letter, language=language))


def preview_letter(letter: str, language: str) -> Response:
    """The letter about an invented visit: as it is saved (GET), or with the words of the form (POST)."""
    own = letter_texts.read_words(letter, language, actor=current_actor())
    try:
        if request.method == "POST":
            own = letter_texts.checked(letter, _read_words())
    except Invalid as refused:
        return previews.refused(refused)
    settings = current_app.config["FRONTDESK"]
    return previews.show(letters.sample(letter, language=language, words=own, settings=settings))


def _read_words() -> dict[str, str]:
    subject, introduction, closing = (request.form.get(name, "") for name in LIMITS)
    return {
        "subject": clean_line(subject),
        "introduction": clean_text(introduction),
        "closing": clean_text(closing),
    }


def _page(letter: str, language: str, form: Mapping[str, str], errors: dict[str, list[str]] | None = None) -> str:
    own = letter_texts.read_words(letter, language, actor=current_actor())
    standard = letters.sample(
        letter, language=language, words=letter_texts.Words(), settings=current_app.config["FRONTDESK"]
    )
    return render_template(
        "admin/show_letter.html",
        own=own,
        form=form,
        errors=errors or {},
        standard_subject=standard.subject,
        history=[
            (at, who, words.LETTER_TEXT_HISTORY[action])
            for at, who, action in letter_texts.history(letter, language, actor=current_actor())
        ],
        limits=LIMITS,
        views=previews.VIEWS,
        **_names(letter, language),
    )


def _names(letter: str, language: str) -> dict[str, object]:
    return {
        "letter": letter,
        "name": words.LETTERS[letter],
        "language": language,
        "languages": LANGUAGES,
        "about": ABOUT[letter],
    }
