"""olga invites dana's new colleague, gives roles and takes them; nobody else does, and olga not with her own."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.models import OutboxMessage, Practitioner, User
from server.services import letters
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import create_practitioner
from tests.pages.test_second_factor import actions, grow_stale, is_on
from tests.pages.test_sessions import sign_in
from tests.resources.asking import Api
from tests.second_step import set_up

pytestmark = pytest.mark.usefixtures("still_codes")
Pages = Callable[[Person | None], PageClient]
NEW = {"email": "Noa@Example.com", "name": "Noa Levy", "role": "front-desk"}


def invite(browser: PageClient, status: int = 302, **over: str) -> None:
    browser.get("/admin/accounts", status=200)
    browser.post("/admin/accounts", status=status, **{**NEW, **over})


def link(app: Flask) -> str:
    newest = select(OutboxMessage.id).where(OutboxMessage.letter == "account-invited").order_by(OutboxMessage.id.desc())
    letter = letters.compose(db.session.scalars(newest.limit(1)).one(), settings=app.config["FRONTDESK"])
    assert letter.to == "noa@example.com"
    return "/reset-password/" + letter.text.split("/reset-password/")[1].split()[0]


def user_id(email: str = "noa@example.com") -> UUID:
    return db.session.scalars(select(User.id).where(User.email == email)).one()


def test_noa_is_invited_chooses_a_password_and_works(app: Flask, cast: Cast, page_client: Pages) -> None:
    invite(page_client(cast.olga))
    noa, person = page_client(None), Person(user_id(), "noa@example.com")
    sign_in(noa, person, "")
    assert noa.get("/admin/day").response.status_code == 302, "no password is no way in"
    noa.get(link(app), status=200)
    noa.post(link(app), password="a long sentence of noa", status=302)
    sign_in(noa, person, "a long sentence of noa")
    assert noa.get("/admin/day").response.status_code == 200
    assert noa.get("/admin/accounts").response.status_code == 403
    assert actions(person)[0] == ("account.invited", "success")


def test_only_administrators_are_shown_the_way(cast: Cast, page_client: Pages) -> None:
    for person, shown in ((cast.olga, True), (cast.dana, False), (cast.ana, False)):
        assert page_client(person).get("/account", status=200).says("Accounts of staff") is shown


def test_an_invitation_works_for_seven_days(
    app: Flask, cast: Cast, page_client: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga = page_client(cast.olga)
    invite(olga)
    path, noa = link(app), page_client(None)
    # As if the two hours of every other link had passed.
    monkeypatch.setitem(app.config, "SECURITY_RESET_PASSWORD_WITHIN", timedelta(seconds=-1))
    assert noa.get(path).response.status_code == 200
    db.session.execute(update(User).values(invited_at=User.invited_at - db.func.make_interval(0, 0, 0, 8)))
    assert noa.get(path).response.status_code == 422
    olga.get("/admin/accounts").post(f"/admin/accounts/{user_id()}/invite", status=302)
    assert noa.get(path).response.status_code == 200


def test_a_practitioner_is_invited_as_who_they_are(cast: Cast, page_client: Pages) -> None:
    doctor = create_practitioner(name="Dr Noa Levy").id
    olga = page_client(cast.olga)
    invite(olga, 422, practitioner_id=str(doctor))
    invite(olga, role="practitioner", practitioner_id=str(doctor))
    assert db.session.scalars(select(Practitioner.user_id).where(Practitioner.id == doctor)).one() == user_id()


@pytest.mark.parametrize(
    "wrong",
    [{"email": "no address"}, {"name": " "}, {"role": "patient"}, {"role": "god"}, {"email": "ana@example.com"}],
)
def test_what_is_wrong_with_an_invitation_is_said(cast: Cast, page_client: Pages, wrong: dict[str, str]) -> None:
    olga = page_client(cast.olga)
    invite(olga, 422, **wrong)
    assert olga.says("Please look at this again")
    assert db.session.scalars(select(User.id).where(User.invited_at.is_not(None))).all() == []


def test_who_lost_the_phone_is_helped(cast: Cast, page_client: Pages) -> None:
    dana, olga = page_client(cast.dana), page_client(cast.olga)
    set_up(dana)
    assert olga.get("/admin/accounts", status=200).says("Second factor")
    olga.post(f"/admin/accounts/{cast.dana.user_id}/second-factor", status=302)
    assert not is_on(cast.dana)
    assert dana.get("/admin/day").response.status_code == 302


def test_a_switched_off_account_comes_back(cast: Cast, page_client: Pages) -> None:
    olga = page_client(cast.olga)
    olga.get("/admin/accounts").post(f"/admin/accounts/{cast.dana.user_id}/off", status=302)
    dana = page_client(None)
    sign_in(dana, cast.dana)
    assert dana.get("/admin/day").response.status_code == 302
    olga.get("/admin/accounts").post(f"/admin/accounts/{cast.dana.user_id}/on", status=302)
    sign_in(dana, cast.dana)
    assert dana.get("/admin/day").response.status_code == 200


@pytest.mark.parametrize("path", ["off", "role"])
def test_olga_cannot_lock_the_clinic_out(cast: Cast, page_client: Pages, path: str) -> None:
    olga = page_client(cast.olga)
    olga.get("/admin/accounts").post(f"/admin/accounts/{cast.olga.user_id}/{path}", role="practitioner", status=409)
    assert olga.get("/admin/accounts").response.status_code == 200


def test_G4_nobody_else_decides_about_accounts(cast: Cast, page_client: Pages) -> None:
    for person in (cast.dana, cast.dr_cho, cast.ana):
        browser = page_client(person)
        browser.get("/account")
        assert browser.post("/admin/accounts", **NEW).response.status_code == 403
        for path in ("role", "off", "second-factor", "invite"):
            browser.get("/account")
            browser.post(f"/admin/accounts/{cast.olga.user_id}/{path}", role="administrator", status=403)
    assert page_client(cast.olga).get("/admin/accounts").response.status_code == 200


def test_patients_accounts_are_not_switched_here(cast: Cast, page_client: Pages) -> None:
    olga = page_client(cast.olga)
    for path in ("off", "role", "invite"):
        olga.get("/admin/accounts").post(f"/admin/accounts/{cast.ana.user_id}/{path}", role="administrator", status=404)


def test_it_takes_a_fresh_sign_in(cast: Cast, page_client: Pages, api_client: Api) -> None:
    olga = page_client(cast.olga)
    olga.get("/admin/accounts", status=200)
    grow_stale(olga)
    olga.post(f"/admin/accounts/{cast.dana.user_id}/off", status=302)
    assert olga.location.startswith("/sign-in/again")
    assert db.session.scalars(select(User.active).where(User.id == cast.dana.user_id)).one()
