"""Sealing the audit: events are put under signed heads in batches, each of which contains the one before.

Nothing waits for it: a booking only adds its event. See docs/decisions/0016-the-audit-is-sealed-in-batches.md.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import select, text

from server.errors import DomainError
from server.extensions import db
from server.models import AuditSeal
from server.services.transaction import atomic, database_now
from server.settings import Settings
from server.utils.signing import derive_key, public_half, read_key

BATCH = 10_000  # events under one seal, unless one transaction wrote more
ID, PRINT = 16, 16  # bytes
NO_HEAD = bytes(32)

# An event as what is hashed: JSON that PostgreSQL writes, because its text is the same on every machine and in one
# string, and reading a million rows is a matter of seconds.
CANONICAL = """json_build_array(id, (extract(epoch FROM created_at) * 1000000)::bigint, xid, action, outcome, user_id,
                                role, patient_id, object_type, object_id, ip, request_id)::text"""
# Whatever a transaction below this number wrote is there to be read: it has ended, and none below it can begin.
HORIZON = text("SELECT audit_xid(pg_snapshot_xmin(pg_current_snapshot()))")
_TAKE_TURNS = text("SELECT pg_try_advisory_xact_lock(hashtextextended('seal the audit', 0))")
_CUT = text("SELECT xid FROM audit_events WHERE xid >= :start AND xid < :stop ORDER BY xid OFFSET :batch LIMIT 1")
_BATCH = text(f"""
    SELECT id, {CANONICAL} AS canonical FROM audit_events WHERE xid >= :start AND xid < :stop ORDER BY xid, id
""")  # noqa: S608 - joins its own constant; every value is a bound parameter
_NEWEST_EVENT = text("SELECT greatest((SELECT max(xid) FROM audit_events), (SELECT max(up_to) FROM audit_seals))")
_TRANSACTION = text("SELECT audit_xid(pg_current_xact_id())")


class CountedAnew(DomainError):
    """The database counts its transactions from the beginning: it was restored into another cluster."""

    detail_text = "This database was restored, and its transactions are counted anew. Run: frontdesk migrate"


@dataclass(frozen=True)
class Seal:
    """What a seal says, wherever it was read."""

    no: int
    sealed_at: datetime
    up_to: int
    prints: bytes
    head: bytes
    public_key: bytes
    signature: bytes

    @property
    def events(self) -> int:
        return len(self.prints) // (ID + PRINT)

    def is_signed_by(self, public_keys: frozenset[bytes]) -> bool:
        """Whether one of these keys signed its head."""
        if self.public_key not in public_keys:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(self.signature, self.head)
        except InvalidSignature:
            return False
        return True

    def follows(self, head: bytes) -> bool:
        """Whether its head was made over this one before it."""
        return self.head == head_of(head, no=self.no, sealed_at=self.sealed_at, up_to=self.up_to, prints=self.prints)


def head_of(before: bytes, *, no: int, sealed_at: datetime, up_to: int, prints: bytes) -> bytes:
    """SHA-256 over the head before it and everything a seal says."""
    numbers = struct.pack(">QQQ", no, int(sealed_at.timestamp() * 1_000_000), up_to)
    return hashlib.sha256(b"frontdesk audit seal 1" + before + numbers + prints).digest()


def print_of(canonical: str) -> bytes:
    """Half of the SHA-256 of an event: nobody finds another one with the same."""
    return hashlib.sha256(canonical.encode()).digest()[:PRINT]


def key_of(settings: Settings) -> Ed25519PrivateKey:
    """The key that signs: AUDIT_KEY, or one derived from SECRET_KEY."""
    if settings.audit_key:
        return read_key(settings.audit_key)
    return derive_key(settings.secret_key, purpose="frontdesk audit")


def seal_due(key: Ed25519PrivateKey) -> int:
    """Seal every event of a transaction that has ended, and before which none is under way; answers how many."""
    sealed = 0
    while done := _seal_next(key):
        sealed += done
    return sealed


def read_seals(*, after: int = 0) -> list[Seal]:
    """The seals in the database with a higher number than `after`, in order."""
    columns = [getattr(AuditSeal, name) for name in Seal.__dataclass_fields__]
    query = select(*columns).where(AuditSeal.no > after).order_by(AuditSeal.no)
    return [Seal(*row) for row in db.session.execute(query)]


def keep_counting() -> bool:
    """After a restore: make the numbers of transactions go on above those on record; for the owner of the tables.

    Returns whether that was needed.
    """
    with atomic():
        newest, now = db.session.scalar(_NEWEST_EVENT), cast(int, db.session.scalar(_TRANSACTION))
        if newest is None or now >= newest:
            return False
        so_far = int(db.session.scalar(text("SELECT pg_current_xact_id()::text::bigint")) or 0)
        db.session.execute(
            text(
                "CREATE OR REPLACE FUNCTION audit_xid(xid8) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE "
                f"RETURN $1::text::bigint + {newest - so_far + 1}"
            )
        )
    return True


def _seal_next(key: Ed25519PrivateKey) -> int:
    with atomic():
        if not db.session.scalar(_TAKE_TURNS):
            return 0  # somebody else is at it
        db.session.execute(text("SET LOCAL statement_timeout = '10min'"))  # the first time there may be years to seal
        last = db.session.execute(
            select(AuditSeal.no, AuditSeal.up_to, AuditSeal.head).order_by(AuditSeal.no.desc()).limit(1)
        ).one_or_none()
        no, start, head = last or (0, 0, NO_HEAD)
        stop = cast(int, db.session.scalar(HORIZON))
        if stop < start:
            raise CountedAnew(CountedAnew.detail_text)
        cut = db.session.scalar(_CUT, {"start": start, "stop": stop, "batch": BATCH})
        prints = _prints(start, stop if cut is None else cut)
        if cut is not None and not prints:  # one transaction wrote more than a batch
            cut += 1
            prints = _prints(start, cut)
        if not prints:
            return 0
        up_to, sealed_at = stop if cut is None else cut, database_now()
        head = head_of(head, no=no + 1, sealed_at=sealed_at, up_to=up_to, prints=prints)
        seal = Seal(no + 1, sealed_at, up_to, prints, head, public_half(key), key.sign(head))
        db.session.add(AuditSeal(**vars(seal)))
        return seal.events


def _prints(start: int, stop: int) -> bytes:
    rows = db.session.execute(_BATCH, {"start": start, "stop": stop}, execution_options={"yield_per": 5000})
    return b"".join(row.id.bytes + print_of(row.canonical) for row in rows)
