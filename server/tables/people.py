"""Patients, the people who act for them, and practitioners (FHIR Patient, RelatedPerson, Practitioner)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import Base
from server.tables.columns import Instant, Key, Made

if TYPE_CHECKING:
    from server.tables.scheduling import Schedule

# The last nine digits: what a number has in common, written with and without its country.
SAME_PHONE = "\"right\"(regexp_replace(phone, '[^0-9]', '', 'g'), 9)"


class Patient(Base):
    __tablename__ = "patients"
    __table_args__ = (
        CheckConstraint("family_name <> ''", name="family_name_is_given"),
        CheckConstraint("birth_date >= DATE '1900-01-01'", name="birth_date_is_plausible"),
        Index("ix_patients_name", "family_name", "given_name"),
        # Who may be the same person: services/duplicates.py asks in these very words.
        Index("ix_patients_birth_date", "birth_date"),
        Index("ix_patients_same_email", text("lower(email)")),
        Index("ix_patients_same_phone", text(f"({SAME_PHONE})")),
    )

    id: Mapped[Key]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), unique=True)
    mrn: Mapped[str | None] = mapped_column(String(40), unique=True)  # medical record number
    given_name: Mapped[str] = mapped_column(String(100))
    family_name: Mapped[str] = mapped_column(String(100))
    birth_date: Mapped[date]
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(40))
    language: Mapped[str | None] = mapped_column(String(10))  # BCP 47; null: the clinic's
    time_zone: Mapped[str | None] = mapped_column(String(64))  # IANA name; null: wherever the visit is
    wants_email_reminders: Mapped[bool] = mapped_column(server_default="true")
    wants_sms_reminders: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[Made]

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()


class RelatedPerson(Base):
    """A proxy: `user_id` may act for `patient_id`, within what was granted and until it ends."""

    __tablename__ = "related_persons"
    __table_args__ = (
        UniqueConstraint("user_id", "patient_id"),
        CheckConstraint("may_read OR may_book", name="something_is_granted"),
    )

    id: Mapped[Key]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"), index=True)
    relationship_name: Mapped[str] = mapped_column(String(60), server_default="")
    may_read: Mapped[bool] = mapped_column(server_default="true")
    may_book: Mapped[bool] = mapped_column(server_default="false")
    ends_at: Mapped[Instant | None]
    created_at: Mapped[Made]


class Practitioner(Base):
    __tablename__ = "practitioners"

    id: Mapped[Key]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    specialty: Mapped[str] = mapped_column(String(100), server_default="")
    languages: Mapped[list[str]] = mapped_column(ARRAY(String(10)), server_default="{}")
    is_active: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[Made]
    schedules: Mapped[list[Schedule]] = relationship(back_populates="practitioner")
