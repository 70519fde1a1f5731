"""ana changes the address she signs in with: confirmed from the new one, told to the old one."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.models import AuditEvent, OutboxMessage, Patient, User
from server.services import letters
from server.services.outbox import NoLongerTrue
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.resources.asking import Api
from tests.resources.test_auth import login

Pages = Callable[[Person | None], PageClient]
NEW = "ana.silva@example.net"


def ask(browser: PageClient, email: str = NEW, status: int = 302) -> None:
    browser.get("/account/e-mail", status=200)
    browser.post("/account/e-mail", email=email, status=status)


def letter(app: Flask, name: str) -> letters.Letter:
    newest = select(OutboxMessage.id).where(OutboxMessage.letter == name).order_by(OutboxMessage.id.desc()).limit(1)
    return letters.compose(db.session.scalars(newest).one(), settings=app.config["FRONTDESK"])


def path_in(found: letters.Letter) -> str:
    return "/new-address/" + found.text.split("/new-address/")[1].split()[0]


def email_of(person: Person) -> str:
    return db.session.scalars(select(User.email).where(User.id == person.user_id)).one()


def test_H9_the_change_is_made_from_the_new_address_and_told_to_the_old_one(
    app: Flask, cast: Cast, page_client: Pages, api_client: Api
) -> None:
    browser, elsewhere = page_client(cast.ana), page_client(cast.ana)
    ask(browser)
    sent = letter(app, "account-new-address")
    assert sent.to == NEW
    reader = page_client(None)
    for _ in range(2):  # a mail program may open it before she does
        assert reader.get(path_in(sent), status=200).says(NEW)
    assert email_of(cast.ana) == "ana@example.com"
    reader.post(path_in(sent), status=302)
    assert email_of(cast.ana) == NEW
    assert db.session.scalars(select(Patient.email).where(Patient.id == cast.ana.patient_id)).one() == NEW
    assert letter(app, "account-address-changed").to == "ana@example.com"
    assert [each.get("/visits").response.status_code for each in (browser, elsewhere)] == [302, 302]
    assert login(api_client).status_code == 401
    assert login(api_client, NEW).status_code == 200
    did = select(AuditEvent.action).where(AuditEvent.action.like("account.address%")).order_by(AuditEvent.id)
    assert db.session.scalars(did).all() == ["account.address-asked", "account.address-changed"]


def test_H7_a_link_works_once_and_only_for_the_address_asked_for_last(
    app: Flask, cast: Cast, page_client: Pages
) -> None:
    browser = page_client(cast.ana)
    ask(browser, "first@example.net")
    first = path_in(letter(app, "account-new-address"))
    ask(browser)
    second = path_in(letter(app, "account-new-address"))
    reader = page_client(None)
    assert reader.get(first).response.status_code == 422
    reader.get(second).post(second, status=302)
    assert reader.get(second).response.status_code == 422
    with pytest.raises(NoLongerTrue):
        letter(app, "account-new-address")


def test_H7_a_link_ends_after_two_hours_and_no_letter_of_it_can_be_changed(
    app: Flask, cast: Cast, page_client: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(page_client(cast.ana))
    path = path_in(letter(app, "account-new-address"))
    reader = page_client(None)
    assert reader.get(path[:-5] + ("A" if path[-5] != "A" else "B") + path[-4:]).response.status_code == 422
    assert reader.get("/new-address/made-up").response.status_code == 422
    monkeypatch.setattr("server.services.email_changes.WITHIN_SECONDS", -1)
    assert reader.get(path).response.status_code == 422


def test_H3_an_address_that_somebody_has_gets_the_same_answer_and_is_told_itself(
    app: Flask, cast: Cast, page_client: Pages
) -> None:
    seen = []
    for email in (NEW, cast.bea.email):
        browser = page_client(cast.ana)
        ask(browser, email)
        seen.append((browser.response.status_code, browser.location, browser.get("/account").says("on its way")))
    assert seen[0] == seen[1]
    assert letter(app, "account-exists").to == cast.bea.email
    assert db.session.scalars(select(User.new_email).where(User.id == cast.ana.user_id)).one() is None


def test_H9_whoever_registers_the_address_meanwhile_keeps_it(app: Flask, cast: Cast, page_client: Pages) -> None:
    ask(page_client(cast.ana))
    path = path_in(letter(app, "account-new-address"))
    db.session.execute(update(User).where(User.id == cast.bea.user_id).values(email=NEW))
    reader = page_client(None)
    reader.get(path).post(path, status=422)
    assert reader.says("This address belongs to another account.")
    assert email_of(cast.ana) == "ana@example.com"


def test_what_is_no_address_is_said_beside_the_field(cast: Cast, page_client: Pages) -> None:
    browser = page_client(cast.ana)
    ask(browser, "not an address", status=422)
    assert browser.says("Please look at this again")


def test_trap_5_the_letter_s_link_is_ours_whatever_host_the_request_named(
    app: Flask, cast: Cast, page_client: Pages
) -> None:
    browser = page_client(cast.ana)
    browser.get("/account/e-mail")
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    fields = {"csrf_token": browser.csrf_token(), "email": NEW}
    assert browser.client.post("/account/e-mail", data=fields, headers=forged).status_code == 302
    assert "evil.example" not in letter(app, "account-new-address").text


@pytest.mark.parametrize("path", ["/", "/forgot-password", "/api/v1/locations"])
def test_traps_5_and_6_a_host_that_is_not_ours_is_refused(cast: Cast, page_client: Pages, path: str) -> None:
    client = page_client(None).client
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 400
    assert client.get(path, headers={"Host": "localhost"}).status_code == 200
