"""The bytes of a letter in two forms (RFC 5322, 2046), for what leaves by the thousand.

Python's own generator takes longer for one letter than everything else about it together: it folds each header by its
grammar and compiles an expression for each boundary. Here nothing needs either.
"""

import binascii
import re
from collections.abc import Mapping
from email.header import Header
from email.utils import formataddr, parseaddr
from functools import lru_cache

PLAIN = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")
LONGEST_LINE = 900  # of what is sent as it is; RFC 5322 allows 998


def two_forms(headers: Mapping[str, str], text: str, html: str, *, boundary: str) -> bytes:
    """A multipart/alternative of plain text and HTML. Raises ValueError for a header of more than one line."""
    lines = [_header(name, value) for name, value in headers.items()]
    lines += ["MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{boundary}"', "", ""]
    parts = [_part("plain", text), _part("html", html)]
    between = f"--{boundary}\r\n".encode()
    body = b"".join(between + part + b"\r\n" for part in parts)
    return "\r\n".join(lines).encode("ascii") + body + f"--{boundary}--\r\n".encode()


def _header(name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError(f"{name} has more than one line.")
    if name in ("From", "To"):
        value = _mailbox(value)
    elif not value.isascii():
        value = Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
    return f"{name}: {value}"


@lru_cache(maxsize=1000)
def _mailbox(value: str) -> str:
    """`Name <address>` as a header takes it: a foreign name is encoded, a foreign domain in its ASCII form."""
    if PLAIN.fullmatch(value):
        return value
    name, address = parseaddr(value)
    if not address.isascii():
        local, _, domain = address.rpartition("@")
        local = local if local.isascii() else Header(local, "utf-8").encode()
        address = f"{local}@{domain.encode('idna').decode()}"
    return formataddr((name, address))


def _part(kind: str, content: str) -> bytes:
    if content.isascii() and max(map(len, content.split("\n"))) <= LONGEST_LINE:
        how, payload = "7bit", content.encode().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    else:
        coded = binascii.b2a_qp(content.encode().replace(b"\r\n", b"\n"), istext=True)
        how, payload = "quoted-printable", coded.replace(b"\n", b"\r\n")
    return f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {how}\r\n\r\n'.encode() + payload
