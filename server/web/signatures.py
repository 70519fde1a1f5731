"""The guard of doors that machines knock at: what they send is signed with a secret that both sides have."""

import hashlib
import hmac
from base64 import b64encode

from flask import current_app, g, request

from server.errors import NotAllowed, NotVisible
from server.settings import Settings
from server.utils import clock
from server.web.identity import plain_visitor

TOLERANCE = 300  # seconds between the clocks of the two sides


def signed_by_text_gateway() -> None:
    """Whoever calls has SMS_TOKEN. Raises NotVisible when there is no gateway, NotAllowed for another signature."""
    settings: Settings = current_app.config["FRONTDESK"]
    if not settings.sms_token:
        raise NotVisible("No gateway for text messages is set up.")
    fits = _twilio_fits if settings.sms_gateway == "twilio" else _json_fits
    if not fits(settings):
        raise NotAllowed("The signature does not fit.")
    g.actor = plain_visitor()


def twilio_signature(url: str, form: dict[str, list[str]], token: str) -> str:
    """Twilio's: HMAC-SHA1 over the address and the form's fields in order of their names, in Base64."""
    signed = url + "".join(name + value for name in sorted(form) for value in sorted(set(form[name])))
    return b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()


def json_signature(timestamp: str, body: bytes, token: str) -> str:
    """Ours: HMAC-SHA-256 over the seconds since 1970, a full stop and the body, in hexadecimal."""
    return hmac.digest(token.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hex()


def _twilio_fits(settings: Settings) -> bool:
    query = f"?{request.query_string.decode()}" if request.query_string else ""
    url = f"{settings.base_url.rstrip('/')}{request.path}{query}"  # as Twilio knows it, whatever proxies say
    expected = twilio_signature(url, request.form.to_dict(flat=False), settings.sms_token)
    return _same(expected, request.headers.get("X-Twilio-Signature", ""))


def _json_fits(settings: Settings) -> bool:
    timestamp = request.headers.get("X-Frontdesk-Timestamp", "")
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        return False
    if abs(clock.now().timestamp() - int(timestamp)) > TOLERANCE:
        return False
    expected = json_signature(timestamp, request.get_data(cache=True), settings.sms_token)
    return _same(expected, request.headers.get("X-Frontdesk-Signature", ""))


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
