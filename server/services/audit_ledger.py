"""The ledger: every seal of the audit once more, in a folder outside the database. One file a day, only added to.

Whoever may write to the database cannot write here, and the other way round: what was sealed is told by both.
"""

import fcntl
import json
import logging
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from server.errors import Conflict
from server.services import sealing
from server.services.sealing import ID, NO_HEAD, PRINT, Seal

log = logging.getLogger(__name__)


class LedgerIsAhead(Conflict):
    """The ledger has seals that the database does not have: an older backup was restored, or somebody cut it off."""

    detail_text = (
        "The ledger tells of seals that this database does not have. Was an older backup restored? Then move the "
        "folder away, keep it, and begin a new one (docs/how-to/keep-the-audit.md)."
    )


def export(folder: Path) -> int:
    """Add what the ledger does not have yet; answers how many seals. Raises LedgerIsAhead, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        last = _last(folder)
        seals = sealing.read_seals(after=last.no - 1 if last else 0)
        if last is not None:
            if not seals or seals[0].head != last.head:
                raise LedgerIsAhead(LedgerIsAhead.detail_text)
            seals = seals[1:]
        for seal in seals:
            name = f"{seal.sealed_at.astimezone(UTC):%Y-%m-%d}.jsonl"
            if last is not None:  # a clock that was set back does not put a seal before another one
                name = max(name, _file_of(last))
            with (folder / name).open("a", encoding="utf-8") as file:
                file.write(as_line(seal) + "\n")
                file.flush()
                os.fsync(file.fileno())
            log.info("Audit seal %d over %d events: head %s", seal.no, seal.events, seal.head.hex())
            last = seal
    return len(seals)


def read(folder: Path) -> Iterator[Seal]:
    """Every seal of the ledger, in the order of its lines. Raises ValueError, naming the line that cannot be read."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from_line(line)
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(f"Line {number} of {path.name} cannot be read.") from error


def as_line(seal: Seal) -> str:
    """One line of JSON. Nothing in it tells of a person: ids of events, and hashes."""
    return json.dumps(
        {
            "seal": seal.no,
            "sealed_at": seal.sealed_at.astimezone(UTC).isoformat(),
            "up_to": seal.up_to,
            "events": seal.events,
            "head": seal.head.hex(),
            "public_key": seal.public_key.hex(),
            "signature": seal.signature.hex(),
            "prints": b64encode(seal.prints).decode(),
        }
    )


def from_line(line: str) -> Seal:
    """The seal of a line. Raises ValueError, KeyError, TypeError."""
    found = json.loads(line)
    prints = b64decode(found["prints"], validate=True)
    if len(prints) % (ID + PRINT):
        raise ValueError("The prints were cut off.")
    return Seal(
        no=int(found["seal"]),
        sealed_at=datetime.fromisoformat(found["sealed_at"]),
        up_to=int(found["up_to"]),
        prints=prints,
        head=bytes.fromhex(found["head"]),
        public_key=bytes.fromhex(found["public_key"]),
        signature=bytes.fromhex(found["signature"]),
    )


def _last(folder: Path) -> Seal | None:
    """The newest seal of the ledger. A line that was cut off by a power failure is taken out."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(path, len(whole))
        if whole:
            return from_line(whole.splitlines()[-1].decode())
    return None


def _file_of(seal: Seal) -> str:
    return f"{seal.sealed_at.astimezone(UTC):%Y-%m-%d}.jsonl"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


__all__ = ["NO_HEAD", "LedgerIsAhead", "as_line", "export", "from_line", "read"]
