"""When: weekly hours and what interrupts them (FHIR Schedule). Free times are computed, never stored."""

from __future__ import annotations

from datetime import date, time
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import Base
from server.tables.columns import Instant, Key, Made

if TYPE_CHECKING:
    from server.tables.clinic import HealthcareService, Location, Room
    from server.tables.people import Practitioner

schedule_services = Table(
    "schedule_services",
    Base.metadata,
    Column("schedule_id", ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True),
    Column("service_id", ForeignKey("healthcare_services.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Schedule(Base):
    """Hours of a practitioner at a location, for some services: wall time on one weekday (ISO: Monday is 1).

    `every_n_weeks` counts from the week of `valid_from`. Hours past midnight are two rows. With a
    `room_id`, whatever is booked in these hours occupies that room too.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday_is_iso"),
        CheckConstraint("ends_at > starts_at", name="ends_after_it_starts"),
        CheckConstraint("valid_until >= valid_from", name="valid_until_after_from"),
        CheckConstraint("every_n_weeks BETWEEN 1 AND 52", name="every_n_weeks_is_within_a_year"),
        Index("ix_schedules_practitioner_id_weekday", "practitioner_id", "weekday"),
    )

    id: Mapped[Key]
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioners.id"))
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"), index=True)
    room_id: Mapped[UUID | None] = mapped_column(ForeignKey("rooms.id"))
    weekday: Mapped[int] = mapped_column(SmallInteger)
    starts_at: Mapped[time]
    ends_at: Mapped[time]
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]
    every_n_weeks: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[Made]
    practitioner: Mapped[Practitioner] = relationship(back_populates="schedules")
    location: Mapped[Location] = relationship()
    room: Mapped[Room | None] = relationship()
    services: Mapped[list[HealthcareService]] = relationship(secondary=schedule_services)


class Closure(Base):
    """Leave, a holiday, a block, or a stretch of somebody's own calendar elsewhere (`external`).

    Of one practitioner, of one location, or of everybody when both are empty.
    """

    __tablename__ = "closures"
    __table_args__ = (
        CheckConstraint("kind IN ('leave', 'holiday', 'block', 'external')", name="kind_is_known"),
        CheckConstraint("(kind = 'external') = (external_calendar_id IS NOT NULL)", name="external_has_its_calendar"),
        CheckConstraint(
            "NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)",
            name="during_is_bounded",
        ),
        Index("ix_closures_during", "during", postgresql_using="gist"),
        Index("ix_closures_external_calendar_id", "external_calendar_id"),
    )

    id: Mapped[Key]
    practitioner_id: Mapped[UUID | None] = mapped_column(ForeignKey("practitioners.id"))
    location_id: Mapped[UUID | None] = mapped_column(ForeignKey("locations.id"))
    external_calendar_id: Mapped[UUID | None] = mapped_column(ForeignKey("external_calendars.id", ondelete="CASCADE"))
    during: Mapped[Range] = mapped_column(TSTZRANGE)
    kind: Mapped[str] = mapped_column(String(20), server_default="block")
    reason: Mapped[str] = mapped_column(String(200), server_default="")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[Made]
    plan: Mapped[list[ClosurePlanItem]] = relationship(order_by="ClosurePlanItem.id", passive_deletes=True)


class ClosurePlanItem(Base):
    """What is to become of one appointment that a closure is in the way of, and how far that is."""

    __tablename__ = "closure_plan_items"
    __table_args__ = (
        UniqueConstraint("closure_id", "appointment_id"),
        CheckConstraint("action IN ('keep', 'move', 'cancel')", name="action_is_known"),
        CheckConstraint("(action = 'move') = (start IS NOT NULL)", name="only_a_move_has_a_start"),
        CheckConstraint("(action = 'move') = (practitioner_id IS NOT NULL)", name="a_move_names_the_practitioner"),
        CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state_is_known"),
        Index("ix_closure_plan_items_waiting", "closure_id", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[Key]
    closure_id: Mapped[UUID] = mapped_column(ForeignKey("closures.id", ondelete="CASCADE"))
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointments.id", ondelete="CASCADE"), index=True)
    action: Mapped[str] = mapped_column(String(10))
    start: Mapped[Instant | None]
    practitioner_id: Mapped[UUID | None] = mapped_column(ForeignKey("practitioners.id"))
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(String(10), server_default="waiting")
    detail: Mapped[str] = mapped_column(String(300), server_default="")


class ExternalCalendar(Base):
    """A practitioner's own calendar elsewhere, read by its secret address; its busy times are closures here."""

    __tablename__ = "external_calendars"

    id: Mapped[Key]
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioners.id", ondelete="CASCADE"), unique=True)
    url: Mapped[str] = mapped_column(Text)  # a secret: whoever has it reads the calendar
    etag: Mapped[str] = mapped_column(String(200), server_default="")
    attempted_at: Mapped[Instant | None]  # whoever wrote this has the lease
    fetched_at: Mapped[Instant | None]  # the last time that it could be read
    failed_at: Mapped[Instant | None]
    error: Mapped[str] = mapped_column(String(200), server_default="")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[Made]
