"""ana cannot sign in any more: she asks for a letter, and chooses a new password behind its link."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import select

from server.extensions import db
from server.models import OutboxMessage
from server.services import letters
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD

Pages = Callable[[Person | None], PageClient]
NEW_PASSWORD = "another long sentence"


def link(app: Flask) -> str:
    message_id = db.session.scalars(select(OutboxMessage.id).where(OutboxMessage.letter == "account-reset")).one()
    text = letters.compose(message_id, settings=app.config["FRONTDESK"]).text
    return "/reset-password/" + text.split("/reset-password/")[1].split()[0]


def test_ana_chooses_a_new_password(app: Flask, cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/login", status=200)
    assert page.says("Forgot your password?")
    page.get("/forgot-password", status=200)
    page.post("/forgot-password", email="ana@example.com", follow=True, status=200)
    assert page.says("a letter is on its way")
    address = link(app)
    for _ in range(2):  # also by a program that looks into her mail
        page.get(address, status=200)
    page.post(address, password="short", status=422)
    assert page.says("Choose 12 to 200 characters.")
    page.post(address, password=NEW_PASSWORD, follow=True, status=200)
    assert page.says("Your new password is set.")
    page.post("/login", email="ana@example.com", password=PASSWORD, status=200)
    page.post("/login", email="ana@example.com", password=NEW_PASSWORD, status=302)
    page.get(address, status=422)
    assert page.says("This link is not valid any more.")


def test_an_unknown_address_gets_the_same_page(cast: Cast, page_client: Pages) -> None:
    pages = [page_client(None) for _ in range(2)]
    for page, email in zip(pages, ("ana@example.com", "nobody@example.com"), strict=True):
        page.get("/forgot-password")
        page.post("/forgot-password", email=email, follow=True, status=200)
    assert pages[0].text == pages[1].text


def test_a_link_that_is_none_and_a_form_without_an_address_are_explained(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/reset-password/nonsense", status=422)
    assert page.says("Ask for a new link")
    page.get("/forgot-password")
    page.post("/forgot-password", email="", status=422)
    assert page.says("Please fill this in.")
