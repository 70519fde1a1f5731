"""The waitlist: who would like an earlier time, which times became free, and what was offered to whom."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import ARRAY, TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import Base
from server.tables.booking import Appointment
from server.tables.clinic import HealthcareService, Location
from server.tables.columns import Instant, Key, Made
from server.tables.people import Patient, Practitioner


class WaitlistEntry(Base):
    """One patient's wish: a service, and where, with whom and when it would suit. Empty means any.

    With an `appointment_id` an accepted offer moves that appointment, otherwise it books a new one.
    """

    __tablename__ = "waitlist_entries"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'booked', 'left', 'over')", name="status_is_known"),
        CheckConstraint("weekdays <@ ARRAY[1,2,3,4,5,6,7]::smallint[]", name="weekdays_are_iso"),
        CheckConstraint("(from_time IS NULL) = (until_time IS NULL)", name="times_come_in_pairs"),
        CheckConstraint("until_time > from_time", name="until_time_is_after_from"),
        CheckConstraint("until_on >= from_on", name="until_is_after_from"),
        CheckConstraint("notice_minutes BETWEEN 0 AND 100000", name="notice_is_sane"),
        Index(
            "uq_waitlist_entries_waiting",
            "patient_id",
            "service_id",
            unique=True,
            postgresql_where=text("status = 'waiting'"),
        ),
        Index("ix_waitlist_entries_service_id", "service_id", postgresql_where=text("status = 'waiting'")),
        Index("ix_waitlist_entries_patient_id", "patient_id"),
    )

    id: Mapped[Key]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"))
    service_id: Mapped[UUID] = mapped_column(ForeignKey("healthcare_services.id"))
    practitioner_id: Mapped[UUID | None] = mapped_column(ForeignKey("practitioners.id"))
    location_id: Mapped[UUID | None] = mapped_column(ForeignKey("locations.id"))
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointments.id", ondelete="SET NULL"), index=True)
    weekdays: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default="{}")  # ISO: Monday is 1
    from_time: Mapped[time | None]  # wall time of the location; a visit starts in [from_time, until_time)
    until_time: Mapped[time | None]
    from_on: Mapped[date | None]
    until_on: Mapped[date | None]
    notice_minutes: Mapped[int] = mapped_column(server_default="1440")  # not shorter before the start than this
    status: Mapped[str] = mapped_column(String(10), server_default="waiting")
    created_at: Mapped[Made]
    patient: Mapped[Patient] = relationship(lazy="raise_on_sql")
    service: Mapped[HealthcareService] = relationship(lazy="raise_on_sql")
    practitioner: Mapped[Practitioner | None] = relationship(lazy="raise_on_sql")
    location: Mapped[Location | None] = relationship(lazy="raise_on_sql")
    appointment: Mapped[Appointment | None] = relationship(lazy="raise_on_sql")
    offers: Mapped[list[WaitlistOffer]] = relationship(
        order_by="WaitlistOffer.id", back_populates="entry", lazy="raise_on_sql", passive_deletes=True
    )

    @property
    def open_offer(self) -> WaitlistOffer | None:
        """What they are offered at this moment."""
        return next((offer for offer in self.offers if offer.status == "open"), None)


class FreedTime(Base):
    """A stretch of a practitioner's time that became free, and its story."""

    __tablename__ = "freed_times"
    __table_args__ = (
        CheckConstraint("cause IN ('cancelled', 'moved', 'opened', 'released')", name="cause_is_known"),
        CheckConstraint("outcome IN ('taken', 'nobody', 'over')", name="outcome_is_known"),
        CheckConstraint("(outcome IS NULL) = (closed_at IS NULL)", name="closed_with_an_outcome"),
        CheckConstraint("NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)", name="is_bounded"),
        Index("ix_freed_times_open", "created_at", postgresql_where=text("outcome IS NULL")),
    )

    id: Mapped[Key]
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioners.id"))
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    during: Mapped[Range] = mapped_column(TSTZRANGE)
    cause: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[Made]
    closed_at: Mapped[Instant | None]
    outcome: Mapped[str | None] = mapped_column(String(10))
    practitioner: Mapped[Practitioner] = relationship(lazy="raise_on_sql")
    location: Mapped[Location] = relationship(lazy="raise_on_sql")
    offers: Mapped[list[WaitlistOffer]] = relationship(
        order_by="WaitlistOffer.id", back_populates="freed_time", lazy="raise_on_sql"
    )

    @property
    def start(self) -> datetime:
        return cast(datetime, self.during.lower)

    @property
    def end(self) -> datetime:
        return cast(datetime, self.during.upper)


class WaitlistOffer(Base):
    """A time offered to one who waits, with a hold behind it until `expires_at`."""

    __tablename__ = "waitlist_offers"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'accepted', 'declined', 'expired', 'withdrawn')", name="status_is_known"),
        # One at a time for each who waits.
        Index("uq_waitlist_offers_open", "entry_id", unique=True, postgresql_where=text("status = 'open'")),
        Index("ix_waitlist_offers_freed_time_id", "freed_time_id"),
        Index("ix_waitlist_offers_expires_at", "expires_at", postgresql_where=text("status = 'open'")),
        Index("ix_waitlist_offers_hold_id", "hold_id"),
    )

    id: Mapped[Key]
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("waitlist_entries.id", ondelete="CASCADE"), index=True)
    freed_time_id: Mapped[UUID] = mapped_column(ForeignKey("freed_times.id"))
    hold_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointments.id", ondelete="SET NULL"))
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioners.id"))
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    start: Mapped[Instant]
    expires_at: Mapped[Instant]
    status: Mapped[str] = mapped_column(String(10), server_default="open")
    answered_at: Mapped[Instant | None]
    days_gained: Mapped[int | None]  # by an accepted offer that moved a later visit
    created_at: Mapped[Made]
    entry: Mapped[WaitlistEntry] = relationship(back_populates="offers", lazy="raise_on_sql")
    practitioner: Mapped[Practitioner] = relationship(lazy="raise_on_sql")
    location: Mapped[Location] = relationship(lazy="raise_on_sql")
    freed_time: Mapped[FreedTime] = relationship(back_populates="offers", lazy="raise_on_sql")
    hold: Mapped[Appointment | None] = relationship(lazy="raise_on_sql")

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.entry.service.duration_minutes)
