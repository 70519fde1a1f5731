"""ana sets up her phone and signs in with it; whoever only has her password stays outside, on every way in."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db, security
from server.models import AuditEvent, User
from server.services import staff_accounts
from server.web.accounts import OutboxMail
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD, create_user
from tests.pages.test_sessions import session_id, sign_in
from tests.resources.asking import Api
from tests.resources.test_auth import letters_to, login
from tests.second_step import set_up

pytestmark = pytest.mark.usefixtures("still_codes")
Pages = Callable[[Person | None], PageClient]


@pytest.fixture
def staff_need_one(app: Flask) -> Iterator[None]:
    """The setting as it comes, outside of the demo."""
    before = app.config["FRONTDESK"]
    app.config["FRONTDESK"] = replace(before, staff_second_factor=True)
    yield
    app.config["FRONTDESK"] = before


def actions(person: Person) -> list[tuple[str, str]]:
    """What the record says of an account, beside tokens and plain sign-ins."""
    events = select(AuditEvent).where(AuditEvent.object_id == person.user_id).order_by(AuditEvent.id)
    return [(event.action, event.outcome) for event in db.session.scalars(events)]


def api_login(api_client: Api, code: str | None = None, email: str = "ana@example.com") -> Any:
    body = {"email": email, "password": PASSWORD} | ({} if code is None else {"code": code})
    return api_client(None).post("/auth/login", body)


def test_ana_sets_up_her_phone_and_signs_in_with_its_code(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    phone, _ = set_up(browser)
    assert browser.get("/account", status=200).says("You have 10 left.")
    browser.post("/logout", status=302)
    sign_in(browser, cast.ana)
    assert browser.location.startswith("/sign-in/code")
    assert browser.get("/visits").response.status_code == 302, "the password alone opens nothing"
    browser.get("/sign-in/code", status=200)
    half_way = session_id(browser)
    browser.post("/sign-in/code", status=302, code=phone.code())
    assert browser.get("/visits", status=200).says("My visits")
    assert session_id(browser) != half_way
    assert letters_to("ana@example.com") == ["account-sign-in-changed"]
    assert ("account.second-factor-on", "success") in actions(cast.ana)


def test_after_the_code_she_goes_on_where_she_was_going(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    phone, _ = set_up(browser)
    browser.get("/account").post("/logout")
    browser.get("/login?next=/visits/calendar")
    browser.post("/login?next=/visits/calendar", email=cast.ana.email, password=PASSWORD)
    browser.get(browser.location)
    assert browser.post("/sign-in/code?next=/visits/calendar", code=phone.code()).location == "/visits/calendar"


@pytest.mark.parametrize("wrong", ["000000", "12345", "no code", "", "½²³¼¾¹", "9" * 40])
def test_a_wrong_code_opens_nothing(cast: Cast, page_client: Pages, wrong: str) -> None:
    browser = page_client(cast.ana)
    set_up(browser)
    browser.get("/account").post("/logout")
    sign_in(browser, cast.ana)
    browser.get("/sign-in/code").post("/sign-in/code", status=200, code=wrong)
    assert browser.get("/visits").response.status_code == 302


def test_H8_a_code_works_once(cast: Cast, page_client: Pages, api_client: Api) -> None:
    phone, _ = set_up(page_client(cast.ana))
    code = phone.code()
    assert api_login(api_client, code).status_code == 200
    refused = api_login(api_client, code)
    assert (refused.status_code, refused.json["type"]) == (401, "second-factor-required")
    assert api_login(api_client, phone.code(steps=-1)).status_code == 401, "the one of the set-up was used, too"
    db.session.execute(update(User).values(tf_last_counter=None))  # the control: without the memory it would pass
    assert api_login(api_client, code).status_code == 200


def test_H8_a_code_is_good_for_half_a_minute_more_and_no_longer(
    cast: Cast, page_client: Pages, api_client: Api
) -> None:
    phone, _ = set_up(page_client(cast.ana))
    for steps, status in ((2, 401), (3, 401), (1, 200)):
        assert api_login(api_client, phone.code(steps=steps)).status_code == status, steps
    db.session.execute(update(User).values(tf_last_counter=None))
    for steps, status in ((-2, 401), (-3, 401), (-1, 200)):
        assert api_login(api_client, phone.code(steps=steps)).status_code == status, steps


def test_H8_after_five_wrong_codes_the_right_one_waits_ten_minutes(
    cast: Cast, page_client: Pages, api_client: Api
) -> None:
    phone, codes = set_up(page_client(cast.ana))
    for _ in range(5):
        assert api_login(api_client, "000000").status_code == 401
    for code in (phone.code(), codes[0]):
        refused = api_login(api_client, code)
        assert (refused.status_code, refused.json["type"], refused.headers["Retry-After"]) == (
            429,
            "too-many-codes",
            "600",
        )
    earlier = User.code_failures_since - db.func.make_interval(0, 0, 0, 0, 0, 11)
    db.session.execute(update(User).values(code_failures_since=earlier))
    assert api_login(api_client, phone.code()).status_code == 200


def test_H8_a_recovery_code_works_once_and_is_kept_as_a_fingerprint(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    _, codes = set_up(browser)
    kept = db.session.scalars(select(User.mf_recovery_codes).where(User.id == cast.ana.user_id)).one()
    assert not any(code in str(kept) or code.replace("-", "") in str(kept) for code in codes)
    for status in (302, 200):
        browser.get("/account").post("/logout")
        browser = page_client(None)
        sign_in(browser, cast.ana)
        browser.get("/sign-in/recovery-code", status=200)
        browser.post("/sign-in/recovery-code", status=status, code=codes[3].lower().replace("-", " "))
    assert browser.says("This code is wrong, or was used before.")
    assert ("account.recovery-code-used", "success") in actions(cast.ana)
    assert letters_to("ana@example.com") == ["account-sign-in-changed"] * 2


def test_new_recovery_codes_replace_the_old_ones(cast: Cast, page_client: Pages, api_client: Api) -> None:
    browser = page_client(cast.ana)
    _, old = set_up(browser)
    browser.get("/account").post("/account/recovery-codes", status=200)
    new = [line.text for line in browser.all("li") if line.text and line.text.count("-") == 4]
    assert api_login(api_client, old[0]).status_code == 401
    assert api_login(api_client, new[0]).status_code == 200


def test_switching_it_off_takes_a_fresh_sign_in(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    set_up(browser)
    browser.get("/account")
    grow_stale(browser)
    browser.post("/account/second-factor/off")
    assert browser.location.startswith("/sign-in/again")
    assert is_on(cast.ana)
    browser.get(browser.location)
    browser.post("/sign-in/again", password="not hers", next="/account", status=200)
    browser.post("/sign-in/again", password=PASSWORD, next="/account", status=302)
    browser.get("/account").post("/account/second-factor/off", status=302)
    assert not is_on(cast.ana)
    assert [what for what in actions(cast.ana) if "again" in what[0] or "off" in what[0]] == [
        ("account.signed-in-again", "refused"),
        ("account.signed-in-again", "success"),
        ("account.second-factor-off", "success"),
    ]


@pytest.mark.parametrize("path", ["/account/second-factor", "/account/e-mail", "/account/passkeys/new"])
def test_H8_setting_something_up_takes_a_fresh_sign_in(cast: Cast, page_client: Pages, path: str) -> None:
    browser = page_client(cast.ana)
    assert browser.get(path).response.status_code == 200
    grow_stale(browser)
    assert browser.get(path).location.startswith("/sign-in/again")


def test_the_secret_is_encrypted_in_the_database_and_in_the_session(app: Flask, cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    browser.get("/account/second-factor")
    stored = b"".join(
        app.config["SESSION_REDIS"].get(key) for key in app.config["SESSION_REDIS"].scan_iter("session:*")
    )
    assert b"enckey" in stored
    assert b'\\"key\\"' not in stored
    set_up(browser)
    kept = db.session.scalars(select(User.tf_totp_secret).where(User.id == cast.ana.user_id)).one()
    assert '"enckey"' in kept
    assert '"key"' not in kept


def test_the_picture_is_made_by_the_server_and_allowed_by_our_policy(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    browser.get("/account/second-factor")
    (picture,) = (image for image in browser.all("img") if image.get("class") == "qr")
    assert picture.get("src").startswith("data:image/svg+xml;base64,")
    assert "img-src 'self' data:" in browser.response.headers["Content-Security-Policy"]


# --- every other way in ---


def test_the_api_asks_for_the_code_as_well(cast: Cast, page_client: Pages, api_client: Api) -> None:
    assert api_login(api_client).status_code == 200
    phone, codes = set_up(page_client(cast.ana))
    refused = api_login(api_client)
    assert (refused.status_code, refused.json["type"]) == (401, "second-factor-required")
    assert api_login(api_client, "").status_code == 401
    signed_in = api_login(api_client, phone.code())
    assert signed_in.status_code == 200
    bearer = {"Authorization": f"Bearer {signed_in.json['access_token']}"}
    assert api_client(None).get("/me", headers=bearer).json["second_factors"] == ["authenticator"]
    assert api_login(api_client, codes[0]).status_code == 200


def test_H3_a_wrong_password_says_nothing_of_a_second_factor(cast: Cast, page_client: Pages, api_client: Api) -> None:
    set_up(page_client(cast.ana))
    with_factor, without = login(api_client, password="wrong"), login(api_client, "bea@example.com", "wrong")
    assert with_factor.json["type"] == without.json["type"] == "invalid-credentials"
    assert login(api_client, password="wrong").json["detail"] == without.json["detail"]


def test_H7_a_new_password_by_letter_does_not_skip_the_code(
    app: Flask, cast: Cast, page_client: Pages, api_client: Api
) -> None:
    from tests.resources.test_passwords import NEW_PASSWORD, forget, reset, token_of

    phone, _ = set_up(page_client(cast.ana))
    forget(api_client)
    assert reset(api_client, token_of(app)).status_code == 204
    assert login(api_client, password=NEW_PASSWORD).json["type"] == "second-factor-required"
    browser = page_client(None)
    sign_in(browser, cast.ana, NEW_PASSWORD)
    assert browser.location.startswith("/sign-in/code")
    browser.get("/sign-in/code").post("/sign-in/code", status=302, code=phone.code())


def test_trap_7_the_library_s_own_tokens_and_pages_are_no_way_around(cast: Cast, page_client: Pages) -> None:
    browser = page_client(None)
    browser.get("/login")
    answer = browser.client.post(
        "/login?include_auth_token",
        data={"csrf_token": browser.csrf_token(), "email": cast.ana.email, "password": PASSWORD},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 200
    token = answer.json["response"].get("user", {}).get("authentication_token", "none")
    thief = page_client(None)
    assert thief.client.get("/visits", headers={"Authentication-Token": token}).status_code == 302
    assert thief.client.get(f"/visits?auth_token={token}").status_code == 302
    browser = page_client(cast.ana)
    for path in ("/tf-setup", "/tf-rescue", "/mf-recovery-codes", "/wan-delete", "/account/confirm-by-library"):
        assert browser.get(path).response.status_code == 404, path


def test_trap_4_what_the_library_would_send_goes_through_the_outbox() -> None:
    assert isinstance(security._mail_util, OutboxMail)


def test_trap_7_a_sign_in_is_fresh_for_a_quarter_of_an_hour_and_no_grace(app: Flask) -> None:
    assert app.config["SECURITY_FRESHNESS"].total_seconds() == 900
    assert app.config["SECURITY_FRESHNESS_GRACE_PERIOD"].total_seconds() == 0
    assert app.config["SECURITY_LOGOUT_METHODS"] == ["POST"]


def test_the_steps_in_between_are_shut_for_whoever_has_not_given_a_password(cast: Cast, page_client: Pages) -> None:
    set_up(page_client(cast.ana))
    for path in ("/sign-in/code", "/sign-in/recovery-code", "/sign-in/second-step"):
        assert page_client(None).get(path).location == "/login", path


# --- staff need one ---


@pytest.mark.usefixtures("staff_need_one")
def test_staff_see_nothing_before_they_have_a_second_factor(cast: Cast, page_client: Pages, api_client: Api) -> None:
    browser = page_client(cast.dana)
    assert browser.get("/admin/day").location == "/account"
    assert browser.get("/after-sign-in", follow=True, status=200).says("Staff need a second factor here.")
    refused = api_login(api_client, email=cast.dana.email)
    assert (refused.status_code, refused.json["type"]) == (403, "second-factor-missing")
    live = api_client(cast.dana).get("/appointments")
    assert (live.status_code, live.json["type"]) == (403, "second-factor-missing")
    phone, _ = set_up(browser)
    assert browser.get("/admin/day").response.status_code == 200
    assert api_login(api_client, phone.code(), email=cast.dana.email).status_code == 200


@pytest.mark.usefixtures("staff_need_one")
def test_an_auditor_sees_nothing_on_record_before_either(cast: Cast, page_client: Pages, api_client: Api) -> None:
    vera = create_user("auditor", email="vera@example.com", name="Vera Wolf")
    auditor = Person(vera.id, vera.email)
    db.session.commit()
    browser = page_client(auditor)
    assert browser.get("/admin/audit").location == "/account"
    assert api_client(auditor).get("/audit-events").json["type"] == "second-factor-missing"
    set_up(browser)
    assert browser.get("/admin/audit", status=200).says("On record")


@pytest.mark.usefixtures("staff_need_one")
def test_staff_without_one_are_not_staff_on_patients_pages_either(
    cast: Cast, page_client: Pages, api_client: Api
) -> None:
    from tests.resources.asking import book

    visit = book(api_client, cast)["id"]
    assert page_client(cast.dana).get(f"/visits/{visit}").response.status_code == 404


@pytest.mark.usefixtures("staff_need_one")
def test_patients_need_none(cast: Cast, page_client: Pages, api_client: Api) -> None:
    assert page_client(cast.ana).get("/visits").response.status_code == 200
    assert api_login(api_client).status_code == 200


def test_without_the_setting_staff_may_do_without(cast: Cast, page_client: Pages, api_client: Api) -> None:
    """The negative control, and how the demo is."""
    assert page_client(cast.dana).get("/admin/day").response.status_code == 200
    assert api_login(api_client, email=cast.dana.email).status_code == 200


def test_who_lost_phone_and_codes_is_let_in_by_an_administrator(
    cast: Cast, page_client: Pages, api_client: Api
) -> None:
    browser = page_client(cast.ana)
    set_up(browser)
    staff_accounts.reset_second_factor(cast.ana.user_id, actor=cast.olga.actor)
    assert browser.get("/visits").response.status_code == 302, "what was signed in is out"
    assert api_login(api_client).status_code == 200
    assert letters_to("ana@example.com")[-1] == "account-sign-in-changed"


def grow_stale(browser: PageClient) -> None:
    """As if the password had been given sixteen minutes ago."""
    import json

    store = browser.client.application.config["SESSION_REDIS"]
    key = f"session:{session_id(browser)}"
    kept = json.loads(store.get(key))
    store.set(key, json.dumps({**kept, "fs_paa": kept["fs_paa"] - 16 * 60}))


def is_on(person: Person) -> bool:
    return db.session.scalars(select(User.tf_primary_method).where(User.id == person.user_id)).one() is not None
