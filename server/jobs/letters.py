"""Sending what is due over SMTP (or into a folder): rendered here and now, from ids."""

import smtplib
from email.utils import parseaddr
from uuid import UUID

from flask import current_app
from flask_mailman import EmailMultiAlternatives

from server.extensions import mail
from server.services import letters, outbox
from server.settings import Settings


def send_due() -> int:
    """Deliver every letter that is due; returns how many left."""
    settings: Settings = current_app.config["FRONTDESK"]
    connection = mail.get_connection()

    def send(message_id: UUID) -> None:
        letter = letters.compose(message_id, settings=settings)
        message = EmailMultiAlternatives(
            subject=letter.subject,
            body=letter.text,
            from_email=settings.mail_sender,
            to=[letter.to],
            headers={"Message-ID": f"<{message_id}@{parseaddr(settings.mail_sender)[1].partition('@')[2]}>"},
            connection=connection,
        )
        message.attach_alternative(letter.html, "text/html")
        if letter.calendar:
            message.attach_alternative(
                letter.calendar, f"text/calendar; method={letter.calendar_method}; charset=utf-8"
            )
            message.attach("visit.ics", letter.calendar, "text/calendar")
        try:
            message.send()
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if codes and min(codes) >= 500:
                raise outbox.Undeliverable(f"The mail server refused the address ({codes[0]}).") from error
            raise

    return outbox.deliver_due(send)
