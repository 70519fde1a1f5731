"""Sending what is due over SMTP (or into a folder): rendered here and now, from ids."""

import smtplib
from email.utils import formatdate, parseaddr
from functools import cache, partial
from typing import Any
from uuid import UUID

from flask import current_app

from server.extensions import mail
from server.jobs import domain_limit, sms, webhook
from server.jobs.inline_logo import LetterWithLogo
from server.jobs.smtp_backend import EmailBackend, GuardedSMTP
from server.services import bounces, letters, messages, outbox
from server.services.letters import Letter
from server.settings import Settings
from server.utils.mime import two_forms

TOO_LARGE = 552  # said to the sender already, of the one letter whose size is told with it


def send_due() -> int:
    """Deliver every letter, text and call that is due, letters over one connection; returns how many left."""
    settings: Settings = current_app.config["FRONTDESK"]
    connection = mail.get_connection()

    states: dict[UUID, tuple[Any, ...]] = {}
    lost: list[bool] = []  # whether the letter before ended without an answer: one may be the letter's fault
    composed: dict[UUID, Letter | Exception] = {}

    def prepare(message_ids: list[UUID]) -> None:
        states.clear()
        states.update(outbox.states_of(message_ids))  # first: what changes from here on is noticed
        composed.clear()
        composed.update(letters.compose_all(message_ids, settings=settings))

    def send(message_id: UUID) -> None:
        domain_limit.demand(message_id, settings)
        letter = composed[message_id]
        if isinstance(letter, Exception):
            raise letter
        message = _message(message_id, letter, settings)
        message.connection = connection
        try:
            connection.open()
        except (OSError, smtplib.SMTPException) as error:
            raise outbox.Unreachable(type(error).__name__) from error
        server = getattr(connection, "connection", None)  # a folder has none
        if isinstance(server, GuardedSMTP):
            server.guard = partial(outbox.unchanged, message_id, states.get(message_id))
        try:
            message.send()
        except outbox.Overtaken:
            connection.close()  # it waits for a letter that does not come
            raise
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            if code == 421:  # the server has hung up
                connection.close()
            if code >= 500:
                sentence = bounces.refused(message_id, address=message.to[0], code=code, words=words)
                raise outbox.Undeliverable(sentence) from error
            raise
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            connection.close()
            if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code != TOO_LARGE:  # whatever the letter
                raise outbox.Unreachable(f"The mail server refused the sender ({error.smtp_code}).") from error
            if error.smtp_code >= 500:
                sentence = bounces.refused_as_a_whole(error.smtp_code, error.smtp_error)
                raise outbox.Undeliverable(sentence) from error
            raise
        except Exception as error:
            connection.close()  # in an unknown state; the next letter opens another one
            is_lost = isinstance(error, OSError | smtplib.SMTPServerDisconnected)  # and no answer to this letter
            if is_lost and lost:
                raise outbox.Unreachable(f"{type(error).__name__}, twice in a row") from error
            lost.extend([True] if is_lost else [])
            raise
        lost.clear()

    def send_text(message_id: UUID) -> str:
        letter = letters.compose(message_id, settings=settings)
        return sms.send(
            letter.to,
            letter.text,
            message_id=message_id,
            region=letter.region,
            settings=settings,
            retries=messages.retries_of(message_id),
        )

    try:
        is_asked = isinstance(connection, EmailBackend)  # a folder asks nothing
        sent = outbox.deliver_due(send, prepare=prepare, asks_before_sending=is_asked)
        sent += outbox.deliver_due(send_text, channel="sms")
        return sent + outbox.deliver_due(partial(webhook.send, settings=settings), channel=outbox.WEBHOOK)
    finally:
        connection.close()


class TwoForms(LetterWithLogo):
    """A letter without files, which is most of them: its bytes are written without building a tree first."""

    def message(self) -> Any:
        return self

    def as_bytes(self, *, linesep: str = "\r\n") -> bytes:
        headers = {
            "Subject": self.subject,
            "From": self.from_email,
            "To": self.to[0],
            "Date": formatdate(),
            **self.extra_headers,
        }
        boundary = "=_" + self.extra_headers["Message-ID"][1:37]
        written = two_forms(headers, self.body, self.alternatives[0][0], boundary=boundary)
        return written if linesep == "\r\n" else written.replace(b"\r\n", linesep.encode())


@cache
def _domain(sender: str) -> str:
    return parseaddr(sender)[1].partition("@")[2]


def _message(message_id: UUID, letter: Letter, settings: Settings) -> LetterWithLogo:
    is_plain = letter.html and not letter.calendar and not letter.logo
    message = (TwoForms if is_plain else LetterWithLogo)(
        subject=letter.subject,
        body=letter.text,
        from_email=settings.mail_sender,
        to=[letter.to],
        headers={"Message-ID": f"<{message_id}@{_domain(settings.mail_sender)}>"},
        logo=letter.logo,
    )
    if letter.unsubscribe:  # RFC 8058: one press in the mail program, without opening anything
        message.extra_headers["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        message.extra_headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if letter.html:  # the test of a text message is text
        message.attach_alternative(letter.html, "text/html")
    if letter.calendar:
        message.attach_alternative(letter.calendar, f"text/calendar; method={letter.calendar_method}")
        message.attach("visit.ics", letter.calendar, "text/calendar")
    return message
