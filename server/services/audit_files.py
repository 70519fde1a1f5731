"""Files of archived events: lines of JSON as they were hashed, so that a file is verified like the table."""

import gzip
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.models import AuditArchive


class Event(NamedTuple):
    """What verifying needs of an event."""

    id: UUID
    xid: int
    canonical: str


def write(path: Path, events: Iterable[Event], *, first_seal: int, last_seal: int) -> tuple[int, bytes]:
    """Write a new file; answers how many events, and its SHA-256. Raises OSError when it is there already."""
    count = 0
    with path.open("xb") as raw, gzip.open(raw, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"first_seal": first_seal, "last_seal": last_seal}) + "\n")
        for event in events:
            file.write(event.canonical + "\n")
            count += 1
    with path.open("rb") as written:
        return count, hashlib.file_digest(written, "sha256").digest()


def read(path: Path) -> tuple[tuple[int, int], Iterator[Event]]:
    """The first and last seal of a file, and its events."""
    file = gzip.open(path, "rt", encoding="utf-8")  # noqa: SIM115 - closed where the events end
    head = json.loads(file.readline())

    def events() -> Iterator[Event]:
        with file:
            for line in file:
                cells = json.loads(line)
                yield Event(UUID(cells[0]), int(cells[2]), line.rstrip("\n"))

    return (int(head["first_seal"]), int(head["last_seal"])), events()


def statement(seal_no: int, events: int, sha256: bytes) -> bytes:
    """What is signed when events are archived."""
    return b"frontdesk audit archive 1" + struct.pack(">QQ", seal_no, events) + sha256


def is_signed(archive: AuditArchive, trusted: frozenset[bytes]) -> bool:
    """Whether one of these keys signed that the events are in a file."""
    if archive.public_key not in trusted:
        return False
    said = statement(archive.seal_no, archive.events, archive.sha256)
    try:
        Ed25519PublicKey.from_public_bytes(archive.public_key).verify(archive.signature, said)
    except InvalidSignature:
        return False
    return True
