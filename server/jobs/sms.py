"""Text messages over a gateway, in Twilio's form or in plain JSON. A gateway that is away costs no message a try."""

import phonenumbers
import requests

from server.services.outbox import Undeliverable, Unreachable
from server.settings import Settings

TIMEOUT = (3, 10)  # seconds to connect, and for the answer


def send(to: str, text: str, *, message_id: str, region: str, settings: Settings) -> str:
    """Hand one text to the gateway; answers what it calls the message.

    `to` as somebody wrote it down, `region` (ISO 3166) for numbers without a country. Raises Undeliverable for what no
    second try helps, Unreachable while the gateway is away, anything else to try again later.
    """
    if not settings.sms_url:
        raise Undeliverable("No gateway for text messages is set up.")
    number = _number(to, region)
    try:
        if settings.sms_gateway == "twilio":
            answer = requests.post(
                settings.sms_url,
                data={"To": number, "From": settings.sms_sender, "Body": text},
                auth=(settings.sms_account, settings.sms_token),
                timeout=TIMEOUT,
            )
        else:
            answer = requests.post(
                settings.sms_url,
                json={"to": number, "from": settings.sms_sender, "text": text, "id": message_id},
                headers={"Authorization": f"Bearer {settings.sms_token}", "Idempotency-Key": message_id},
                timeout=TIMEOUT,
            )
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Unreachable(type(error).__name__) from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise RuntimeError(f"The gateway answered {answer.status_code}.")
    if answer.status_code >= 400:
        raise Undeliverable(f"The gateway refused it ({answer.status_code}).")
    said = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
    return str(said.get("sid") or said.get("id") or "")


def _number(written: str, region: str) -> str:
    """E.164, such as +12125550100. Raises Undeliverable."""
    try:
        number = phonenumbers.parse(written, region or None)
    except phonenumbers.NumberParseException as error:
        raise Undeliverable("The phone number cannot be read.") from error
    if not phonenumbers.is_possible_number(number):
        raise Undeliverable("The phone number cannot be right.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
