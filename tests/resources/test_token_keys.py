"""Keys of tokens: named, changed without signing anybody out, and worth nothing once they are out of use."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from flask import Flask

from server.settings import SettingsError, load
from server.web import token_keys
from server.web.identity import _claims_of
from tests.cast import Cast
from tests.clients import ApiClient
from tests.conftest import SECRETS
from tests.resources.asking import Api
from tests.resources.test_auth import forge, login, with_token

pytestmark = pytest.mark.usefixtures("cheap_passwords")
NEXT = "n" * 40


@pytest.fixture
def rotate_keys(app: Flask) -> Iterator[Any]:
    """`rotate_keys(today, yesterday)`: as after a restart with these settings."""
    before, headers = app.config["FRONTDESK"], app.config["JWT_HEADERS"]

    def use(key: str, previous: str = "") -> None:
        app.config["FRONTDESK"] = replace(before, jwt_secret_key=key, jwt_secret_key_previous=previous)
        app.config["JWT_SECRET_KEY"] = key
        token_keys.init_app(app)
        _claims_of.cache_clear()

    yield use
    use(before.jwt_secret_key)
    app.config["FRONTDESK"], app.config["JWT_HEADERS"] = before, headers


def refresh(api_client: Api, token: str) -> Any:
    return with_token(api_client, token).post("/auth/refresh")


def me(api_client: Api, token: str) -> int:
    status: int = with_token(api_client, token).get("/me").status_code
    return status


def test_a_token_names_its_key_and_says_nothing_of_it(api_client: Api, cast: Cast) -> None:
    pair = login(api_client).json
    for token in (pair["access_token"], pair["refresh_token"]):
        assert jwt.get_unverified_header(token) == {
            "alg": "HS256",
            "typ": "JWT",
            "kid": token_keys.key_id(SECRETS["jwt_secret_key"]),
        }
    assert SECRETS["jwt_secret_key"][:8] not in token_keys.key_id(SECRETS["jwt_secret_key"])


def test_H5_after_a_change_of_keys_nobody_is_signed_out(api_client: Api, cast: Cast, rotate_keys: Any) -> None:
    pair = login(api_client).json
    rotate_keys(NEXT, SECRETS["jwt_secret_key"])
    assert me(api_client, pair["access_token"]) == 200
    renewed = refresh(api_client, pair["refresh_token"]).json
    assert jwt.get_unverified_header(renewed["access_token"])["kid"] == token_keys.key_id(NEXT)
    assert me(api_client, renewed["access_token"]) == 200


def test_H5_a_key_that_leaked_is_dead_once_it_is_taken_out(api_client: Api, cast: Cast, rotate_keys: Any) -> None:
    pair = login(api_client).json
    rotate_keys(NEXT)
    assert me(api_client, pair["access_token"]) == 401
    assert refresh(api_client, pair["refresh_token"]).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "unknown"},
        {"kid": "../../../dev/null"},
        {"kid": "' UNION SELECT 'x"},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/x5u"},
        {"jwk": {"kty": "oct", "k": "b28"}},
    ],
    ids=str,
)
def test_H5_no_header_brings_a_key_of_its_own(app: Flask, api_client: Api, cast: Cast, header: dict[str, Any]) -> None:
    family_id = api_client(cast.ana).family_id
    forged = forge(app, cast.ana, family_id, headers=header, secret="o" * 40)
    assert me(api_client, forged) == 401
    ours = forge(app, cast.ana, family_id, headers=header)  # the control: the same, signed with our key
    assert me(api_client, ours) == 200


@pytest.mark.parametrize("kid", [7, None, ["x"], {"a": 1}])
def test_H5_a_name_that_is_no_text_is_no_error_of_ours(app: Flask, api_client: Api, cast: Cast, kid: Any) -> None:
    import base64
    import json

    token = api_client(cast.ana).headers["Authorization"].split()[1]
    header = json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode()
    spoiled = base64.urlsafe_b64encode(header).decode().rstrip("=") + token[token.index(".") :]
    assert me(api_client, spoiled) == 401


def test_a_token_without_a_name_is_of_the_key_of_today(api_client: Api, cast: Cast) -> None:
    """Those of before this version."""
    client: ApiClient = api_client(cast.ana)
    assert "kid" not in jwt.get_unverified_header(client.headers["Authorization"].split()[1])
    assert client.get("/me").status_code == 200


def test_the_settings_keep_the_keys_apart() -> None:
    good = {**SECRETS, "database_url": "postgresql://x/y", "redis_url": "redis://x"}
    assert load({"JWT_SECRET_KEY_PREVIOUS": "p" * 40}, **good).jwt_secret_key_previous == "p" * 40
    for wrong in ("j" * 40, "s" * 40, "short"):
        with pytest.raises(SettingsError):
            load({}, **good, jwt_secret_key_previous=wrong)
    with pytest.raises(SettingsError):  # trap 9
        load({}, **{**good, "jwt_secret_key": ""})
