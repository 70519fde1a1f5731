"""Where and what: locations, rooms, healthcare services (FHIR Location, HealthcareService)."""

from __future__ import annotations

from datetime import date, time
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, Text, UniqueConstraint
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
    country: Mapped[str] = mapped_column(String(2), server_default="")  # ISO 3166-1, for its public holidays
    region: Mapped[str] = mapped_column(String(10), server_default="")  # ISO 3166-2 without the country
    is_active: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[Made]


class Room(Base):
    """A room, or a device that a visit needs beside a room. A service asks for one by its `kind`."""

    __tablename__ = "rooms"
    __table_args__ = (
        UniqueConstraint("location_id", "name"),
        Index("ix_rooms_location_id_kind", "location_id", "kind"),
    )

    id: Mapped[Key]
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(40), server_default="exam")
    is_device: Mapped[bool] = mapped_column(server_default="false")
    is_active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
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
        CheckConstraint("max_open_in_all >= 1", name="limit_in_all_is_positive"),
        CheckConstraint("max_per_day >= 1", name="limit_per_day_is_positive"),
        CheckConstraint("for_patients IN ('all', 'new', 'known')", name="for_patients_is_known"),
        CheckConstraint("min_age_years BETWEEN 0 AND 150", name="min_age_is_sane"),
        CheckConstraint("max_age_years BETWEEN coalesce(min_age_years, 0) AND 150", name="max_age_is_sane"),
        CheckConstraint("approval_minutes BETWEEN 1 AND 100000", name="approval_time_is_sane"),
        CheckConstraint("no_show_after_minutes BETWEEN 1 AND 1440", name="no_show_time_is_sane"),
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
    # Limits of one patient: open visits of this service, of all services, and of this service on one day.
    max_open_per_patient: Mapped[int | None] = mapped_column(SmallInteger)
    max_open_in_all: Mapped[int | None] = mapped_column(SmallInteger)
    max_per_day: Mapped[int | None] = mapped_column(SmallInteger)
    for_patients: Mapped[str] = mapped_column(String(10), server_default="all")  # "new": never seen here before
    needs_referral: Mapped[bool] = mapped_column(server_default="false")
    min_age_years: Mapped[int | None] = mapped_column(SmallInteger)
    max_age_years: Mapped[int | None] = mapped_column(SmallInteger)
    needs_approval: Mapped[bool] = mapped_column(server_default="false")  # a patient's booking is a request first
    approval_minutes: Mapped[int] = mapped_column(server_default="2880")  # then the request is void
    room_kind: Mapped[str | None] = mapped_column(String(40))
    device_kind: Mapped[str | None] = mapped_column(String(40))
    no_show_after_minutes: Mapped[int | None] = mapped_column(SmallInteger)  # marked by itself; null: never
    frees_rest: Mapped[bool] = mapped_column(server_default="false")  # ended early, the rest of the time is free
    is_active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[Made]


class PractitionerRule(Base):
    """What differs from the service's rules when this practitioner gives it; null is the service's own value."""

    __tablename__ = "practitioner_rules"
    __table_args__ = (
        CheckConstraint("minimum_notice_minutes >= 0", name="notice_is_not_negative"),
        CheckConstraint("horizon_days BETWEEN 1 AND 1000", name="horizon_is_sane"),
        CheckConstraint("cancel_cutoff_minutes >= 0", name="cutoff_is_not_negative"),
        CheckConstraint("max_open_per_patient >= 1", name="limit_is_positive"),
        CheckConstraint("max_per_day >= 1", name="limit_per_day_is_positive"),
        CheckConstraint("for_patients IN ('all', 'new', 'known')", name="for_patients_is_known"),
        CheckConstraint("min_age_years BETWEEN 0 AND 150", name="min_age_is_sane"),
        CheckConstraint("max_age_years BETWEEN 0 AND 150", name="max_age_is_sane"),
    )

    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioners.id", ondelete="CASCADE"), primary_key=True)
    service_id: Mapped[UUID] = mapped_column(
        ForeignKey("healthcare_services.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    minimum_notice_minutes: Mapped[int | None]
    horizon_days: Mapped[int | None] = mapped_column(SmallInteger)
    cancel_cutoff_minutes: Mapped[int | None]
    self_bookable: Mapped[bool | None]
    max_open_per_patient: Mapped[int | None] = mapped_column(SmallInteger)
    max_per_day: Mapped[int | None] = mapped_column(SmallInteger)
    for_patients: Mapped[str | None] = mapped_column(String(10))
    needs_referral: Mapped[bool | None]
    min_age_years: Mapped[int | None] = mapped_column(SmallInteger)
    max_age_years: Mapped[int | None] = mapped_column(SmallInteger)
    needs_approval: Mapped[bool | None]


class Referral(Base):
    """Somebody sent this patient for this service (FHIR ServiceRequest, its smallest part)."""

    __tablename__ = "referrals"
    __table_args__ = (Index("ix_referrals_patient_id_service_id", "patient_id", "service_id"),)

    id: Mapped[Key]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"))
    service_id: Mapped[UUID] = mapped_column(ForeignKey("healthcare_services.id"))
    valid_until: Mapped[date | None]
    note: Mapped[str] = mapped_column(String(300), server_default="")
    created_at: Mapped[Made]


class ClinicSettings(Base):
    """What the clinic decides for itself: one row."""

    __tablename__ = "clinic_settings"
    __table_args__ = (
        CheckConstraint("id", name="is_one_row"),
        CheckConstraint("offer_minutes BETWEEN 5 AND 10080", name="offer_time_is_sane"),
        CheckConstraint("offer_stop_minutes BETWEEN 0 AND 10080", name="offer_stop_is_sane"),
        CheckConstraint("offers_a_week BETWEEN 1 AND 100", name="offers_a_week_is_sane"),
        CheckConstraint("accent_colour ~ '^(#[0-9a-f]{6})?$'", name="accent_colour_is_one"),
        CheckConstraint("(logo IS NULL) = (logo_fingerprint = '')", name="logo_has_a_fingerprint"),
        CheckConstraint("octet_length(logo) <= 262144", name="logo_is_small"),
    )

    id: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    # Offers of freed times to the waitlist: how long one stands, not in these hours of the location's night, not
    # shorter before the start than this, and to one patient no oftener.
    offer_minutes: Mapped[int] = mapped_column(server_default="120")
    offer_stop_minutes: Mapped[int] = mapped_column(server_default="120")
    offers_a_week: Mapped[int] = mapped_column(SmallInteger, server_default="3")
    quiet_from: Mapped[time] = mapped_column(server_default="21:00")
    quiet_until: Mapped[time] = mapped_column(server_default="08:00")
    language: Mapped[str] = mapped_column(String(10), server_default="en")  # of those who have not chosen one
    # How pages and letters look; empty is the standard. The logo is a PNG, fetched only by whoever shows it.
    clinic_name: Mapped[str] = mapped_column(String(80), server_default="")
    accent_colour: Mapped[str] = mapped_column(String(7), server_default="")
    signature: Mapped[str] = mapped_column(String(300), server_default="")
    logo: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    logo_fingerprint: Mapped[str] = mapped_column(String(64), server_default="")  # SHA-256, in hexadecimal digits
    version: Mapped[int] = mapped_column(server_default="1")
