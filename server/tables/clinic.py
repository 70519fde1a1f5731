"""Where and what: locations, rooms, healthcare services (FHIR Location, HealthcareService)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import Base
from server.tables.columns import Key, Made


class Location(Base):
    """A site of the clinic, with the zone its clocks show."""

    __tablename__ = "locations"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(120), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64))  # IANA name
    address: Mapped[str] = mapped_column(String(300), server_default="")
    phone: Mapped[str] = mapped_column(String(40), server_default="")
    is_active: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[Made]


class Room(Base):
    """A room or device that can be booked."""

    __tablename__ = "rooms"
    __table_args__ = (UniqueConstraint("location_id", "name"),)

    id: Mapped[Key]
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(40), server_default="exam")
    location: Mapped[Location] = relationship()


class HealthcareService(Base):
    """What can be booked, and its rules. All lengths in minutes."""

    __tablename__ = "healthcare_services"
    __table_args__ = (
        CheckConstraint("duration_minutes BETWEEN 1 AND 1440", name="duration_is_within_a_day"),
        CheckConstraint("step_minutes BETWEEN 1 AND 1440", name="step_is_within_a_day"),
        CheckConstraint("buffer_before_minutes BETWEEN 0 AND 720", name="buffer_before_is_sane"),
        CheckConstraint("buffer_after_minutes BETWEEN 0 AND 720", name="buffer_after_is_sane"),
        CheckConstraint("minimum_notice_minutes >= 0", name="notice_is_not_negative"),
        CheckConstraint("horizon_days BETWEEN 1 AND 1000", name="horizon_is_sane"),
        CheckConstraint("horizon_days * 1440 > minimum_notice_minutes", name="horizon_is_beyond_notice"),
        CheckConstraint("cancel_cutoff_minutes >= 0", name="cutoff_is_not_negative"),
        CheckConstraint("capacity >= 1", name="capacity_is_positive"),
        CheckConstraint("max_open_per_patient >= 1", name="limit_is_positive"),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(120), unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    duration_minutes: Mapped[int] = mapped_column(SmallInteger)
    step_minutes: Mapped[int] = mapped_column(SmallInteger)
    buffer_before_minutes: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    buffer_after_minutes: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    minimum_notice_minutes: Mapped[int] = mapped_column(server_default="0")
    horizon_days: Mapped[int] = mapped_column(SmallInteger, server_default="90")
    cancel_cutoff_minutes: Mapped[int] = mapped_column(server_default="0")
    self_bookable: Mapped[bool] = mapped_column(server_default="true")  # by patients
    capacity: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    max_open_per_patient: Mapped[int | None] = mapped_column(SmallInteger)
    is_active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[Made]
