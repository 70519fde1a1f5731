"""SMTP as Flask-Mailman speaks it, with one question right before the words "here comes the letter"."""

import smtplib
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flask import current_app
from flask_mailman import EmailMessage
from flask_mailman.backends import smtp
from flask_mailman.message import sanitize_address

from server.jobs import dkim

Guard = Callable[[], AbstractContextManager[None]]


class GuardedSMTP(smtplib.SMTP):
    """`guard` is entered around the command DATA; when it raises, the letter has not begun."""

    guard: Guard = nullcontext

    def putcmd(self, cmd: str, args: str = "") -> None:
        with self.guard() if cmd.lower() == "data" else nullcontext():
            super().putcmd(cmd, args)

    def starttls(self, *_: Any, context: Any = None, **__: Any) -> Any:
        """With a certificate that is valid for the server's name; smtplib by itself takes any."""
        return super().starttls(context=context or ssl.create_default_context())


class EmailBackend(smtp.EmailBackend):
    @property
    def connection_class(self) -> Any:
        return GuardedSMTP

    def _send(self, email_message: EmailMessage) -> bool:
        """One letter, signed as it leaves, from the address to which it comes back."""
        settings = current_app.config["FRONTDESK"]
        letter = email_message.message().as_bytes(linesep="\r\n")
        self.connection.sendmail(
            sanitize_address(settings.mail_return_path or settings.mail_sender, "utf-8"),
            [sanitize_address(reader, "utf-8") for reader in email_message.recipients()],
            dkim.sign(letter, settings),
        )
        return True
