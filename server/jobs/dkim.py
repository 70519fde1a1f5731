"""DKIM (RFC 6376): the whole letter is signed as it leaves, so that others can see that it is ours and unchanged."""

from email.utils import parseaddr

import dkim

from server.services.outbox import Unreachable
from server.settings import Settings

# What a signature covers. RFC 8058 asks for the two of unsubscribing; nobody may add a second From or Subject.
HEADERS = (
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)


def domain_of(settings: Settings) -> str:
    """The domain that signs: DKIM_DOMAIN, or else that of the sender."""
    return settings.dkim_domain.lower() or sender_domain(settings)


def sender_domain(settings: Settings) -> str:
    return parseaddr(settings.mail_sender)[1].rpartition("@")[2].lower()


def sign(letter: bytes, settings: Settings) -> bytes:
    """The same letter (CRLF lines) with a DKIM-Signature at its head; as it was without DKIM_KEY.

    Raises Unreachable for a key that cannot be used: no letter is to blame.
    """
    if not settings.dkim_key:
        return letter
    present = {line.partition(b":")[0].lower() for line in letter.partition(b"\r\n\r\n")[0].split(b"\r\n")}
    try:
        signature: bytes = dkim.sign(
            letter,
            settings.dkim_selector.encode(),
            domain_of(settings).encode(),
            settings.dkim_key.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[*(name for name in HEADERS if name in present), b"from", b"subject"],
        )
    except dkim.DKIMException as error:
        raise Unreachable(f"DKIM_KEY cannot be used: {type(error).__name__}") from error
    return signature + letter
