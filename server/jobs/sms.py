"""Text messages over a gateway, in Twilio's form or in plain JSON. A gateway that is away costs no message a try."""

import logging
from functools import cache
from typing import Any
from uuid import UUID

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from server.jobs.breaker import Breaker
from server.services import addresses, receipts
from server.services.outbox import Later, Undeliverable, Unreachable
from server.services.transaction import atomic
from server.settings import Settings
from server.utils import phones

log = logging.getLogger(__name__)

TIMEOUT = (3, 10)  # seconds to connect, and for the answer
# Answers that blame our account or the address of the gateway, and so no message.
SET_UP_WRONG = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405})
SAID_STOP = 21610  # Twilio's code for a number that wants no texts of ours

breaker = Breaker("The gateway for texts")


def send(to: str, text: str, *, message_id: UUID, region: str, settings: Settings, retries: int = 0) -> str:
    """Hand one text to the gateway; answers what it calls the message.

    `to` as somebody wrote it down, `region` (ISO 3166) for numbers without a country, `retries` how often staff had it
    tried again: the gateway knows a repeat of ours by its key, and such a try is none. Raises Undeliverable for what no
    second try helps, Unreachable while the gateway is away or left alone, Later, anything else to try again later.
    """
    if not settings.sms_url:
        raise Undeliverable("No gateway for text messages is set up.")
    number = phones.e164(to, region)
    if number is None:
        raise Undeliverable("The phone number cannot be right.")
    breaker.demand_closed()
    receipts.handed_over(message_id, number)
    try:
        answer = _post(number, text, message_id, retries, settings)
    except (requests.ConnectionError, requests.Timeout) as error:
        breaker.failed()
        raise Unreachable(type(error).__name__) from error
    _demand_well(answer, number)
    breaker.succeeded()
    said = _said(answer)
    return str(said.get("sid") or said.get("id") or "")


def _post(number: str, text: str, message_id: UUID, retries: int, settings: Settings) -> requests.Response:
    """A redirect is not followed: it would make a question of what is an order."""
    if settings.sms_gateway == "twilio":
        form = {"To": number, "From": settings.sms_sender, "Body": text}
        if settings.is_https:  # where the gateway tells what became of it; it calls no other addresses
            form["StatusCallback"] = f"{settings.base_url}/hooks/texts/status?message={message_id}"
        return _session().post(
            settings.sms_url,
            data=form,
            auth=(settings.sms_account, settings.sms_token),
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    key = f"{message_id}-{retries}" if retries else str(message_id)
    return _session().post(
        settings.sms_url,
        json={"to": number, "from": settings.sms_sender, "text": text, "id": str(message_id)},
        headers={"Authorization": f"Bearer {settings.sms_token}", "Idempotency-Key": key},
        timeout=TIMEOUT,
        allow_redirects=False,
    )


def _demand_well(answer: requests.Response, number: str) -> None:
    """Raises what an answer other than "taken" means."""
    status = answer.status_code
    if status < 300:
        return
    if status == 429:
        wait = answer.headers.get("Retry-After", "")
        breaker.leave_alone(float(wait) if wait.isdecimal() else 30)
        raise Unreachable("The gateway asks us to wait.")
    if status in SET_UP_WRONG:
        breaker.leave_alone(60)
        raise Unreachable(f"The gateway answered {status}: check SMS_URL, SMS_ACCOUNT and SMS_TOKEN.")
    if status >= 500:
        sentence = f"The gateway answered {status}."
        if breaker.failed():  # it fails whatever it gets: this message is not to blame, and not the next probe either
            log.warning("%s It is left alone for %d seconds.", sentence, breaker.seconds_left)
            raise Later(sentence, seconds=2 * breaker.seconds_left)
        raise RuntimeError(sentence)
    breaker.succeeded()  # it works, and says no
    code = _said(answer).get("code")
    if code == SAID_STOP:
        with atomic():
            addresses.close(number, because="stopped", detail="The gateway says so.")
        raise Undeliverable("This number wants no texts of ours, the gateway says.")
    raise Undeliverable(f"The gateway refused it ({status}{f', code {code}' if isinstance(code, int) else ''}).")


def _said(answer: requests.Response) -> dict[str, Any]:
    """The answer's JSON; empty when it is none: what was taken is taken, whatever the gateway writes about it."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


@cache
def _session() -> requests.Session:
    """One for each process, which keeps the line open. Only connecting is tried twice: nothing was said yet then."""
    session = requests.Session()
    twice = Retry(total=None, connect=1, read=0, redirect=0, status=0, other=0, backoff_factor=0.2)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=twice))
    return session
