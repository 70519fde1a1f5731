"""Appointments and holds (FHIR Appointment), and the memory of requests already answered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import cast
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, func, text
from sqlalchemy.dialects.postgresql import JSONB, TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import Base
from server.tables.clinic import HealthcareService, Location, Room
from server.tables.columns import Instant, Key, Made
from server.tables.people import Patient, Practitioner


class Status(StrEnum):
    """FHIR's appointment states; `proposed` is a hold that expires."""

    PROPOSED = "proposed"
    PENDING = "pending"
    BOOKED = "booked"
    ARRIVED = "arrived"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    NOSHOW = "noshow"
    ENTERED_IN_ERROR = "entered-in-error"


OCCUPYING = (Status.PROPOSED, Status.PENDING, Status.BOOKED, Status.ARRIVED, Status.FULFILLED)
# The very words of the constraints below: a query that repeats them can use their indexes.
OCCUPIES = "status IN (" + ", ".join(f"'{status}'" for status in OCCUPYING) + ")"


def _never_twice(who: str, when: str) -> ExcludeConstraint:
    """No two occupying appointments of the same `who` may overlap in `when`."""
    return ExcludeConstraint(
        (who, "="), (when, "&&"), name=f"ex_appointments_{who}_{when}", using="gist", where=text(OCCUPIES)
    )


class Appointment(Base):
    """`during` is the visit [start, end); `occupied` adds the buffers and is what practitioner and room lose."""

    __tablename__ = "appointments"
    __table_args__ = (
        _never_twice("practitioner_id", "occupied"),
        _never_twice("room_id", "occupied"),
        _never_twice("patient_id", "during"),
        CheckConstraint("status IN (" + ", ".join(f"'{status}'" for status in Status) + ")", name="status_is_known"),
        CheckConstraint("(status = 'proposed') = (hold_expires_at IS NOT NULL)", name="only_holds_expire"),
        CheckConstraint("status = 'proposed' OR patient_id IS NOT NULL", name="booked_for_somebody"),
        CheckConstraint("status <> 'proposed' OR hold_owner_id IS NOT NULL", name="held_by_somebody"),
        CheckConstraint(
            "NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)",
            name="during_is_bounded",
        ),
        CheckConstraint("lower_inc(during) AND NOT upper_inc(during)", name="during_is_half_open"),
        CheckConstraint("occupied @> during", name="occupied_covers_during"),
        Index("ix_appointments_location_id_start", "location_id", text("lower(during)")),
        Index("ix_appointments_practitioner_id_start", "practitioner_id", text("lower(during)")),
        Index("ix_appointments_patient_id_start", "patient_id", text("lower(during)")),
        Index("ix_appointments_service_id", "service_id"),
        # Whoever is taken at a time, whoever it is: the search for the first free time of anybody.
        Index("ix_appointments_occupied", "occupied", postgresql_using="gist", postgresql_where=text(OCCUPIES)),
        Index("ix_appointments_hold_expires_at", "hold_expires_at", postgresql_where=text("status = 'proposed'")),
        Index("ix_appointments_hold_owner_id", "hold_owner_id", postgresql_where=text("status = 'proposed'")),
    )

    id: Mapped[Key]
    service_id: Mapped[UUID] = mapped_column(ForeignKey("healthcare_services.id"))
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioners.id"))
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    room_id: Mapped[UUID | None] = mapped_column(ForeignKey("rooms.id"))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patients.id"))
    status: Mapped[str] = mapped_column(String(20))
    during: Mapped[Range] = mapped_column(TSTZRANGE)
    occupied: Mapped[Range] = mapped_column(TSTZRANGE)
    reason: Mapped[str] = mapped_column(String(500), server_default="")
    cancel_reason: Mapped[str] = mapped_column(String(500), server_default="")
    override_reason: Mapped[str] = mapped_column(String(500), server_default="")
    hold_owner_id: Mapped[UUID | None]  # a user, or the visitor's random id before signing in
    hold_expires_at: Mapped[Instant | None]
    booked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    confirmed_at: Mapped[Instant | None]  # the patient said that they will come
    sequence: Mapped[int] = mapped_column(server_default="0")  # RFC 5545: grows when time or state changes
    version: Mapped[int] = mapped_column(server_default="1")  # grows with every change; the ETag
    created_at: Mapped[Made]
    updated_at: Mapped[Made]

    service: Mapped[HealthcareService] = relationship(lazy="raise_on_sql")
    practitioner: Mapped[Practitioner] = relationship(lazy="raise_on_sql")
    location: Mapped[Location] = relationship(lazy="raise_on_sql")
    room: Mapped[Room | None] = relationship(lazy="raise_on_sql")
    patient: Mapped[Patient | None] = relationship(lazy="raise_on_sql")

    @property
    def start(self) -> datetime:
        return cast(datetime, self.during.lower)

    @property
    def end(self) -> datetime:
        return cast(datetime, self.during.upper)


class IdempotencyKey(Base):
    """What a request with this key was answered, so that a repeated one gets the same bytes."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary(32))  # of method, path and body
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Instant] = mapped_column(server_default=func.now(), index=True)
