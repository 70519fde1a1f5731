"""Calendar feeds: secret addresses under which calendars of phones and offices read visits."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import Base
from server.tables.columns import Instant, Key, Made


class CalendarFeed(Base):
    """The visits of one patient or one practitioner for whoever has the secret, as long as its maker may see them."""

    __tablename__ = "calendar_feeds"
    __table_args__ = (
        UniqueConstraint("fingerprint"),
        CheckConstraint("num_nonnulls(patient_id, practitioner_id) = 1", name="is_of_one_person"),
        CheckConstraint("NOT shows_names OR practitioner_id IS NOT NULL", name="names_are_for_practitioners"),
    )

    id: Mapped[Key]
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))  # of the secret, which is kept nowhere
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)  # who made it
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"))
    practitioner_id: Mapped[UUID | None] = mapped_column(ForeignKey("practitioners.id", ondelete="CASCADE"))
    shows_names: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[Made]
    revoked_at: Mapped[Instant | None]
    last_read_at: Mapped[Instant | None]  # to the hour
