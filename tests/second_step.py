"""The authenticator app of somebody in a test, and their passkey."""

import base64
import hashlib
import html
import json
import os
import re
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from passlib.totp import TOTP

from tests.clients import PageClient

MOMENT = 1_800_000_015  # in the middle of half a minute
BASE32 = re.compile(r'class="key"[^>]*>([A-Z2-7 -]+)<')


class Phone:
    """An app for one-time codes that was shown the key of the page. Its clock is the server's (`still_codes`)."""

    def __init__(self, key: str) -> None:
        self.totp = TOTP(key=key)

    def code(self, *, steps: int = 0) -> str:
        """The code of now, or of so many half minutes later."""
        token: Any = self.totp.generate(time=MOMENT + 30 * steps)
        return str(token.token)


def set_up(browser: PageClient) -> tuple[Phone, list[str]]:
    """Turn the second factor on, on the pages; answers the phone and the recovery codes."""
    browser.get("/account/second-factor", status=200)
    found = BASE32.search(browser.text)
    assert found, browser.text
    phone = Phone(found[1])
    browser.post("/account/second-factor", status=200, code=phone.code(steps=-1))
    codes = re.findall(r"<li>([0-9A-Z]{4}(?:-[0-9A-Z]{4}){4})</li>", browser.text)
    assert len(set(codes)) == 10
    return phone, codes


class Key:
    """A device with a passkey, as far as its answers go (WebAuthn, ES256, no attestation)."""

    def __init__(self, *, origin: str = "http://localhost") -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id, self.origin, self.used, self.user_handle = os.urandom(16), origin, 0, ""

    def make(self, page: str) -> str:
        """The answer to the page that asks for a new passkey."""
        options = _options(page)
        self.user_handle = options["user"]["id"]
        numbers = self.private.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        of_key = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(0x45) + of_key}
        client = self._client("webauthn.create", options)
        return self._answer({"clientDataJSON": client, "attestationObject": cbor2.dumps(attestation)})

    def sign(self, page: str, *, flags: int = 0x05, origin: str = "") -> str:
        """The answer to the page that asks who it is; `flags` 1: somebody is there, 4: and it is the owner."""
        self.used += 1
        client, data = self._client("webauthn.get", _options(page), origin), self._data(flags)
        signed = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        handle = base64.urlsafe_b64decode(self.user_handle + "==")
        return self._answer(
            {"clientDataJSON": client, "authenticatorData": data, "signature": signed, "userHandle": handle}
        )

    def _client(self, kind: str, options: dict[str, Any], origin: str = "") -> bytes:
        return json.dumps(
            {"type": kind, "challenge": options["challenge"], "origin": origin or self.origin, "crossOrigin": False}
        ).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(b"localhost").digest() + bytes([flags]) + self.used.to_bytes(4, "big")

    def _answer(self, response: dict[str, bytes]) -> str:
        written = {name: _text(value) for name, value in response.items()}
        return json.dumps({"id": _text(self.id), "rawId": _text(self.id), "type": "public-key", "response": written})


def add_passkey(browser: PageClient, key: Key, name: str = "my phone") -> None:
    """Register it on the pages."""
    browser.get("/account/passkeys/new", status=200)
    browser.post("/account/passkeys/new", status=200, name=name)
    browser.post(ceremony(browser), status=302, credential=key.make(browser.text))


def ceremony(browser: PageClient) -> str:
    """Where the open page sends what the device answers."""
    found = re.search(r'id="passkey" method="post" action="([^"]+)"', browser.text)
    assert found, browser.text
    return html.unescape(found[1])


def _options(page: str) -> dict[str, Any]:
    found = re.search(r'data-options="([^"]+)"', page)
    assert found, page
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
