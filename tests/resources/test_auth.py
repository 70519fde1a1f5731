"""People register, sign in, stay signed in and sign out; a thief with half a key gets nothing."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask import Flask
from flask_jwt_extended import create_access_token, create_refresh_token
from sqlalchemy import select, update

from server.extensions import db
from server.models import AuditEvent, OutboxMessage, Patient, RefreshToken, User
from server.services import letters
from server.settings import Settings
from tests.cast import Cast, Person
from tests.clients import ApiClient
from tests.factories import PASSWORD
from tests.resources.asking import Api

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NOBODY = "01900000-0000-7000-8000-000000000000"  # the same in every process that runs tests
NEW = {
    "email": "eve@example.com",
    "password": "a long sentence of my own",
    "given_name": "Eve",
    "family_name": "Moran",
    "birth_date": "1990-02-28",
}


def register(api_client: Api, **over: str) -> Any:
    return api_client(None).post("/auth/register", {**NEW, **over})


def login(api_client: Api, email: str = "ana@example.com", password: str = PASSWORD) -> Any:
    return api_client(None).post("/auth/login", {"email": email, "password": password})


def with_token(api_client: Api, token: str) -> ApiClient:
    client = api_client(None)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def letters_to(email: str) -> list[str]:
    mine = select(OutboxMessage.letter).join(User, User.id == OutboxMessage.user_id).where(User.email == email)
    return list(db.session.scalars(mine.order_by(OutboxMessage.id)))


def without_id(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if name != "request_id"}


def test_eve_registers_confirms_her_address_and_signs_in(api_client: Api, cast: Cast, settings: Settings) -> None:
    assert register(api_client).status_code == 202
    assert login(api_client, NEW["email"], NEW["password"]).status_code == 401
    message = db.session.scalars(select(OutboxMessage).join(User).where(User.email == NEW["email"])).one()
    token = re.search(r"/confirm/(\S+)", letters.compose(message.id, settings=settings).text)[1]
    for _ in range(2):  # a mail program may open the link before she does
        assert api_client(None).post("/auth/confirm", {"token": token}).status_code == 204
    access = login(api_client, NEW["email"], NEW["password"]).json["access_token"]
    me = with_token(api_client, access).get("/me").json
    assert (me["email"], me["roles"], me["patients"][0]["relationship"]) == (NEW["email"], ["patient"], "self")


def test_nobody_learns_whether_an_address_is_known(api_client: Api, cast: Cast) -> None:
    unknown, known = register(api_client), register(api_client, email="ana@example.com")
    assert (unknown.status_code, unknown.get_data()) == (known.status_code, known.get_data()) == (202, known.get_data())
    assert letters_to(NEW["email"]) == ["account-confirm"]
    assert letters_to("ana@example.com") == ["account-exists"]


def test_registering_twice_before_confirming_sends_the_same_letter_again(api_client: Api, cast: Cast) -> None:
    register(api_client)
    assert register(api_client, given_name="Somebody", family_name="Else").status_code == 202
    assert letters_to(NEW["email"]) == ["account-confirm", "account-confirm"]
    found = db.session.scalars(select(Patient).join(User).where(User.email == NEW["email"])).one()
    assert found.name == "Eve Moran"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "not an address"),
        ("password", "short"),
        ("password", "aaaaaaaaaaaaaaaa"),
        ("password", NEW["email"]),
        ("given_name", "   "),
        ("birth_date", "2090-01-01"),
        ("birth_date", "1890-01-01"),
        ("birth_date", "28.02.1990"),
        ("birth_date", "19900228"),
        ("language", "English"),
        ("middle_name", "a field nobody knows"),
    ],
)
def test_what_is_wrong_with_a_registration_is_said_beside_its_field(
    api_client: Api, cast: Cast, field: str, value: str
) -> None:
    answer = register(api_client, **{field: value})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])


def test_one_answer_for_every_reason_not_to_let_somebody_in(api_client: Api, cast: Cast) -> None:
    register(api_client)
    db.session.execute(update(User).where(User.email == "bea@example.com").values(active=False))
    refusals = [
        login(api_client, password="wrong"),
        login(api_client, email="nobody@example.com"),
        login(api_client, NEW["email"], NEW["password"]),  # not confirmed
        login(api_client, email="bea@example.com"),  # switched off
        login(api_client, password=""),
    ]
    assert {refusal.status_code for refusal in refusals} == {401}
    assert len({str(without_id(refusal)) for refusal in refusals}) == 1
    assert refusals[0].json["type"] == "invalid-credentials"


def test_sign_ins_and_refusals_go_on_record(api_client: Api, cast: Cast) -> None:
    login(api_client)
    login(api_client, password="wrong")
    events = db.session.scalars(
        select(AuditEvent).where(AuditEvent.action == "account.signed-in").order_by(AuditEvent.id)
    ).all()
    assert [(event.object_id, event.outcome) for event in events] == [
        (cast.ana.user_id, "success"),
        (cast.ana.user_id, "refused"),
    ]


def test_ana_signs_in_whatever_the_case_of_her_address(api_client: Api, cast: Cast) -> None:
    answer = login(api_client, email=" Ana@Example.com ")
    assert answer.status_code == 200
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 900)
    assert set(answer.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert with_token(api_client, answer.json["access_token"]).get("/me").json["email"] == "ana@example.com"


def test_a_refresh_token_is_used_once_for_a_new_pair(api_client: Api, cast: Cast) -> None:
    first = login(api_client).json
    second = with_token(api_client, first["refresh_token"]).post("/auth/refresh").json
    assert second["refresh_token"] != first["refresh_token"]
    assert with_token(api_client, second["access_token"]).get("/me").status_code == 200
    third = with_token(api_client, second["refresh_token"]).post("/auth/refresh")
    assert third.status_code == 200


def test_a_refresh_token_that_comes_twice_ends_the_whole_sign_in(api_client: Api, cast: Cast) -> None:
    first = login(api_client).json
    second = with_token(api_client, first["refresh_token"]).post("/auth/refresh").json
    elsewhere = login(api_client).json
    used_long_ago()
    stolen = with_token(api_client, first["refresh_token"]).post("/auth/refresh")
    assert (stolen.status_code, stolen.json["type"]) == (401, "token-reused")
    assert with_token(api_client, second["access_token"]).get("/me").status_code == 401
    assert with_token(api_client, second["refresh_token"]).post("/auth/refresh").status_code == 401
    assert with_token(api_client, elsewhere["access_token"]).get("/me").status_code == 200
    action = select(AuditEvent.outcome).where(AuditEvent.action == "token.reused")
    assert db.session.scalars(action).all() == ["refused"]


def used_long_ago() -> None:
    """As if what was used had been used six seconds earlier."""
    used = update(RefreshToken).where(RefreshToken.used_at.is_not(None))
    db.session.execute(used.values(used_at=RefreshToken.used_at - timedelta(seconds=6)))


def test_H6_two_refreshes_that_cross_get_the_same_token_and_stay_signed_in(api_client: Api, cast: Cast) -> None:
    first = login(api_client).json
    one, other = (with_token(api_client, first["refresh_token"]).post("/auth/refresh").json for _ in range(2))
    secrets = {jwt.decode(pair["refresh_token"], options={"verify_signature": False})["sec"] for pair in (one, other)}
    assert len(secrets) == 1, "a second line of tokens, which a thief could go on with unseen"
    assert with_token(api_client, other["access_token"]).get("/me").status_code == 200
    assert with_token(api_client, one["refresh_token"]).post("/auth/refresh").status_code == 200
    used_long_ago()
    late = with_token(api_client, other["refresh_token"]).post("/auth/refresh")
    assert (late.status_code, late.json["type"]) == (401, "token-reused")


def test_H6_a_sign_in_that_was_ended_is_not_refreshed_within_the_five_seconds_either(
    api_client: Api, cast: Cast
) -> None:
    first = login(api_client).json
    second = with_token(api_client, first["refresh_token"]).post("/auth/refresh").json
    with_token(api_client, second["access_token"]).post("/auth/logout")
    assert with_token(api_client, first["refresh_token"]).post("/auth/refresh").json["type"] == "invalid-token"


def test_signing_out_ends_both_tokens_at_once(api_client: Api, cast: Cast) -> None:
    pair = login(api_client).json
    ana = with_token(api_client, pair["access_token"])
    assert ana.post("/auth/logout").status_code == 204
    assert ana.get("/me").status_code == 401
    assert with_token(api_client, pair["refresh_token"]).post("/auth/refresh").status_code == 401


def test_an_account_that_is_switched_off_is_out_with_its_next_request(api_client: Api, cast: Cast) -> None:
    pair = login(api_client).json
    db.session.execute(update(User).where(User.id == cast.ana.user_id).values(active=False))
    answer = with_token(api_client, pair["access_token"]).get("/me")
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert with_token(api_client, pair["refresh_token"]).post("/auth/refresh").status_code == 401


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/auth/confirm"])
def test_whatever_comes_instead_of_an_object_is_refused(api_client: Api, context: None, path: str) -> None:
    for body in (b'"x"', b'["x"]', b"null", b"1", b"true", b"{", b"", b"[" * 100_000, b"\xff", b'{"email": NaN}'):
        answer = api_client(None).request("POST", path, data=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), body[:20]
        assert answer.json["errors"], body[:20]


def test_an_address_that_cannot_be_one_is_no_secret(api_client: Api, context: None) -> None:
    assert login(api_client, email="ana@example.com\x00").status_code == 422
    assert login(api_client, email="\ud800@example.com").status_code == 422


def test_a_password_may_be_of_any_script_but_not_of_half_a_character(api_client: Api, cast: Cast) -> None:
    assert register(api_client, password="mình ước gì được ngủ 😴").status_code == 202
    assert register(api_client, password="half a character \ud83d").status_code == 422
    assert login(api_client, password="half a character \ud83d").status_code == 422


def test_a_token_is_worth_nothing_outside_of_its_header(api_client: Api, cast: Cast) -> None:
    token = login(api_client).json["access_token"]
    assert api_client(None).get(f"/me?jwt={token}").status_code == 401
    assert api_client(None).get("/me", headers={"Cookie": f"access_token_cookie={token}"}).status_code == 401


# --- H5: forged and misused tokens. Each row: what the forger changes in a token that would be right. ---


def forge(app: Flask, person: Person, family_id: UUID, *, algorithm: str = "HS256", **over: Any) -> str:
    headers, secret = over.pop("headers", None), over.pop("secret", app.config["JWT_SECRET_KEY"])
    with app.app_context():
        good = jwt.decode(
            create_access_token(str(person.user_id), additional_claims={"fam": str(family_id)}),
            options={"verify_signature": False},
        )
    claims = {name: value for name, value in {**good, **over}.items() if value is not None}
    return jwt.encode(claims, secret, algorithm=algorithm, headers=headers)


def test_H5_control_a_token_made_like_ours_is_taken(app: Flask, api_client: Api, cast: Cast) -> None:
    token = forge(app, cast.ana, api_client(cast.ana).family_id)
    assert with_token(api_client, token).get("/me").status_code == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "change",
    [
        {"secret": "o" * 40},
        {"secret": "s" * 40},  # the key of the sessions
        {"algorithm": "none", "secret": None},
        {"algorithm": "HS512"},
        {"aud": "somebody-else"},
        {"aud": None},
        {"iss": "somebody-else"},
        {"iss": None},
        {"type": "refresh"},
        {"exp": 1_700_000_000},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"fam": NOBODY},
        {"headers": {"crit": ["exp"], "exp": 1}},
        {"sub": "another account"},
    ],
    ids=str,
)
def test_H5_a_forged_token_opens_nothing(app: Flask, api_client: Api, cast: Cast, change: dict[str, Any]) -> None:
    if change == {"sub": "another account"}:
        change = {"sub": str(cast.olga.user_id)}  # with ana's token family
    token = forge(app, cast.ana, api_client(cast.ana).family_id, **change)
    answer = with_token(api_client, token).get("/me")
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_H5_an_expired_token_says_so(app: Flask, api_client: Api, cast: Cast) -> None:
    family = {"fam": str(api_client(cast.ana).family_id)}
    with app.app_context():
        token = create_access_token(
            str(cast.ana.user_id), additional_claims=family, expires_delta=timedelta(seconds=-1)
        )
    answer = with_token(api_client, token).get("/me")
    assert (answer.status_code, answer.json["type"]) == (401, "token-expired")


def test_H5_each_kind_of_token_is_for_its_own_use(app: Flask, api_client: Api, cast: Cast) -> None:
    pair = login(api_client).json
    assert with_token(api_client, pair["refresh_token"]).get("/me").status_code == 401
    assert with_token(api_client, pair["access_token"]).post("/auth/refresh").status_code == 401


def test_H5_a_refresh_token_with_another_secret_is_refused(app: Flask, api_client: Api, cast: Cast) -> None:
    family = str(api_client(cast.ana).family_id)
    with app.app_context():
        token = create_refresh_token(str(cast.ana.user_id), additional_claims={"fam": family, "sec": "guessed"})
    answer = with_token(api_client, token).post("/auth/refresh")
    assert (answer.status_code, answer.json["type"]) == (401, "invalid-token")
