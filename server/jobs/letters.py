"""Sending what is due over SMTP (or into a folder): rendered here and now, from ids."""

import smtplib
from email.utils import parseaddr
from functools import partial
from uuid import UUID

from flask import current_app

from server.extensions import mail
from server.jobs import domain_limit, sms
from server.jobs.inline_logo import LetterWithLogo
from server.jobs.smtp_backend import GuardedSMTP
from server.services import bounces, letters, messages, outbox
from server.settings import Settings

TOO_LARGE = 552  # said to the sender already, of the one letter whose size is told with it


def send_due() -> int:
    """Deliver every letter and text that is due, letters over one connection; returns how many left."""
    settings: Settings = current_app.config["FRONTDESK"]
    connection = mail.get_connection()

    def send(message_id: UUID) -> None:
        domain_limit.demand(message_id, settings)
        before = outbox.state_of(message_id)
        message = _message(message_id, settings)
        message.connection = connection
        try:
            connection.open()
        except (OSError, smtplib.SMTPException) as error:
            raise outbox.Unreachable(type(error).__name__) from error
        server = getattr(connection, "connection", None)  # a folder has none
        if isinstance(server, GuardedSMTP):
            server.guard = partial(outbox.unchanged, message_id, before)
        try:
            message.send()
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
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
        except Exception:
            connection.close()  # in an unknown state; the next letter opens another one
            raise

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
        return outbox.deliver_due(send) + outbox.deliver_due(send_text, channel="sms")
    finally:
        connection.close()


def _message(message_id: UUID, settings: Settings) -> LetterWithLogo:
    letter = letters.compose(message_id, settings=settings)
    domain = parseaddr(settings.mail_sender)[1].partition("@")[2]
    message = LetterWithLogo(
        subject=letter.subject,
        body=letter.text,
        from_email=settings.mail_sender,
        to=[letter.to],
        headers={"Message-ID": f"<{message_id}@{domain}>"},
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
