"""Appointments and holds (FHIR Appointment), and the memory of requests already answered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import cast
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
    text,
)
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


def _never_twice(who: str, when: str, *lane: tuple[str, str]) -> ExcludeConstraint:
    """No two occupying appointments of the same `who` (in the same lane) may overlap in `when`."""
    return ExcludeConstraint(
        (who, "="), (when, "&&"), *lane, name=f"ex_appointments_{who}_{when}", using="gist", where=text(OCCUPIES)
    )


class Appointment(Base):
    """`during` is the visit [start, end); `occupied` adds the buffers and is what practitioner and room lose.

    Everything is in lane 0 but what may share its time: the seats of a group session have lanes 1 to capacity (lane
    0 is the session itself, for nobody), and what staff have put over another visit on purpose has a negative one.
    So one constraint forbids the second booking of a time and the second booking of a seat.
    """

    __tablename__ = "appointments"
    __table_args__ = (
        _never_twice("practitioner_id", "occupied", ("lane", "=")),
        _never_twice("room_id", "occupied", ("lane", "=")),
        _never_twice("device_id", "occupied", ("lane", "=")),
        _never_twice("patient_id", "during"),
        ForeignKeyConstraint(
            ["session_id", "capacity"],
            ["group_sessions.id", "group_sessions.capacity"],
            onupdate="CASCADE",
            name="fk_appointments_session_id_capacity",
        ),
        CheckConstraint("(session_id IS NULL) = (capacity IS NULL)", name="capacity_is_the_sessions"),
        CheckConstraint("lane <= 0 OR session_id IS NOT NULL", name="a_seat_has_a_session"),
        CheckConstraint(f"lane <= capacity OR NOT ({OCCUPIES})", name="seat_is_within_capacity"),
        CheckConstraint("session_id IS NULL OR lane > 0 OR patient_id IS NULL", name="a_session_is_for_nobody"),
        CheckConstraint("lane >= 0 OR override_reason <> ''", name="overbooked_for_a_reason"),
        CheckConstraint("status IN (" + ", ".join(f"'{status}'" for status in Status) + ")", name="status_is_known"),
        CheckConstraint("(status = 'proposed') = (hold_expires_at IS NOT NULL)", name="only_holds_expire"),
        CheckConstraint(
            "status = 'proposed' OR patient_id IS NOT NULL OR (session_id IS NOT NULL AND lane = 0)",
            name="booked_for_somebody",
        ),
        CheckConstraint("(status = 'pending') = (answer_by IS NOT NULL)", name="only_requests_wait_for_an_answer"),
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
        Index("ix_appointments_answer_by", "answer_by", postgresql_where=text("status = 'pending'")),
        Index("ix_appointments_session_id", "session_id", postgresql_where=text("session_id IS NOT NULL")),
        Index("ix_appointments_series_id", "series_id", postgresql_where=text("series_id IS NOT NULL")),
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
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("rooms.id"))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patients.id"))
    status: Mapped[str] = mapped_column(String(20))
    during: Mapped[Range] = mapped_column(TSTZRANGE)
    occupied: Mapped[Range] = mapped_column(TSTZRANGE)
    lane: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    session_id: Mapped[UUID | None]
    capacity: Mapped[int | None] = mapped_column(SmallInteger)  # the session's, so that a seat beyond it cannot be
    series_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointment_series.id"))
    reason: Mapped[str] = mapped_column(String(500), server_default="")
    cancel_reason: Mapped[str] = mapped_column(String(500), server_default="")
    override_reason: Mapped[str] = mapped_column(String(500), server_default="")
    hold_owner_id: Mapped[UUID | None]  # a user, or the visitor's random id before signing in
    hold_expires_at: Mapped[Instant | None]
    answer_by: Mapped[Instant | None]  # when a request that nobody answered is void
    booked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    confirmed_at: Mapped[Instant | None]  # the patient said that they will come
    arrived_at: Mapped[Instant | None]
    started_at: Mapped[Instant | None]  # the practitioner has begun; the state stays `arrived`
    ended_at: Mapped[Instant | None]
    sequence: Mapped[int] = mapped_column(server_default="0")  # RFC 5545: grows when time or state changes
    version: Mapped[int] = mapped_column(server_default="1")  # grows with every change; the ETag
    created_at: Mapped[Made]
    updated_at: Mapped[Made]

    service: Mapped[HealthcareService] = relationship(lazy="raise_on_sql")
    practitioner: Mapped[Practitioner] = relationship(lazy="raise_on_sql")
    location: Mapped[Location] = relationship(lazy="raise_on_sql")
    room: Mapped[Room | None] = relationship(lazy="raise_on_sql", foreign_keys="Appointment.room_id")
    device: Mapped[Room | None] = relationship(lazy="raise_on_sql", foreign_keys="Appointment.device_id")
    patient: Mapped[Patient | None] = relationship(lazy="raise_on_sql")

    @property
    def start(self) -> datetime:
        return cast(datetime, self.during.lower)

    @property
    def end(self) -> datetime:
        return cast(datetime, self.during.upper)

    @property
    def is_overbooked(self) -> bool:
        return self.lane < 0

    @property
    def is_session(self) -> bool:
        return self.session_id is not None and self.lane == 0


class GroupSession(Base):
    """A visit for several at once: a class, a vaccination hour. Its time and its seats are appointments."""

    __tablename__ = "group_sessions"
    __table_args__ = (
        UniqueConstraint("id", "capacity"),
        CheckConstraint("capacity BETWEEN 1 AND 500", name="capacity_is_sane"),
    )

    id: Mapped[Key]
    service_id: Mapped[UUID] = mapped_column(ForeignKey("healthcare_services.id"))
    capacity: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[Made]


class AppointmentSeries(Base):
    """Visits of one patient that were planned together: every n weeks at the same local time."""

    __tablename__ = "appointment_series"
    __table_args__ = (CheckConstraint("every_n_weeks BETWEEN 1 AND 52", name="every_n_weeks_is_within_a_year"),)

    id: Mapped[Key]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.id"), index=True)
    service_id: Mapped[UUID] = mapped_column(ForeignKey("healthcare_services.id"))
    every_n_weeks: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[Made]


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
