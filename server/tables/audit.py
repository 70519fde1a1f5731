"""Who did what to whose data (FHIR AuditEvent). Rows are only ever added; no free text, no values."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import Base
from server.tables.columns import Key, Made


class AuditEvent(Base):
    """No foreign keys: what happened stays on record whatever becomes of the rows it names."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_patient_id_created_at", "patient_id", "created_at"),
        Index("ix_audit_events_object_id", "object_id"),
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
