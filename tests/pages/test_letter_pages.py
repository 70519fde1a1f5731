"""Olga at the pages of letters and appearance: words with their preview, and how the clinic looks."""

from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask
from sqlalchemy import select

from server.admin.previews import VIEWS
from server.extensions import db
from server.models import LetterText, OutboxMessage
from server.services import appearance, letter_texts
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.pictures import SVG, picture

Pages = Callable[[Person | None], PageClient]
BOOKED = "/admin/letters/appointment-booked/en"
EVIL = "<script>alert(1)</script>"


def words(page: PageClient, **over: str) -> dict[str, str]:
    """What the form of a letter sends, of the version that was read."""
    (version,) = [field.get("value") for field in page.all("input") if field.get("name") == "if_version"]
    return {"if_version": version, "subject": "", "introduction": "", "closing": "", **over}


def test_olga_reads_who_gets_which_letter_and_when(cast: Cast, page_client: Pages) -> None:
    letter_texts.put_words("waitlist-offer", "de", {"closing": "Gruß"}, if_version=None, actor=cast.olga.actor)
    page = page_client(cast.olga).get("/admin/letters", status=200)
    assert page.says("Your visit is cancelled The patient When a visit is cancelled by the patient. As it came")
    assert page.says("A patient on the waitlist When a time that suits them becomes free. Deutsch")


