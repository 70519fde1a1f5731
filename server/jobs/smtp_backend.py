"""SMTP as Flask-Mailman speaks it, with one question right before the words "here comes the letter"."""

import smtplib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flask_mailman.backends import smtp

Guard = Callable[[], AbstractContextManager[None]]


class GuardedSMTP(smtplib.SMTP):
    """`guard` is entered around the command DATA; when it raises, the letter has not begun."""

    guard: Guard = nullcontext

    def putcmd(self, cmd: str, args: str = "") -> None:
        with self.guard() if cmd.lower() == "data" else nullcontext():
            super().putcmd(cmd, args)


class EmailBackend(smtp.EmailBackend):
    @property
    def connection_class(self) -> Any:
        return GuardedSMTP
