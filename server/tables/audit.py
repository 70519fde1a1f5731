"""Who did what to whose data (FHIR AuditEvent). Rows are only ever added; no free text, no values."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import Base
from server.tables.columns import Key, Made


class AuditEvent(Base):
    """No foreign keys: what happened stays on record whatever becomes of the rows it names.

    `xid`: the transaction that wrote it, by which sealing knows that nothing older can still appear
    (docs/decisions/0016). The database refuses to change or remove a row.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_patient_id_created_at", "patient_id", "created_at"),
        Index("ix_audit_events_object_id", "object_id"),
        # Rows are added in about this order, so a few numbers for each stretch of the table do; an insert writes none.
        Index(
            "ix_audit_events_xid_created_at",
            "xid",
            "created_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": "16", "autosummarize": "on"},
        ),
    )

    id: Mapped[Key]
    created_at: Mapped[Made]
    action: Mapped[str] = mapped_column(String(60))
    outcome: Mapped[str] = mapped_column(String(20), server_default="success")
    user_id: Mapped[UUID | None]
    role: Mapped[str] = mapped_column(String(40), server_default="")
    patient_id: Mapped[UUID | None]
    object_type: Mapped[str] = mapped_column(String(40), server_default="")
    object_id: Mapped[UUID | None]
    ip: Mapped[str] = mapped_column(String(45), server_default="")
    request_id: Mapped[str] = mapped_column(String(64), server_default="")
    xid: Mapped[int] = mapped_column(BigInteger, server_default=text("audit_xid(pg_current_xact_id())"))


class AuditArchive(Base):
    """The events under the seals up to this one are in a file by now, and gone from the table; signed like a seal."""

    __tablename__ = "audit_archives"

    seal_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    made_at: Mapped[Made]
    events: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)


class AuditSeal(Base):
    """A batch of events under one signature: every event with an `xid` from the last seal's `up_to` to this one's.

    `prints`: 32 bytes for each event, in the order of (xid, id): its id, and half of its SHA-256. `head`: the SHA-256
    over the head before it and all of this, so that no seal can be taken out; `signature`: Ed25519 over the head.
    """

    __tablename__ = "audit_seals"

    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed_at: Mapped[Made]
    up_to: Mapped[int] = mapped_column(BigInteger)
    prints: Mapped[bytes] = mapped_column(LargeBinary)
    head: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
