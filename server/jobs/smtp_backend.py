"""SMTP as Flask-Mailman speaks it, with one question right before the words "here comes the letter"."""

import smtplib
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

from flask import current_app
from flask_mailman import EmailMessage
from flask_mailman.backends import smtp
from flask_mailman.message import sanitize_address

from server.jobs import dkim
from server.utils.mime import PLAIN

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

    def sendmail(self, from_addr: str, to_addrs: Any, msg: Any, mail_options: Any = (), rcpt_options: Any = ()) -> Any:
        """As smtplib's, with sender and recipient in one message (RFC 2920) when the server says that it reads on."""
        addresses = [to_addrs] if isinstance(to_addrs, str) else to_addrs
        if len(addresses) != 1 or mail_options or rcpt_options or not self.has_extn("pipelining"):
            return super().sendmail(from_addr, to_addrs, msg, mail_options, rcpt_options)
        (address,) = addresses
        self.send(f"MAIL FROM:{smtplib.quoteaddr(from_addr)}\r\nRCPT TO:{smtplib.quoteaddr(address)}\r\n")
        mail, rcpt = self.getreply(), self.getreply()
        if mail[0] != 250:
            self._take_back(mail[0])
            raise smtplib.SMTPSenderRefused(*mail, from_addr)
        if rcpt[0] not in (250, 251):
            self._take_back(rcpt[0])
            raise smtplib.SMTPRecipientsRefused({address: rcpt})
        answer = self.send_letter(msg)
        if answer[0] != 250:
            self._take_back(answer[0])
            raise smtplib.SMTPDataError(*answer)
        return {}

    def send_letter(self, msg: bytes) -> tuple[int, bytes]:
        """The command DATA with its guard, and after the server's "go on" the letter itself."""
        self.putcmd("data")
        answer = self.getreply()
        if answer[0] != 354:
            return answer
        self.send_content(msg)
        return self.getreply()

    def send_content(self, msg: bytes) -> None:
        """The last moment at which nothing has left."""
        content = msg.replace(b"\r\n.", b"\r\n..")
        self.send(content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"))

    def _take_back(self, code: int) -> None:
        """Begin anew on the same line; one that ends anyway is closed."""
        if code == 421:
            self.close()
        else:
            self.rset()


class EmailBackend(smtp.EmailBackend):
    @property
    def connection_class(self) -> Any:
        return GuardedSMTP

    def _send(self, email_message: EmailMessage) -> bool:
        """One letter, signed as it leaves, from the address it comes back to; a plain address is not taken apart."""
        assert isinstance(self.connection, smtplib.SMTP)
        settings = current_app.config["FRONTDESK"]
        letter = email_message.message().as_bytes(linesep="\r\n")
        self.connection.sendmail(
            sender_address(settings.mail_return_path or settings.mail_sender),
            [to if PLAIN.fullmatch(to) else sender_address(to) for to in email_message.recipients()],
            dkim.sign(letter, settings),
        )
        return True


@lru_cache(maxsize=1000)
def sender_address(sender: str) -> str:
    """What the envelope says of `Name <address>`."""
    return str(sanitize_address(sender, "utf-8"))