def test_olga_writes_words_looks_at_them_and_takes_them_back(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get(BOOKED, status=200)
    page.post(BOOKED, **words(page, subject="See you on {day}", introduction="Welcome, {given_name}."), follow=True)
    assert page.says("Saved. Letters that leave from now on say this.")
    assert page.says("Subject changed, by Olga")
    preview = page_client(cast.olga).get(f"{BOOKED}/preview", status=200)
    assert preview.says("Welcome, Sam.")
    page.get(f"{BOOKED}/reset", status=200)
    assert page.says("Use the standard words again?")
    page.post(f"{BOOKED}/reset", if_version=1, follow=True)
    assert page.says("The standard words are used again.")
    assert page.says("Introduction removed, by Olga")
    assert not page_client(cast.olga).get(f"{BOOKED}/preview").says("Welcome")


def test_a_placeholder_that_does_not_exist_is_named_and_nothing_is_lost(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get(BOOKED, status=200)
    page.post(BOOKED, **words(page, introduction="Until {dya}", closing="Your team"), status=422)
    assert page.says("There is no {dya} in this letter.")
    (field,) = [area for area in page.all("textarea") if area.get("id") == "introduction"]
    assert (field.text, field.get("aria-invalid")) == ("Until {dya}", "true")
    assert page.says("Your team")
    assert db.session.scalars(select(LetterText)).all() == []


def test_of_two_who_write_the_second_is_told_and_keeps_what_they_wrote(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get(BOOKED, status=200)
    letter_texts.put_words("appointment-booked", "en", {"subject": "First"}, if_version=0, actor=cast.olga.actor)
    page.post(BOOKED, **words(page, subject="Second"), status=412)
    assert page.says("Somebody has changed these words since you read them.")
    assert "Second" in [field.get("value") for field in page.all("input")]


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "text"])
def test_I4_the_preview_runs_nothing_loads_nothing_and_leads_nowhere(cast: Cast, page_client: Pages, view: str) -> None:
    page = page_client(cast.olga).get(BOOKED, status=200)
    (frame,) = page.all("iframe")
    assert frame.get("sandbox") == "", "no script, no form, no origin, no way out"
    assert frame.get("src") == f"{BOOKED}/preview"
    page.post(f"{BOOKED}/preview?view={view}", **words(page, subject=EVIL, introduction=EVIL), status=200)
    policy = page.response.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert policy[-1] == "sandbox"
    assert not [part for part in policy if part.startswith("script-src")]
    assert page.all("script") == []
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert {link.get("href") for link in page.all("a")} == {"#"}
    assert db.session.scalars(select(LetterText)).all() == [], "a preview saves nothing"


def test_the_views_differ_in_what_they_are_for(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga)
    light, dark, narrow, text = (page.get(f"{BOOKED}/preview?view={view}", status=200).text for view in VIEWS)
    assert "@media not all" in light
    assert "@media all" in dark
    assert "max-width: 320px" in narrow
    assert "max-width: 320px" not in light
    assert text.startswith("Subject: Your visit on ")
    assert page.response.mimetype == "text/plain"
    assert "sandbox" in page.response.headers["Content-Security-Policy"]
    page.get(f"{BOOKED}/preview?view=sideways", status=422)


def test_the_preview_of_words_that_cannot_be_says_why(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get(BOOKED, status=200)
    page.post(f"{BOOKED}/preview", **words(page, subject="{dya}"), status=422)
    assert page.says("There is no {dya} in this letter.")
    assert "sandbox" in page.response.headers["Content-Security-Policy"]


def test_olga_sends_herself_a_test(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get(BOOKED, status=200)
    page.post(f"{BOOKED}/test", follow=True, status=200)
    assert page.says("A test is on its way to olga@example.com.")
    assert db.session.scalars(select(OutboxMessage.user_id)).all() == [cast.olga.user_id]
    page.get("/admin/messages", status=200)
    assert page.says("Your visit is booked , Olga (test)")
    page.get(f"/admin/messages/{db.session.scalars(select(OutboxMessage.id)).one()}", status=200)
    assert page.says("Test: Your visit on")


def test_dana_and_the_others_may_not(cast: Cast, page_client: Pages) -> None:
    look = ("/admin/appearance", "/admin/appearance/preview")
    paths = ("/admin/letters", BOOKED, f"{BOOKED}/preview", f"{BOOKED}/reset", *look)
    for person in (cast.dana, cast.dr_cho, cast.ana):
        page = page_client(person)
        for path in paths:
            page.get(path, status=403)
        page.get("/", status=200)
        assert not page.says("Letters")
        for path in (BOOKED, f"{BOOKED}/test", f"{BOOKED}/reset", f"{BOOKED}/preview", *look):
            page.post(path, subject="Mine", clinic_name="Mine", if_version=1, status=403)
    assert db.session.scalars(select(LetterText)).all() == []
    assert db.session.scalars(select(OutboxMessage)).all() == []
    page_client(cast.olga).get("/admin/letters/appointment-lost/en", status=404)
    page_client(cast.olga).get("/admin/letters/appointment-booked/tlh", status=404)


# --- appearance ---


def upload(page: PageClient, picture: bytes, name: str = "logo.png", **fields: str) -> PageClient:
    page.get("/admin/appearance", status=200)
    (version,) = [field.get("value") for field in page.all("input") if field.get("name") == "if_version"]
    data = {"csrf_token": page.csrf_token(), "if_version": version, "logo": (BytesIO(picture), name), **fields}
    return page._keep(page.client.post("/admin/appearance", data=data, follow_redirects=True), None)


def test_olga_gives_the_clinic_its_look_and_patients_see_it(cast: Cast, page_client: Pages) -> None:
    olga = upload(page_client(cast.olga), picture(), clinic_name="Harbour Health", accent_colour="#8b1a6b")
    assert olga.says("Saved. Pages and letters look like this from now on.")
    page = page_client(None).get("/", status=200)
    assert page.says("Harbour Health")
    (logo,) = [image for image in page.all("img") if image.get("class") == "logo"]
    assert ":root { --accent: #8b1a6b;" in page.text
    answer = page.get(logo.get("src"), status=200).response
    assert (answer.mimetype, answer.data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert "immutable" in answer.headers["Cache-Control"]
    assert page.get("/nothing", status=404).says("Harbour Health"), "on the pages of errors, too"
    page.get("/logo/0000.png", status=404)


def test_the_style_of_the_page_has_the_nonce_of_its_policy(cast: Cast, page_client: Pages) -> None:
    upload(page_client(cast.olga), picture(), accent_colour="#8b1a6b")
    page = page_client(None).get("/", status=200)
    (style,) = page.all("style")
    assert f"'nonce-{style.get('nonce')}'" in page.response.headers["Content-Security-Policy"]


def test_what_cannot_be_read_or_is_no_picture_is_refused_beside_its_field(cast: Cast, page_client: Pages) -> None:
    page = upload(page_client(cast.olga), SVG, accent_colour="#ffcc00", clinic_name="Harbour Health")
    assert page.response.status_code == 422
    assert page.says("White text on #ffcc00 has a contrast of 1.5 to 1")
    assert page.says("The logo must be a PNG, JPEG or WebP image.")
    assert "Harbour Health" in [field.get("value") for field in page.all("input")]
    assert upload(page, b"", "empty.png").says("The file of the logo is empty.")
    assert upload(page, b"", "").says("Saved."), "no file was chosen"
    assert upload(page, bytes(500_001)).says("The logo is larger than 500 kB.")


def test_olga_goes_back_to_the_standard(app: Flask, cast: Cast, page_client: Pages) -> None:
    page = upload(page_client(cast.olga), picture(), clinic_name="Harbour Health", accent_colour="#8b1a6b")
    version = appearance.read(app.config["FRONTDESK"]).version
    page.post("/admin/appearance", if_version=version, no_logo=1, standard_colour=1, follow=True)
    now = appearance.read(app.config["FRONTDESK"])
    assert (now.name, now.accent_colour, now.logo_fingerprint) == ("Frontdesk", "", "")
    page.post("/admin/appearance", if_version=version, clinic_name="Late", status=412)
    assert page.says("Somebody has changed it since you read it.")


def test_olga_looks_at_a_colour_before_anybody_else_does(app: Flask, cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get("/admin/appearance", status=200)
    draft = {"clinic_name": "<b>Harbour</b>", "accent_colour": "#8b1a6b", "signature": "1 Quay Street"}
    page.post("/admin/appearance/preview?view=light", **draft, status=200)
    assert page.says("<b>Harbour</b>")
    assert page.says("1 Quay Street")
    assert "#8b1a6b" in page.text
    assert page.response.headers["Content-Security-Policy"].endswith("; sandbox")
    assert appearance.read(app.config["FRONTDESK"]).name == "Frontdesk"
    page.get("/admin/appearance")
    page.post("/admin/appearance/preview", accent_colour="#ffcc00", status=422)
    assert page.says("White text on #ffcc00 has a contrast of 1.5 to 1")
