"""`frontdesk doctor --mail-to`: a letter is really sent, and whatever happens is explained in words."""

import os
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from server.jobs import mail_doctor
from server.settings import Settings
from tests import postman as postmen
from tests.conftest import SECRETS
from tests.delivery.test_signed import new_key
from tests.postman import REAL_CONNECT, Postman
from tests.running import FRONTDESK, free_port


@pytest.fixture
def ask(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What is said with these settings, line by line."""
    monkeypatch.setattr(smtplib.SMTP, "connect", REAL_CONNECT)
    monkeypatch.setattr(mail_doctor, "txt_records", lambda _name: [])

    def ask(port: int, **over: Any) -> str:
        ours = {
            "mail_folder": "",
            "mail_server": "127.0.0.1",
            "mail_port": port,
            "mail_use_tls": False,
            "mail_sender": "Frontdesk <frontdesk@clinic.invalid>",
            **over,
        }
        found = mail_doctor.send_test_letter("olga@example.com", replace(settings, **ours))
        return "\n".join(("ok    " if good else "WRONG ") + said for said, good in found)

    return ask


def test_olga_gets_a_letter_and_is_told_where_to_look() -> None:
    """The command itself, as a process."""
    with postmen.running() as postman:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MAIL", "DKIM"))},
            **{name.upper(): value for name, value in SECRETS.items()},
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": str(postman.port),
            "MAIL_USE_TLS": "no",
            "MAIL_SENDER": "Frontdesk <frontdesk@clinic.invalid>",
        }
        command = [*FRONTDESK, "doctor", "--mail-to", "olga@example.com"]
        said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60).stdout
    assert "ok    The mail server took a letter for olga@example.com. Look into that mailbox" in said
    assert "Letters are not signed (DKIM_KEY is not set)" in said
    assert postman.letters[0]["Subject"] == "Test letter of Frontdesk"


def told(postman: Postman) -> None:
    postman.at_rcpt["olga@example.com"] = "550 5.1.1 unknown"


def to_come_again(postman: Postman) -> None:
    postman.at_rcpt["olga@example.com"] = "451 4.7.1 greylisted"


def no_relay(postman: Postman) -> None:
    postman.at_rcpt["olga@example.com"] = "554 5.7.1 relay access denied"


def not_our_sender(postman: Postman) -> None:
    postman.at_mail = "553 not yours"


def spam(postman: Postman) -> None:
    postman.at_data = "554 spam"


@pytest.mark.parametrize(
    ("refuse", "over", "sentence"),
    [
        (told, {}, "does not know this recipient: is the address right? It said: 550 5.1.1 unknown"),
        (to_come_again, {}, "asks us to come again later (greylisting, or it is busy)"),
        (no_relay, {}, "does not pass letters on for us"),
        (not_our_sender, {}, "does not let us send as MAIL_SENDER"),
        (spam, {}, "refused the letter itself"),
        (
            None,
            {"mail_use_tls": True},
            "does not offer what the settings ask for. Without STARTTLS set MAIL_USE_TLS=no",
        ),
        (None, {"mail_username": "x", "mail_password": "y"}, "without sign-in leave MAIL_USERNAME empty"),
        (None, {"mail_server": "no.such.host.invalid"}, "is not known to DNS"),
        (None, {"dkim_key": "no key", "dkim_selector": "a"}, "DKIM_KEY cannot be read"),
        (None, {"mail_folder": "somewhere"}, "MAIL_FOLDER is set"),
    ],
)
def test_what_goes_wrong_is_explained(
    ask: Callable[..., str], refuse: Callable[[Postman], None] | None, over: dict[str, Any], sentence: str
) -> None:
    with postmen.running() as postman:
        if refuse:
            refuse(postman)
        said = ask(postman.port, **over)
    assert "WRONG" in said
    assert sentence in said
    assert postman.raw == []


def test_a_server_that_is_not_there(ask: Callable[..., str]) -> None:
    assert "refuses to be spoken to at this port" in ask(free_port())


def test_a_certificate_of_somebody_else(
    ask: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with postmen.running(tls=context) as postman:
        assert "has a certificate that is not valid for this name" in ask(postman.port, mail_use_tls=True)
        assert postman.raw == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert "took a letter" in ask(postman.port, mail_use_tls=True)


# --- what DNS says ---


@pytest.fixture(scope="module")
def key() -> tuple[str, bytes]:
    return new_key()


@pytest.fixture
def signed(settings: Settings, key: tuple[str, bytes]) -> tuple[bytes, Settings]:
    from server.jobs import dkim

    ours = replace(settings, dkim_key=key[0], dkim_selector="a", mail_sender="F <f@clinic.example.org>")
    return dkim.sign(mail_doctor._test_letter("olga@example.com", ours), ours), ours


def findings(signed: tuple[bytes, Settings], records: dict[str, list[str] | None]) -> list[tuple[str, bool]]:
    return list(mail_doctor.check_dns(*signed, lookup=lambda name: records.get(name, [])))


def test_dns_has_our_key_and_a_list_of_senders(signed: Any, key: tuple[str, bytes]) -> None:
    records: dict[str, list[str] | None] = {
        "a._domainkey.clinic.example.org": [key[1].decode()],
        "clinic.example.org": ["something else", "v=spf1 mx -all"],
    }
    assert [good for _, good in findings(signed, records)] == [True, True]


def test_dns_has_another_key_or_none_or_is_silent(signed: Any) -> None:
    name = "a._domainkey.clinic.example.org"
    other = new_key()[1].decode()
    for records, sentence in (
        ({name: [other]}, f"DNS has another key at {name} than DKIM_KEY"),
        ({name: ["v=DKIM1; p="]}, f"DNS has another key at {name} than DKIM_KEY"),
        ({}, f"DNS has no key at {name}. Publish a TXT record"),
        ({name: None}, f"DNS did not answer for {name}"),
    ):
        (said, good), (spf, has_spf) = findings(signed, records)  # type: ignore[arg-type]
        assert (sentence in said, good, has_spf) == (True, False, False)
        assert "has no SPF record. Publish a TXT record such as" in spf


def test_who_signs_must_be_who_sends(settings: Settings) -> None:
    ours = replace(settings, dkim_key="x", dkim_selector="a", mail_sender="F <f@clinic.example.org>")
    assert list(mail_doctor.check_alignment(ours)) == [
        ("Letters are signed by clinic.example.org, the sender's own domain.", True)
    ]
    other = replace(ours, dkim_domain="example.com", mail_return_path="b@bounces.example.com")
    (signs, good), (back, is_aligned) = mail_doctor.check_alignment(other)
    assert "set DKIM_DOMAIN=clinic.example.org" in signs
    assert "come back to bounces.example.com" in back
    assert not good
    assert not is_aligned
