"""Passkeys without a browser: what a device answers is good for one session, one account, one time."""

import base64
from collections.abc import Callable

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import AuditEvent, Passkey
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.pages.test_second_factor import grow_stale, staff_need_one  # noqa: F401 - a fixture
from tests.pages.test_sessions import session_id, sign_in
from tests.resources.asking import Api
from tests.resources.test_auth import letters_to, login
from tests.second_step import Key, add_passkey, ceremony, set_up

pytestmark = pytest.mark.usefixtures("still_codes")
Pages = Callable[[Person | None], PageClient]


def ask(browser: PageClient, path: str = "/sign-in/passkey") -> str:
    """Open the page that asks for a passkey; answers where its form goes."""
    browser.get(path, status=200)
    browser.post(path, status=200)
    return ceremony(browser)


def is_in(browser: PageClient) -> bool:
    return browser.get("/visits").response.status_code == 200


def test_ana_adds_one_and_signs_in_with_it_alone(cast: Cast, page_client: Pages) -> None:
    key, browser = Key(), page_client(cast.ana)
    add_passkey(browser, key)
    assert browser.get("/account", status=200).says("The passkey my phone is set up.")
    assert letters_to("ana@example.com") == ["account-sign-in-changed"]
    browser.post("/logout")
    target, before = ask(browser), session_id(browser)
    browser.post(target, status=302, credential=key.sign(browser.text))
    assert is_in(browser)
    assert session_id(browser) != before
    actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.object_id == cast.ana.user_id)).all()
    assert "account.passkey-added" in actions


def test_after_the_password_it_is_the_second_step(cast: Cast, page_client: Pages, api_client: Api) -> None:
    key = Key()
    add_passkey(page_client(cast.ana), key)
    browser = page_client(None)
    sign_in(browser, cast.ana)
    assert browser.location.startswith("/sign-in/passkey")
    assert not is_in(browser)
    target = ask(browser)
    browser.post(target, status=302, credential=key.sign(browser.text))
    assert is_in(browser)
    assert login(api_client).json["type"] == "second-factor-required"


def test_with_a_phone_and_a_passkey_she_chooses(cast: Cast, page_client: Pages) -> None:
    key, browser = Key(), page_client(cast.ana)
    add_passkey(browser, key)
    phone, _ = set_up(browser)
    for which in ("authenticator", "webauthn"):
        browser = page_client(None)
        sign_in(browser, cast.ana)
        browser.get(browser.location, status=200)
        browser.post("/sign-in/second-step", status=302, which=which)
        browser.get(browser.location, status=200)
        if which == "authenticator":
            browser.post("/sign-in/code", status=302, code=phone.code())
        else:
            browser.post("/sign-in/passkey", status=200)
            browser.post(ceremony(browser), status=302, credential=key.sign(browser.text))
        assert is_in(browser), which
    browser.get("/visits").post("/logout")
    sign_in(browser, cast.ana)
    browser.get(browser.location).post("/sign-in/second-step", status=302, which="nothing")
    assert not is_in(browser)


def test_H8_an_answer_signs_in_once(cast: Cast, page_client: Pages) -> None:
    key = Key()
    add_passkey(page_client(cast.ana), key)
    browser, thief = page_client(None), page_client(None)
    target = ask(browser)
    answer = key.sign(browser.text)
    thief.get("/login").post(target, credential=answer)
    assert not is_in(thief), "it was asked for in another session"
    browser.post(target, status=302, credential=answer)
    assert is_in(browser)
    browser.post("/logout")
    browser.get("/login").post(target, credential=answer)
    assert not is_in(browser), "it was answered before"


@pytest.mark.parametrize(
    "spoil", ["another site", "nobody there", "owner unknown", "another key", "no answer", "cut off", "no JSON"]
)
def test_H8_what_is_wrong_with_an_answer_keeps_the_door_shut(cast: Cast, page_client: Pages, spoil: str) -> None:
    key = Key()
    add_passkey(page_client(cast.ana), key)
    browser = page_client(None)
    target, page = ask(browser), browser.text
    other = Key()
    other.id, other.user_handle = key.id, key.user_handle
    answer = {
        "another site": lambda: key.sign(page, origin="https://evil.example"),
        "nobody there": lambda: key.sign(page, flags=0x00),
        "owner unknown": lambda: key.sign(page, flags=0x01),
        "another key": lambda: other.sign(page),
        "no answer": lambda: "",
        "cut off": lambda: key.sign(page)[:100],
        "no JSON": lambda: '["x"]',
    }[spoil]()
    browser.post(target, credential=answer)
    assert browser.response.status_code in (302, 400, 422)
    assert not is_in(browser)


def test_H8_somebody_else_s_passkey_is_no_second_step(cast: Cast, page_client: Pages) -> None:
    hers, his = Key(), Key()
    add_passkey(page_client(cast.ana), hers)
    add_passkey(page_client(cast.bea), his)
    browser = page_client(None)
    sign_in(browser, cast.ana)
    target = ask(browser)
    browser.post(target, credential=his.sign(browser.text))
    assert not is_in(browser)


def test_H8_a_passkey_is_added_to_whoever_asked_for_it(cast: Cast, page_client: Pages) -> None:
    ana, bea, key = page_client(cast.ana), page_client(cast.bea), Key()
    ana.get("/account/passkeys/new").post("/account/passkeys/new", name="ana's"[:3])
    target, answer = ceremony(ana), key.make(ana.text)
    bea.get("/account").post(target, credential=answer)
    assert db.session.scalars(select(Passkey)).all() == []
    ana.post(target, status=302, credential=answer)
    (kept,) = db.session.scalars(select(Passkey)).all()
    assert kept.user_id == cast.ana.user_id


def test_it_confirms_a_change_of_its_own_account_only(cast: Cast, page_client: Pages) -> None:
    hers, his = Key(), Key()
    ana = page_client(cast.ana)
    add_passkey(ana, hers)
    add_passkey(page_client(cast.bea), his)
    for key, opens in ((his, False), (hers, True)):
        grow_stale(ana)
        assert ana.get("/account/e-mail").location.startswith("/sign-in/again")
        target = ask(ana, "/sign-in/again/passkey")
        ana.post(target, credential=key.sign(ana.text))
        assert (ana.get("/account/e-mail").response.status_code == 200) is opens


def test_it_is_taken_away_by_its_owner_only(cast: Cast, page_client: Pages) -> None:
    ana, bea = page_client(cast.ana), page_client(cast.bea)
    add_passkey(ana, Key())
    (passkey_id,) = db.session.scalars(select(Passkey.id)).all()
    bea.get("/account").post(f"/account/passkeys/{passkey_id}/remove", status=404)
    ana.get("/account").post(f"/account/passkeys/{passkey_id}/remove", status=302)
    assert db.session.scalars(select(Passkey)).all() == []
    browser = page_client(None)
    sign_in(browser, cast.ana)
    assert is_in(browser)


def test_what_is_kept_names_nobody(cast: Cast, page_client: Pages) -> None:
    key = Key()
    add_passkey(page_client(cast.ana), key)
    handle = base64.urlsafe_b64decode(key.user_handle + "==")
    assert b"ana" not in handle.lower()
    assert str(cast.ana.user_id).encode() not in handle


@pytest.mark.usefixtures("staff_need_one")
def test_for_staff_a_passkey_is_a_second_factor(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.dana)
    assert browser.get("/admin/day").location == "/account"
    add_passkey(browser, Key())
    assert browser.get("/admin/day").response.status_code == 200
