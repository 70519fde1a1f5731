"""Letters that come back: refused while we talk to the mail server, or later by a delivery report (RFC 3464).

A report is tied to its letter by the Message-ID, which nobody but the reader knows, and closes an address only when it
is the reader's today.
"""

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from uuid import UUID

from server.errors import NotVisible
from server.extensions import db
from server.models import OutboxMessage
from server.services import addresses, audit, receipts
from server.services.access import SYSTEM
from server.services.transaction import atomic

_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_MESSAGE_ID = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^<>\s]+>", re.I)


@dataclass(frozen=True)
class Bounce:
    """One recipient in a delivery report: what the mail server says, and whether it says so for good."""

    address: str
    receipt: str
    detail: str
    is_for_good: bool


def refused(message_id: UUID, *, address: str, code: int, words: bytes | str) -> str:
    """The mail server does not take a letter for this address (5xx); answers the sentence for its story.

    The address is closed, unless the refusal is about us and not about the address.
    """
    said = _one_line(f"{code} {words.decode(errors='replace') if isinstance(words, bytes) else words}")
    if blames_the_address(said):
        with atomic():
            _close(address, said, message_id)
    return f"The mail server refused the address: {said}"


def refused_as_a_whole(code: int, words: bytes | str) -> str:
    """The mail server read the letter and does not take it (5xx); answers the sentence. No address is to blame."""
    said = _one_line(f"{code} {words.decode(errors='replace') if isinstance(words, bytes) else words}")
    return f"The mail server refused the letter: {said}"


def blames_the_address(said: str) -> bool:
    """Whether a refusal closes the address: not one for policy or safety (x.7.x, RFC 3463), which blames the sender."""
    status = _STATUS.search(said)
    return status is None or (status[1] == "5" and status[2] != "7")


def read_report(raw: bytes) -> str:
    """A mail that came back, whole; answers in one sentence what was done with it. Doing it twice changes nothing."""
    try:
        mail = BytesParser().parsebytes(raw)  # of the kind that takes headers as they are, however broken
        found = [bounce for bounce in map(_bounce, _recipients(mail)) if bounce]
        message_id = _original(mail)
    except RecursionError:  # parts in parts without end
        found, message_id = [], None
    if not found or message_id is None:
        return "Ignored: this is no delivery report about a letter of ours."
    with atomic():
        message = db.session.get(OutboxMessage, message_id)
        if message is None:
            return "Ignored: there is no such letter any more."
        theirs = addresses.reader_of(message_id)
        worst = next((bounce for bounce in found if bounce.receipt != "delivered"), found[0])
        receipts.take(message_id, worst.receipt, detail=worst.detail)
        for bounce in found:
            if bounce.is_for_good and bounce.address == theirs and blames_the_address(bounce.detail):
                _close(bounce.address, bounce.detail, message_id)
                return f"Letter {message_id} came back; its address is closed."
    return f"Letter {message_id}: {worst.receipt}."


def _close(address: str, detail: str, message_id: UUID) -> None:
    if addresses.close(addresses.stored(address), because="bounced", detail=detail):
        message = db.session.get(OutboxMessage, message_id)
        if message is None:
            raise NotVisible("There is no such message.")
        audit.record(
            "address.bounced",
            actor=SYSTEM,
            object_type="OutboxMessage",
            object_id=message_id,
            patient_id=message.patient_id,
        )


def _recipients(mail: Message) -> list[Message]:
    """The groups of fields about recipients: those of a message/delivery-status that name one."""
    groups: list[Message] = []
    for part in mail.walk():
        inner = part.get_payload()
        if part.get_content_type() == "message/delivery-status" and isinstance(inner, list):
            groups += [group for group in inner if isinstance(group, Message)]
    return [group for group in groups if group["Final-Recipient"] or group["Original-Recipient"]]


def _bounce(group: Message) -> Bounce | None:
    action = _one_line(str(group["Action"] or "")).lower()
    if action not in ("failed", "delivered"):  # delayed, relayed, expanded: it is not over
        return None
    address = str(group["Original-Recipient"] or group["Final-Recipient"]).rpartition(";")[2].strip(" <>\r\n\t")
    status = _one_line(str(group["Status"] or ""))
    said = _one_line(str(group["Diagnostic-Code"] or "").partition(";")[2]) or status
    if status and not _STATUS.search(said):
        said = f"{status} {said}"
    # 4.x.x: a mail server gave up trying; the address may be well
    gave_up = status.startswith("4") or (not status and bool(re.match(r"4\d\d\b", said)))
    receipt = "delivered" if action == "delivered" else "undelivered"
    return Bounce(addresses.stored(address), receipt, said, action == "failed" and not gave_up)


def _original(mail: Message) -> UUID | None:
    """Which letter came back: the Message-ID of what is enclosed, whole or its headers."""
    for part in mail.walk():
        kind = part.get_content_type()
        enclosed = ""
        inner = part.get_payload()
        if kind == "message/rfc822" and isinstance(inner, list) and isinstance(inner[0], Message):
            enclosed = str(inner[0]["Message-ID"] or "")
        elif kind in ("text/rfc822-headers", "message/rfc822-headers"):
            lines = part.get_payload(decode=True)
            headers = BytesParser().parsebytes(lines if isinstance(lines, bytes) else b"")
            enclosed = str(headers["Message-ID"] or "")
        if found := _MESSAGE_ID.search(enclosed):
            return UUID(found[1])
    return None


def _one_line(value: str) -> str:
    """What a stranger's server wrote, fit to be shown: one line, printable, 180 characters at most."""
    line = " ".join(str(value).split())
    return "".join(c for c in line if c.isprintable())[:180]
