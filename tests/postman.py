"""A mail server on loopback that keeps what it gets, and refuses as it was told to."""

import email
import email.policy
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from flask import Flask

from tests.running import free_port

REAL_CONNECT = smtplib.SMTP.connect


class Postman:
    """`at_rcpt` by address, `at_mail` and `at_data`: what it answers instead of 250."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.senders: list[str] = []
        self.asked: list[str] = []
        self.at_rcpt: dict[str, str] = {}
        self.at_mail = self.at_data = ""
        self.port = free_port()

    @property
    def letters(self) -> list[EmailMessage]:
        return [email.message_from_bytes(raw, policy=email.policy.default) for raw in self.raw]  # type: ignore[misc]

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        envelope.mail_from = address
        return self.at_mail or "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        self.asked.append(address)
        if address in self.at_rcpt:
            return self.at_rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.at_data:
            return self.at_data
        self.raw.append(envelope.content)
        self.senders.append(envelope.mail_from)
        return "250 OK"


@contextmanager
def running(*, tls: ssl.SSLContext | None = None, hostname: str = "127.0.0.1") -> Iterator[Postman]:
    """One that listens; with `tls` it offers STARTTLS and insists on it."""
    postman = Postman()
    controller = Controller(
        postman, hostname=hostname, port=postman.port, tls_context=tls, require_starttls=tls is not None
    )
    controller.start()
    try:
        yield postman
    finally:
        controller.stop()


@contextmanager
def of(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postman]:
    """One that listens, to which letters of this app go, although tests open no SMTP."""
    monkeypatch.setattr(smtplib.SMTP, "connect", REAL_CONNECT)
    with running() as postman:
        use(app, postman, monkeypatch)
        yield postman


def use(app: Flask, postman: Postman, monkeypatch: pytest.MonkeyPatch, **over: Any) -> None:
    """Letters of this app go there."""
    state = app.extensions["mailman"]
    values = {
        "backend": "server.jobs.smtp_backend.EmailBackend",
        "server": "127.0.0.1",
        "port": postman.port,
        "use_tls": False,
        **over,
    }
    for name, value in values.items():
        monkeypatch.setattr(state, name, value)
