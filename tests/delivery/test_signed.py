"""Letters are signed as they leave, and leave only to a server that is who it says."""

import smtplib
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
import pytest
import trustme
from flask import Flask
from sqlalchemy import select

from server.extensions import db
from server.jobs.letters import send_due
from server.models import OutboxMessage
from server.services import reminders
from server.settings import SettingsError, load
from server.utils import clock
from tests import postman as postmen
from tests.cast import Cast
from tests.conftest import SECRETS
from tests.postman import REAL_CONNECT, Postman

Booked = Callable[..., Any]


def new_key() -> tuple[str, bytes]:
    """A private key in PEM as openssl writes it, and the record that DNS would have."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, b"v=DKIM1; k=rsa; p=" + b64encode(public)


@pytest.fixture(scope="module")
def key() -> tuple[str, bytes]:
    return new_key()


@pytest.fixture
def signing(set_up: Callable[..., None], key: tuple[str, bytes]) -> None:
    set_up(dkim_key=key[0], dkim_selector="2026a", mail_sender="Frontdesk <frontdesk@clinic.example.org>")


def verify(raw: bytes, record: bytes) -> bool:
    """What a mail host finds that asks DNS."""
    asked = []

    def fake_dns(name: bytes, timeout: float = 5) -> bytes:
        asked.append(name)
        return record

    fits = dkim.verify(raw, dnsfunc=fake_dns)
    assert asked == [b"2026a._domainkey.clinic.example.org."]
    return bool(fits)


def test_a_letter_with_its_calendar_is_signed_as_a_whole(
    mail: Postman, signing: None, key: tuple[str, bytes], cast: Cast, booked: Booked
) -> None:
    booked(cast.ana)
    assert send_due() == 1
    (raw,) = mail.raw
    assert mail.letters[0]["DKIM-Signature"]
    assert verify(raw, key[1])
    for old, new in (
        (b"\r\nSubject: ", b"\r\nSubject: Re "),
        (b"Content-Type: text/calendar", b"Content-Type: text/x"),
    ):
        assert old in raw
        assert not verify(raw.replace(old, new), key[1]), "whoever changes it breaks the signature"
    assert not verify(b"Subject: another one\r\n" + raw, key[1])
    assert not verify(raw, new_key()[1])


def test_a_reminders_unsubscribe_headers_are_under_the_signature(
    mail: Postman, signing: None, key: tuple[str, bytes], cast: Cast, booked: Booked
) -> None:
    reminders.create_rule({"minutes_before": 1440}, actor=cast.olga.actor)
    booked(cast.ana)
    db.session.execute(OutboxMessage.__table__.update().values(due_at=clock.now()))  # type: ignore[attr-defined]
    db.session.commit()
    assert send_due() == 2
    raw = next(raw for raw in mail.raw if b"List-Unsubscribe-Post" in raw)
    signed = next(letter for letter in mail.letters if letter["List-Unsubscribe"])["DKIM-Signature"]
    assert "list-unsubscribe : list-unsubscribe-post" in " ".join(signed.split())
    assert verify(raw, key[1])


def test_control_without_a_key_letters_leave_unsigned(mail: Postman, cast: Cast, booked: Booked) -> None:
    booked(cast.ana)
    assert send_due() == 1
    assert mail.letters[0]["DKIM-Signature"] is None


def test_a_key_that_cannot_be_read_loses_no_letter(
    mail: Postman, cast: Cast, booked: Booked, set_up: Callable[..., None]
) -> None:
    set_up(dkim_key="-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----", dkim_selector="2026a")
    booked(cast.ana)
    assert [send_due() for _ in range(10)] == [0] * 10
    assert db.session.execute(select(OutboxMessage.outcome, OutboxMessage.attempts)).one() == (None, 0)


def test_the_key_comes_from_a_file_and_names_its_selector(tmp_path: Path, key: tuple[str, bytes]) -> None:
    (tmp_path / "dkim.pem").write_text(key[0])
    given = {"DKIM_KEY_FILE": str(tmp_path / "dkim.pem")}
    needed: dict[str, Any] = {**SECRETS, "database_url": "postgresql://x", "redis_url": "redis://x"}
    with pytest.raises(SettingsError, match="DKIM_SELECTOR is not set"):
        load(given, **needed)
    assert load({**given, "DKIM_SELECTOR": "2026a"}, **needed).dkim_key == key[0].strip()


# --- the certificate of the mail server ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("name", "is_trusted", "sent"), [("127.0.0.1", True, 1), ("127.0.0.1", False, 0), ("mail.example.org", True, 0)]
)
def test_letters_leave_only_to_a_server_with_a_valid_certificate(
    app: Flask,
    cast: Cast,
    booked: Booked,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_trusted: bool,
    sent: int,
) -> None:
    monkeypatch.setattr(smtplib.SMTP, "connect", REAL_CONNECT)
    if is_trusted:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    booked(cast.ana)
    with postmen.running(tls=context_for(authority, name)) as postman:
        postmen.use(app, postman, monkeypatch, use_tls=True)
        assert send_due() == sent
    assert len(postman.raw) == sent
    assert db.session.scalars(select(OutboxMessage.attempts)).one() == sent, "and no try is used up"


def test_openssl_writes_keys_that_we_read(tmp_path: Path) -> None:
    pytest.importorskip("dkim")
    try:
        made = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    assert dkim.sign(b"From: a@b.c\r\n\r\nHello\r\n", b"s", b"b.c", made.stdout).startswith(b"DKIM-Signature:")
