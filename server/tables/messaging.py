"""Letters waiting to leave, and what became of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import Base
from server.tables.columns import Instant, Key, Made


class OutboxMessage(Base):
    """One letter to one reader, written in the transaction of its cause; only ids, never content.

    A worker leases a due row, sends, and marks the outcome. The key on the cause makes a letter about one
    state of one appointment exist once.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        UniqueConstraint("appointment_id", "letter", "sequence"),
        UniqueConstraint("offer_id", "letter"),
        CheckConstraint("outcome IN ('sent', 'skipped', 'failed')", name="outcome_is_known"),
        CheckConstraint("user_id IS NOT NULL OR patient_id IS NOT NULL", name="has_a_reader"),
        Index("ix_outbox_messages_due_at", "due_at", postgresql_where=text("outcome IS NULL")),
    )

    id: Mapped[Key]  # also the Message-ID, so that a repeat is recognised
    letter: Mapped[str] = mapped_column(String(60))  # a folder of templates/email
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"))
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointments.id", ondelete="CASCADE"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("waitlist_offers.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(server_default="0")  # of the appointment, when it was written
    created_at: Mapped[Made]
    due_at: Mapped[Instant] = mapped_column(server_default=func.now())
    leased_until: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    outcome: Mapped[str | None] = mapped_column(String(10))
    outcome_at: Mapped[Instant | None]
    detail: Mapped[str] = mapped_column(String(200), server_default="")
