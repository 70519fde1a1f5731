"""Registering, confirming an address and signing in, on the pages."""

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask_security.confirmable import generate_confirmation_token
from sqlalchemy import func, select

from server.extensions import db
from server.models import AuditEvent, OutboxMessage, Patient, User
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD, create_user

Pages = Callable[[Person | None], PageClient]
NEW = {
    "given_name": "Nora",
    "family_name": "Lind",
    "birth_day": "3",
    "birth_month": "4",
    "birth_year": "1985",
    "email": "nora@example.com",
    "password": "three quiet green apples",
}


def letters(name: str) -> int:
    return db.session.scalar(select(func.count()).where(OutboxMessage.letter == name)) or 0


def test_nora_registers_confirms_and_signs_in(cast: Cast, page_client: Pages, app: Flask) -> None:
    page = page_client(None).get("/register", status=200)
    page.post("/register", **NEW)
    assert page.get(page.location, status=200).says("We have sent you a letter")
    user = db.session.scalars(select(User).where(User.email == NEW["email"])).one()
    token = generate_confirmation_token(user)

    page.get(f"/confirm/{token}", status=200)
    db.session.expire_all()
    assert user.confirmed_at is None, "opening the link confirms nothing"
    page.post(f"/confirm/{token}")
    page.get(page.location, status=200)
    assert page.says("Your e-mail address is confirmed")
    page.post("/login", email=NEW["email"], password=NEW["password"])
    assert page.location.endswith("/after-sign-in")
    page.get(page.location, follow=True, status=200)
    assert page.says("My visits")


@pytest.mark.parametrize(
    ("of_the_browser", "of_letters"), [("fr-CA,fr;q=0.9,en;q=0.5", "fr"), ("pt-BR", None), ("", None)]
)
def test_nora_is_written_to_in_the_language_of_her_browser(
    cast: Cast, page_client: Pages, of_the_browser: str, of_letters: str | None
) -> None:
    page = page_client(None)
    page.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = of_the_browser
    page.get("/register", status=200)
    page.post("/register", **NEW, status=302)
    spoken = select(User.language, Patient.language).join(Patient, Patient.user_id == User.id)
    assert db.session.execute(spoken.where(User.email == NEW["email"])).one() == (of_letters, of_letters)


def test_a_known_address_gets_the_same_answer(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/register")
    page.post("/register", **{**NEW, "email": cast.ana.email}, status=302)
    assert page.location == "/register/sent"
    assert letters("account-exists") == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"email": "nobody"}, "E-mail address:"),
        ({"password": "short"}, "12 to 200"),
        ({"birth_day": "31", "birth_month": "2"}, "three numbers"),
        ({"birth_year": "2999"}, "not a date of birth"),
        ({"birth_day": "x"}, "three numbers"),
        ({"given_name": ""}, "First name: Please fill this in."),
        ({"given_name": "\0"}, "First name: Please fill this in."),
        ({"phone": "1" * 41}, "At most 40"),
        ({"birth_year": "9" * 400}, "three numbers"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    change: dict[str, str], sentence: str, cast: Cast, page_client: Pages
) -> None:
    page = page_client(None).get("/register")
    page.post("/register", **{**NEW, **change}, status=422)
    assert page.says(sentence)
    assert 'value="Lind"' in page.text
    assert NEW["password"] not in page.text
    assert db.session.scalar(select(func.count()).where(Patient.family_name == "Lind")) == 0


def test_a_wrong_link_is_explained(cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/confirm/nonsense", status=200)
    page.post("/confirm/nonsense", status=422)
    assert page.says("not valid any more")


def test_an_unconfirmed_account_gets_a_new_letter_and_no_other_answer(cast: Cast, page_client: Pages) -> None:
    create_user("patient", email="una@example.com", name="Una", confirmed_at=None)
    db.session.commit()
    answers = []
    for email, password in (("una@example.com", PASSWORD), ("una@example.com", "wrong"), ("nobody@example.com", "x")):
        page = page_client(None).get("/login")
        page.post("/login", email=email, password=password, status=200)
        answers.append(" ".join(" ".join(page.document.itertext()).split()))
    assert len(set(answers)) == 1
    assert "not confirmed yet" in answers[0]
    assert letters("account-confirm") == 1
    refused = select(func.count()).where(AuditEvent.action == "account.signed-in", AuditEvent.outcome == "refused")
    assert db.session.scalar(refused) == 3


@pytest.mark.parametrize(
    "evil",
    ["//evil.example", "/\\evil.example", "https://evil.example/", "\\\\evil.example", "javascript:alert(1)", "\0"],
)
def test_signing_in_never_leads_to_another_host(evil: str, cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/login")
    page.client.get("/login", query_string={"next": evil})
    page.post("/login", email=cast.ana.email, password=PASSWORD, next=evil, status=302)
    assert "\\" not in page.location
    assert urlsplit(urljoin("http://localhost/login", page.location)).hostname == "localhost"


@pytest.mark.parametrize("email", ["", "\0", "x" * 5000, "ana@example.com\0", "' OR 1=1 --", "ä@ä"])
def test_odd_addresses_are_refused_like_wrong_ones(email: str, cast: Cast, page_client: Pages) -> None:
    page = page_client(None).get("/login")
    page.post("/login", email=email, password="x\0", status=200)
    assert page.says("not confirmed yet")


def test_staff_come_to_the_day(cast: Cast, page_client: Pages) -> None:
    assert "/admin" in page_client(cast.dana).get("/after-sign-in", status=302).location


def test_signing_out_needs_the_form(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana)
    page.get("/logout", status=405)
    page.get("/")
    page.post("/logout", status=302)
    page.get("/visits", status=302)
