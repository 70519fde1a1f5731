"""ana has forgotten her password: a letter, a link that works once, and nothing for whoever only guesses."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.models import AuditEvent, KnownDevice, OutboxMessage, User
from server.services import devices, housekeeping, letters
from server.services.access import visitor
from server.utils import clock
from tests.cast import Cast
from tests.clients import PageClient
from tests.factories import PASSWORD
from tests.resources.asking import Api
from tests.resources.test_auth import letters_to, login, with_token, without_id

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NEW_PASSWORD = "another long sentence"


def forget(api_client: Api, email: str = "ana@example.com") -> Any:
    return api_client(None).post("/auth/forgot-password", {"email": email})


def reset(api_client: Api, token: str, password: str = NEW_PASSWORD) -> Any:
    return api_client(None).post("/auth/reset-password", {"token": token, "password": password})


def token_of(app: Flask) -> str:
    """What stands in the newest letter."""
    newest = select(OutboxMessage.id).where(OutboxMessage.letter == "account-reset").order_by(OutboxMessage.id.desc())
    message_id = db.session.scalars(newest).first()
    assert message_id
    text = letters.compose(message_id, settings=app.config["FRONTDESK"]).text
    return text.split("/reset-password/")[1].split()[0]


def test_H3_the_answer_tells_nobody_which_addresses_are_known(api_client: Api, cast: Cast) -> None:
    db.session.execute(update(User).where(User.email == "bea@example.com").values(active=False))
    answers = [forget(api_client, email) for email in ("ana@example.com", "nobody@example.com", "bea@example.com")]
    assert {answer.status_code for answer in answers} == {202}
    assert len({str(without_id(answer)) for answer in answers}) == 1
    assert letters_to("ana@example.com") == ["account-reset"]
    everything = select(OutboxMessage.letter).where(OutboxMessage.letter == "account-reset")
    assert db.session.scalars(everything).all() == ["account-reset"]
    asked = select(AuditEvent.outcome).where(AuditEvent.action == "account.reset-asked").order_by(AuditEvent.id)
    assert db.session.scalars(asked).all() == ["success", "refused", "refused"]


def test_H7_the_link_works_once_and_ends_every_sign_in(app: Flask, api_client: Api, cast: Cast) -> None:
    program, browser = login(api_client).json, PageClient(app, cast.ana)
    forget(api_client, " ANA@example.com ")
    token = token_of(app)
    assert reset(api_client, token).status_code == 204
    assert with_token(api_client, program["access_token"]).get("/me").status_code == 401
    assert with_token(api_client, program["refresh_token"]).post("/auth/refresh").status_code == 401
    browser.get("/visits", status=302)
    assert login(api_client, password=PASSWORD).status_code == 401
    assert login(api_client, password=NEW_PASSWORD).status_code == 200
    again = reset(api_client, token, "a third long sentence")
    assert (again.status_code, list(again.json["errors"])) == (422, ["token"])
    assert login(api_client, password=NEW_PASSWORD).status_code == 200
    assert letters_to("ana@example.com")[:2] == ["account-reset", "account-password-changed"]


def test_H7_of_two_links_the_first_that_is_used_ends_the_other(app: Flask, api_client: Api, cast: Cast) -> None:
    forget(api_client)
    first = token_of(app)
    forget(api_client)
    assert reset(api_client, token_of(app)).status_code == 204
    assert reset(api_client, first).status_code == 422


def test_H7_an_old_link_is_refused(app: Flask, api_client: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(api_client)
    monkeypatch.setitem(app.config, "SECURITY_RESET_PASSWORD_WITHIN", timedelta(seconds=-1))
    assert reset(api_client, token_of(app)).status_code == 422
    assert login(api_client).status_code == 200


@pytest.mark.parametrize("password", ["short", "ana@example.com", "aaaaaaaaaaaaaaaa"])
def test_a_password_that_is_easy_to_guess_uses_nothing_up(
    app: Flask, api_client: Api, cast: Cast, password: str
) -> None:
    forget(api_client)
    token = token_of(app)
    refused = reset(api_client, token, password)
    assert (refused.status_code, list(refused.json["errors"])) == (422, ["password"])
    assert reset(api_client, token).status_code == 204


def test_H7_a_link_that_confirms_an_address_sets_no_password(app: Flask, api_client: Api, cast: Cast) -> None:
    from flask_security.confirmable import generate_confirmation_token

    user = db.session.get_one(User, cast.ana.user_id)
    assert reset(api_client, generate_confirmation_token(user)).status_code == 422


def test_whoever_got_the_letter_has_confirmed_the_address(app: Flask, api_client: Api, cast: Cast) -> None:
    db.session.execute(update(User).where(User.id == cast.ana.user_id).values(confirmed_at=None))
    forget(api_client)
    assert reset(api_client, token_of(app)).status_code == 204
    assert login(api_client, password=NEW_PASSWORD).status_code == 200


def test_H2_nobody_is_sent_letters_without_end(api_client: Api, cast: Cast) -> None:
    assert [forget(api_client).status_code for _ in range(6)] == [202] * 5 + [429]
    assert forget(api_client, "bea@example.com").status_code == 202


FIREFOX, CHROME = "Mozilla/5.0 (X11) Firefox/144.0", "Mozilla/5.0 (X11) Chrome/141.0.1"


def signs_in(cast: Cast, agent: str, ip: str) -> list[str]:
    devices.note_sign_in(cast.ana.user_id, agent=agent, actor=visitor(ip=ip))
    db.session.commit()
    return letters_to("ana@example.com")


def test_a_sign_in_from_somewhere_new_is_told_and_the_first_of_all_is_not(cast: Cast) -> None:
    assert signs_in(cast, FIREFOX, "192.0.2.7") == []
    assert signs_in(cast, FIREFOX.replace("144", "145"), "192.0.2.99") == [], "an update, and another address at home"
    assert signs_in(cast, CHROME, "192.0.2.7") == ["account-new-sign-in"]
    assert signs_in(cast, CHROME, "192.0.2.7") == ["account-new-sign-in"]
    assert signs_in(cast, CHROME, "203.0.113.7") == ["account-new-sign-in"] * 2
    assert signs_in(cast, CHROME, "2001:db8:1:2::1") == ["account-new-sign-in"] * 3
    assert signs_in(cast, CHROME, "2001:db8:1:3::9") == ["account-new-sign-in"] * 3
    devices.note_sign_in(cast.bea.user_id, agent=CHROME, actor=visitor(ip="192.0.2.7"))
    assert letters_to("bea@example.com") == [], "what one account is known by says nothing of another"


def test_what_was_not_used_for_a_year_is_forgotten(cast: Cast) -> None:
    signs_in(cast, FIREFOX, "192.0.2.7")
    signs_in(cast, CHROME, "192.0.2.7")
    old = update(KnownDevice).values(last_seen_at=clock.now() - timedelta(days=366))
    db.session.execute(old.where(KnownDevice.fingerprint == devices.mark(cast.ana.user_id, CHROME, "192.0.2.7")))
    assert housekeeping.forget_devices() == 1
    assert len(signs_in(cast, CHROME, "192.0.2.7")) == 2


def test_signing_in_on_the_pages_and_by_program_are_both_noticed(app: Flask, api_client: Api, cast: Cast) -> None:
    PageClient(app, cast.ana)
    client = api_client(None)
    client.headers["User-Agent"] = CHROME
    assert client.post("/auth/login", {"email": "ana@example.com", "password": PASSWORD}).status_code == 200
    assert letters_to("ana@example.com") == ["account-new-sign-in"]
