"""How old events leave the table: verified, written into a file, signed for, and only then deleted."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from server.errors import Conflict
from server.extensions import db
from server.models import AuditArchive
from server.services import audit, audit_check, audit_files, sealing
from server.services.access import SYSTEM
from server.services.audit_files import Event
from server.services.sealing import CANONICAL, Seal
from server.services.transaction import atomic
from server.utils.signing import public_half

_OLD = text(f"""
    SELECT id, xid, {CANONICAL} AS canonical FROM audit_events WHERE xid < :up_to ORDER BY xid, id
""")  # noqa: S608 - joins its own constant; every value is a bound parameter


def archive(path: Path, *, before: datetime, key: Ed25519PrivateKey, ledger: Iterable[Seal] = ()) -> int:
    """Move the events that were sealed before an instant into a new file; answers how many.

    The seals stay, so the file can be verified like the table. Raises Conflict, OSError.
    """
    trusted = frozenset({public_half(key)})
    with atomic():
        verdict = audit_check.verify(ledger, trusted=trusted)
        if verdict.wrong is not None:
            raise Conflict(f"Nothing is archived while something is wrong. {verdict.wrong}")
        gone = audit_check.archived_up_to(trusted)
        seals = [seal for seal in sealing.read_seals(after=gone) if seal.sealed_at < before]
        if not seals:
            raise Conflict("Nothing was sealed before that day, or it is archived already.")
        last = seals[-1]
        rows = db.session.execute(_OLD, {"up_to": last.up_to}, execution_options={"yield_per": 5000})
        count, sha256 = audit_files.write(path, (Event(*row) for row in rows), first_seal=gone + 1, last_seal=last.no)
        said = audit_files.statement(last.no, count, sha256)
        db.session.add(
            AuditArchive(
                seal_no=last.no, events=count, sha256=sha256, public_key=public_half(key), signature=key.sign(said)
            )
        )
        db.session.flush()
        db.session.execute(text("SET LOCAL frontdesk.archived = 'yes'"))
        db.session.execute(text("DELETE FROM audit_events WHERE xid < :up_to"), {"up_to": last.up_to})
        db.session.execute(text("SET LOCAL frontdesk.archived = 'no'"))
        audit.record("audit.archived", actor=SYSTEM, object_type="AuditSeal")
    return count
