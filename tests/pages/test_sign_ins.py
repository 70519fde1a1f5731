"""Where somebody is signed in: browsers and programs in one list, each ended at once, by their owner only."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.models import TokenFamily, User
from server.services import staff_accounts
from server.utils import agents
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.pages.test_sessions import session_id, sign_in
from tests.resources.asking import Api
from tests.resources.test_auth import login
from tests.resources.test_passwords import forget, reset, token_of

Pages = Callable[[Person | None], PageClient]
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"


def families(person: Person) -> list[str]:
    mine = select(TokenFamily.id).where(TokenFamily.user_id == person.user_id, TokenFamily.revoked_at.is_(None))
    return [str(family_id) for family_id in db.session.scalars(mine.order_by(TokenFamily.id))]


def test_ana_sees_which_programs_are_signed_in_since_when_and_from_where(
    cast: Cast, page_client: Pages, api_client: Api
) -> None:
    elsewhere = page_client(None)
    elsewhere.client.environ_base |= {"HTTP_USER_AGENT": FIREFOX, "REMOTE_ADDR": "203.0.113.7"}
    sign_in(elsewhere, cast.ana)
    login(api_client)
    page = page_client(cast.ana).get("/account", status=200)
    assert page.says("Firefox on Windows")
    assert page.says("from 203.0.113.7")
    assert page.says("This one")
    assert page.says("App or program")


def test_one_that_is_ended_is_out_with_its_next_request(cast: Cast, page_client: Pages) -> None:
    lost, here = page_client(cast.ana), page_client(cast.ana)
    assert lost.get("/visits").response.status_code == 200
    first, _ = families(cast.ana)
    here.get("/account").post(f"/account/sign-ins/{first}/end", status=302)
    assert lost.get("/visits").location.startswith("/login")
    assert lost.get("/account/passkeys/new").location.startswith("/login"), "the library's pages, too"
    assert here.get("/visits").response.status_code == 200


def test_a_program_is_ended_the_same_way_and_cannot_refresh(cast: Cast, page_client: Pages, api_client: Api) -> None:
    pair = login(api_client).json
    bearer = {"Authorization": f"Bearer {pair['access_token']}"}
    assert api_client(None).get("/me", headers=bearer).status_code == 200
    page_client(cast.ana).get("/account").post(f"/account/sign-ins/{families(cast.ana)[0]}/end", status=302)
    assert api_client(None).get("/me", headers=bearer).status_code == 401
    refresh = {"Authorization": f"Bearer {pair['refresh_token']}"}
    assert api_client(None).post("/auth/refresh", headers=refresh).status_code == 401


def test_she_signs_out_everywhere_else(cast: Cast, page_client: Pages, api_client: Api) -> None:
    others = [page_client(cast.ana) for _ in range(2)]
    token = login(api_client).json["access_token"]
    here, bea = page_client(cast.ana), page_client(cast.bea)
    here.get("/account").post("/account/sign-ins/end-others", status=302)
    assert [other.get("/visits").response.status_code for other in others] == [302, 302]
    assert api_client(None).get("/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert [browser.get("/visits").response.status_code for browser in (here, bea)] == [200, 200]


def test_G3_nobody_ends_or_sees_somebody_else_s(cast: Cast, page_client: Pages) -> None:
    ana, bea = page_client(cast.ana), page_client(cast.bea)
    (hers,) = families(cast.ana)
    assert hers not in bea.get("/account").text
    assert bea.post(f"/account/sign-ins/{hers}/end").response.status_code == 404
    assert ana.get("/visits").response.status_code == 200


def test_H4_a_new_password_ends_browsers_and_programs(
    app: Flask, cast: Cast, page_client: Pages, api_client: Api
) -> None:
    browser, token = page_client(cast.ana), login(api_client).json["access_token"]
    forget(api_client)
    assert reset(api_client, token_of(app)).status_code == 204
    assert families(cast.ana) == []
    assert browser.get("/visits").response.status_code == 302
    assert api_client(None).get("/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("change", ["switched off", "another role", "deleted in Redis only"])
def test_H4_a_sign_in_ends_with_the_account_or_its_role(
    app: Flask, cast: Cast, page_client: Pages, api_client: Api, change: str
) -> None:
    browser, token = page_client(cast.dana), login(api_client, cast.dana.email).json["access_token"]
    assert browser.get("/admin/day").response.status_code == 200
    olga = cast.olga.actor
    if change == "switched off":
        staff_accounts.set_active(cast.dana.user_id, False, actor=olga)
    elif change == "another role":
        staff_accounts.set_role(cast.dana.user_id, "practitioner", actor=olga)
    else:  # the control: Redis alone knows nothing of programs
        app.config["SESSION_REDIS"].delete(f"session:{session_id(browser)}")
    assert browser.get("/admin/day").response.status_code == 302
    status = api_client(None).get("/me", headers={"Authorization": f"Bearer {token}"}).status_code
    assert status == (200 if "Redis" in change else 401)


def test_H4_a_session_that_redis_still_has_is_dead_once_its_sign_in_ended(cast: Cast, page_client: Pages) -> None:
    """Trap 2 and 11: Redis may come back with what it had; the database says who is signed in."""
    browser = page_client(cast.ana)
    db.session.execute(update(TokenFamily).values(revoked_at=db.func.now()))
    assert browser.get("/visits").response.status_code == 302
    db.session.execute(update(TokenFamily).values(revoked_at=None))
    sign_in(browser, cast.ana)
    assert browser.get("/visits").response.status_code == 200


def test_H4_after_twelve_hours_everybody_signs_in_anew(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    ends = select(TokenFamily.expires_at - TokenFamily.created_at).where(TokenFamily.user_id == cast.ana.user_id)
    assert db.session.scalars(ends).one() == timedelta(hours=12)
    db.session.execute(update(TokenFamily).values(expires_at=db.func.now() - timedelta(seconds=1)))
    assert browser.get("/visits").response.status_code == 302


def test_H4_a_browser_that_nobody_uses_is_signed_out(app: Flask, cast: Cast, page_client: Pages) -> None:
    store = app.config["SESSION_REDIS"]
    for person, path, minutes, status in (
        (cast.dana, "/admin/day", 14, 200),
        (cast.dana, "/admin/day", 16, 302),
        (cast.ana, "/visits", 16, 200),
        (cast.ana, "/visits", 31, 302),
    ):
        browser = page_client(person)
        assert browser.get(path).response.status_code == 200
        key = f"session:{session_id(browser)}"
        kept = json.loads(store.get(key))
        store.set(key, json.dumps({**kept, "seen": kept["seen"] - 60 * minutes}))
        before = len(families(person))
        assert browser.get(path).response.status_code == status, (path, minutes)
        assert len(families(person)) == before - (status == 302), "it is off the list, too"


def test_signing_out_takes_it_off_the_list(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    assert len(families(cast.ana)) == 1
    browser.get("/visits").post("/logout")
    assert families(cast.ana) == []


def test_a_session_without_a_sign_in_opens_nothing(app: Flask, cast: Cast, page_client: Pages) -> None:
    """One from before this version, or one that somebody wrote into Redis."""
    browser, store = page_client(cast.ana), app.config["SESSION_REDIS"]
    key = f"session:{session_id(browser)}"
    kept = json.loads(store.get(key))
    store.set(key, json.dumps({name: value for name, value in kept.items() if name != "family"}))
    assert browser.get("/visits").response.status_code == 302


def test_programs_are_called_what_people_call_them() -> None:
    chrome = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36"
    safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1 Version/18.1 Mobile Safari/604.1"
    words = [agents.in_words(agent) for agent in (FIREFOX, chrome, safari, "python-requests/2.34", "")]
    assert words == [
        "Firefox on Windows",
        "Chrome on Android",
        "Safari on iPhone",
        "python-requests",
        "A program without a name",
    ]


def test_the_account_behind_a_sign_in_is_the_family_s(cast: Cast, page_client: Pages) -> None:
    """A family of somebody else is no key to an account."""
    browser = page_client(cast.ana)
    db.session.execute(update(TokenFamily).values(user_id=cast.bea.user_id))
    assert browser.get("/visits").response.status_code == 302
    assert db.session.scalars(select(User.active).where(User.id == cast.ana.user_id)).one()
