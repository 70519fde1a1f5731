"""Sessions of the pages: on the server, with a new id at every sign-in and sign-out."""

import pickle
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
import redis
from flask import Flask

from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD

Pages = Callable[[Person | None], PageClient]


def session_id(browser: PageClient) -> str | None:
    cookie = browser.client.get_cookie("session", domain="localhost")
    return cookie.value if cookie else None


def sign_in(browser: PageClient, person: Person, password: str = PASSWORD) -> None:
    browser.get("/login")
    browser.post("/login", email=person.email, password=password)


def test_H4_the_session_id_changes_at_sign_in_and_sign_out(cast: Cast, page_client: Pages) -> None:
    browser = page_client(None)
    browser.get("/login")
    before = session_id(browser)
    sign_in(browser, cast.ana)
    inside = session_id(browser)
    browser.get("/visits", status=200)
    browser.post("/logout", status=302)
    after = session_id(browser)
    assert None not in (before, inside)
    assert len({before, inside, after}) == 3


def test_H4_a_planted_session_id_is_not_taken_over(cast: Cast, page_client: Pages) -> None:
    browser = page_client(None)
    browser.client.set_cookie("session", "planted-by-somebody-else", domain="localhost")
    sign_in(browser, cast.ana)
    assert session_id(browser) != "planted-by-somebody-else"


def test_H4_a_stolen_cookie_is_dead_after_sign_out(cast: Cast, page_client: Pages) -> None:
    browser, thief = page_client(cast.ana), page_client(None)
    thief.client.set_cookie("session", session_id(browser) or "", domain="localhost")
    assert thief.get("/visits").response.status_code == 200
    browser.get("/visits")
    browser.post("/logout")
    assert thief.get("/visits").response.status_code == 302


def test_a_session_is_json_in_redis_and_names_nobody(app: Flask, cast: Cast, page_client: Pages) -> None:
    page_client(cast.ana).get("/visits", status=200)
    client: redis.Redis = app.config["SESSION_REDIS"]
    stored = [client.get(key) for key in client.scan_iter("session:*")]
    assert stored
    assert all(value.startswith(b"{") for value in stored)
    assert not any(secret in value for value in stored for secret in (b"Ana", b"Silva", b"ana@example.com"))


def test_a_pickle_in_redis_is_never_loaded(app: Flask, cast: Cast, page_client: Pages) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("a pickle was loaded",))

    app.config["SESSION_REDIS"].set("session:bomb", pickle.dumps(Bomb()))
    browser = page_client(None)
    browser.client.set_cookie("session", "bomb", domain="localhost")
    assert browser.get("/").response.status_code == 200


def test_B3_the_pages_stay_open_while_redis_is_away(
    app: Flask, cast: Cast, page_client: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = page_client(cast.ana)
    nowhere = redis.Redis(port=1, socket_connect_timeout=0.2)
    monkeypatch.setattr(app.session_interface, "client", nowhere)
    assert browser.get("/").response.status_code == 200
    assert browser.get("/visits").response.status_code == 302  # sign in again: no more than that


def test_I1_a_form_without_its_token_changes_nothing(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    browser.post("/logout", csrf_token="made-up")
    assert browser.response.status_code == 400
    assert browser.get("/visits").response.status_code == 200


def test_I1_signing_out_takes_more_than_a_link(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    assert browser.get("/logout").response.status_code in (404, 405)
    assert browser.get("/visits").response.status_code == 200


def test_H3_a_wrong_password_and_an_unknown_address_read_the_same(cast: Cast, page_client: Pages) -> None:
    seen = set()
    for email in (cast.ana.email, "nobody@example.com"):
        browser = page_client(None)
        browser.get("/login")
        browser.post("/login", email=email, password="not the password")
        words = " ".join(browser.document.itertext()).replace(email, "")
        seen.add((browser.response.status_code, " ".join(words.split())))
    assert len(seen) == 1


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/%09/evil.example"])
def test_I3_signing_in_never_leads_elsewhere(cast: Cast, page_client: Pages, target: str) -> None:
    browser = page_client(None)
    browser.get("/login")
    browser.post(f"/login?next={target}", email=cast.ana.email, password=PASSWORD, next=target)
    # As a browser reads it: tabs and line ends dropped, backslashes are slashes.
    read = browser.location.translate({9: None, 10: None, 13: None}).replace("\\", "/")
    assert urlsplit(urljoin("http://localhost/", read)).netloc == "localhost", browser.location
