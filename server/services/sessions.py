"""Group sessions: one time of a practitioner with several seats.

The session itself is an appointment in lane 0, for nobody; each seat is one in a lane of its own, 1 to capacity. The
constraint that forbids a second booking of a time so forbids a second booking of a seat, and a seat beyond the
capacity cannot be written: nobody counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import aliased

from server.errors import Conflict, Invalid, NotVisible
from server.extensions import db
from server.models import Appointment, GroupSession, Status
from server.services import access, availability, booking, freed, occupancy, rules, wishes
from server.services.access import SYSTEM, Actor
from server.services.availability import Found
from server.services.transaction import atomic, retried
from server.utils.tokens import new_id


class SessionFull(Conflict):
    """Every seat is taken; `alternatives` are later sessions with free seats."""

    slug, title = "session-full", "Every place is taken"


@dataclass(frozen=True)
class Session:
    """A group session as its readers see it: the appointment that is its time, and how many seats are left."""

    appointment: Appointment
    capacity: int
    free_seats: int

    @property
    def id(self) -> UUID:
        return cast(UUID, self.appointment.session_id)

    def as_json(self) -> dict[str, Any]:
        """The contract's shape."""
        return {
            "id": str(self.id),
            "service_id": str(self.appointment.service_id),
            "practitioner_id": str(self.appointment.practitioner_id),
            "location_id": str(self.appointment.location_id),
            "start": availability.as_instant(self.appointment.start),
            "end": availability.as_instant(self.appointment.end),
            "status": str(self.appointment.status),
            "capacity": self.capacity,
            "free_seats": self.free_seats,
        }


@retried
def create_session(
    *,
    service_id: UUID,
    practitioner_id: UUID,
    start: datetime,
    actor: Actor,
    capacity: int | None = None,
    location_id: UUID | None = None,
    override_reason: str = "",
) -> Session:
    """A session at this time, by default with as many seats as the service says. Staff only.

    Raises SlotTaken, RulesForbid, Invalid for a service that is not for groups.
    """
    with atomic():
        access.demand("book", actor=actor)
        found = availability.facts(service_id, practitioner_id=practitioner_id, start=start, location_id=location_id)
        if found.capacity < 2:
            raise Invalid("This service is for one patient at a time.", errors={"service_id": ["Not for groups."]})
        rules.check(found, start=start, actor=actor, override=bool(override_reason), is_session=True)
        session_id, seats = new_id(), capacity or found.capacity
        db.session.execute(insert(GroupSession).values(id=session_id, service_id=service_id, capacity=seats))
        row = occupancy.insert_in_any_room(
            found,
            facts=lambda: availability.facts(
                service_id, practitioner_id=practitioner_id, start=start, location_id=location_id
            ),
            status=Status.BOOKED,
            patient_id=None,
            session_id=session_id,
            capacity=seats,
            override_reason=override_reason,
            actor=actor,
            action="session.created",
        )
        if row is None:
            occupancy.refuse(found, start=start, patient_id=None, actor=actor)
        freed.by_appointment(cast(Appointment, row), cause="opened")
        return Session(cast(Appointment, row), seats, seats)


def list_sessions(
    *,
    from_at: datetime,
    to_at: datetime,
    service_id: UUID | None = None,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    only_free: bool = False,
    limit: int = 200,
) -> Sequence[Session]:
    """Sessions that start in [from_at, to_at), by start. Public: how many seats are free, never who comes."""
    start = func.lower(Appointment.during)
    query = (
        select(Appointment, _taken().label("taken"))
        .where(_IS_SESSION, Appointment.status == Status.BOOKED, start >= from_at, start < to_at)
        .order_by(start, Appointment.id)
        .limit(limit)
    )
    for column, value in (
        (Appointment.service_id, service_id),
        (Appointment.practitioner_id, practitioner_id),
        (Appointment.location_id, location_id),
    ):
        if value is not None:
            query = query.where(column == value)
    listed = [_session(row) for row in db.session.execute(query)]
    return [each for each in listed if each.free_seats] if only_free else listed


def read_session(session_id: UUID) -> Session:
    """One session. Raises NotVisible."""
    query = select(Appointment, _taken().label("taken")).where(_IS_SESSION, Appointment.session_id == session_id)
    row = db.session.execute(query, execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        raise NotVisible("There is no such group session.")
    return _session(row)


@retried
def book_seat(
    session_id: UUID,
    *,
    actor: Actor,
    patient_id: UUID | None = None,
    reason: str = "",
    override_reason: str = "",
) -> Appointment:
    """A seat for a patient (by default the actor). Raises SessionFull, PatientBusy, RulesForbid, NotVisible."""
    with atomic():
        patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        if override_reason:
            access.demand("override", actor=actor)
        time = _kept(session_id)
        if time is None:
            raise NotVisible("There is no such group session.")
        if time.status != Status.BOOKED:
            raise rules.WrongState("This group session is cancelled.", state=str(time.status))
        found = _facts(time)
        rules.check_seat(found, start=time.start, actor=actor, patient_id=patient_id, override=bool(override_reason))
        seat = _take_seat(
            time,
            status=Status.BOOKED,
            patient_id=patient_id,
            reason=reason,
            override_reason=override_reason,
            actor=actor,
            action="appointment.booked",
            letter="appointment-booked",
        )
        if seat is not None:
            return seat
        if occupancy.patient_is_busy(patient_id, time.during):
            raise booking.PatientBusy("This patient already has a visit at that time.")
        raise SessionFull("Every place in this group is taken.", alternatives=_others(time))


# The lowest seat that nobody has, as this transaction sees it.
_FREE_SEAT = text("""
    SELECT n FROM generate_series(1, :capacity) AS n
     WHERE NOT EXISTS (SELECT FROM appointments a WHERE a.session_id = :session_id AND a.lane = n
                          AND a.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')
                          AND (a.status <> 'proposed' OR a.hold_expires_at > clock_timestamp()))
     ORDER BY random() LIMIT 1
""")


def hold_seat(session_id: UUID, *, patient_id: UUID, owner_id: UUID, minutes: int, ignore_id: UUID | None) -> Any:
    """Keep a seat for a patient who is offered it; None when none is left or they could not book it themselves.

    `ignore_id`: the visit that it would replace.
    """
    time = _kept(session_id, skip_locked=True)
    if time is None or time.status != Status.BOOKED:  # its seats are changed at this moment
        return None
    found = _facts(time)
    try:
        rules.check_seat(
            found, start=time.start, actor=access.visitor(), patient_id=patient_id, override=False, ignore_id=ignore_id
        )
    except rules.RulesForbid:
        return None
    return _take_seat(
        time,
        status=Status.PROPOSED,
        patient_id=None,
        hold_owner_id=owner_id,
        hold_minutes=minutes,
        actor=SYSTEM,
        action="hold.made",
    )


def demand_seat(seat: Appointment) -> None:
    """A seat that was given up may be taken again: its session takes place and has that many. Raises SlotTaken."""
    time = _kept(cast(UUID, seat.session_id))
    if time is None or time.status != Status.BOOKED or seat.lane > cast(int, time.capacity):
        raise booking.SlotTaken("This place in the group is gone.", alternatives=[])


def _facts(time: Appointment) -> Found:
    return availability.facts(
        time.service_id,
        practitioner_id=time.practitioner_id,
        start=time.start,
        location_id=time.location_id,
        ignore_id=time.id,
    )


def _take_seat(time: Appointment, *, patient_id: UUID | None, **booking: Any) -> Appointment | None:
    """One INSERT into a seat that looks free; when somebody was quicker, into the next, until none is left."""
    capacity = cast(int, time.capacity)
    found = cast("Found", SimpleNamespace(**_columns_of(time)))
    for _ in range(capacity):
        lane = db.session.scalar(_FREE_SEAT, {"capacity": capacity, "session_id": time.session_id})
        if lane is None:
            return None
        booked = occupancy.insert_if_free(
            found,
            patient_id=patient_id,
            lane=lane,
            session_id=time.session_id,
            capacity=capacity,
            **booking,
        )
        if booked is not None or (patient_id is not None and occupancy.patient_is_busy(patient_id, time.during)):
            return booked
    return None


def _columns_of(time: Appointment) -> dict[str, Any]:
    return {
        "id": time.service_id,
        "practitioner_id": time.practitioner_id,
        "place_id": time.location_id,
        "room_id": time.room_id,
        "device_id": time.device_id,
        "during": time.during,
        "occupied": time.occupied,
        "approval_minutes": None,
    }


@retried
def change_capacity(session_id: UUID, *, capacity: int, actor: Actor) -> Session:
    """More or fewer seats; taken ones move down when they must. Raises Conflict when more are taken than that."""
    with atomic():
        access.demand("book", actor=actor)
        time = _locked(session_id)
        occupancy.free_expired_holds_near(cast("Found", time), None)  # nobody counts them, but they have their seats
        seats = _seats_of(session_id)
        if len(seats) > capacity:
            raise Conflict(f"{len(seats)} {'place is' if len(seats) == 1 else 'places are'} taken already.")
        free = iter(sorted(set(range(1, capacity + 1)) - {seat.lane for seat in seats}))
        for seat in seats:
            if seat.lane > capacity:
                booking.change(seat, lane=next(free))
        db.session.execute(update(GroupSession).where(GroupSession.id == session_id).values(capacity=capacity))
        booking.record(time, "capacity-changed", actor=actor)
        if len(seats) < capacity:
            freed.by_appointment(time, cause="opened")
        return read_session(session_id)


@retried
def cancel_session(
    session_id: UUID, *, actor: Actor, reason: str = "", letter: str = "appointment-cancelled-by-clinic"
) -> Session:
    """Cancel the session and every seat in it; everybody who had one is told. Raises WrongState, NotVisible."""
    with atomic():
        access.demand("cancel", actor=actor)
        time = _locked(session_id)
        rules.demand_state(time, (Status.BOOKED,), "cancel")
        wishes.take_back_seats(session_id)
        for each in [*_seats_of(session_id), time]:
            booking.change(each, status=Status.CANCELLED, cancel_reason=reason, sequence=Appointment.sequence + 1)
            wishes.after_cancel(each, by_clinic=True)
            booking.record(each, "cancelled", actor=actor, letter=letter)
        freed.by_appointment(time, cause="cancelled")
        return read_session(session_id)


_IS_SESSION = (Appointment.session_id.is_not(None)) & (Appointment.lane == 0)


def _taken() -> Any:
    seat = aliased(Appointment)
    return (
        select(func.count())
        .where(seat.session_id == Appointment.session_id, seat.lane > 0, occupancy.occupies(seat))
        .scalar_subquery()
    )


def _session(row: Any) -> Session:
    capacity = row.Appointment.capacity
    return Session(row.Appointment, capacity, capacity - row.taken)


def _locked(session_id: UUID) -> Appointment:
    found = db.session.scalars(
        select(Appointment)
        .where(_IS_SESSION, Appointment.session_id == session_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise NotVisible("There is no such group session.")
    return found


def _kept(session_id: UUID, *, skip_locked: bool = False) -> Appointment | None:
    """The time of a session, neither cancelled nor given fewer seats before this transaction ends; others may book."""
    return db.session.scalars(
        select(Appointment)
        .where(_IS_SESSION, Appointment.session_id == session_id)
        .with_for_update(read=True, skip_locked=skip_locked)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _seats_of(session_id: UUID) -> Sequence[Appointment]:
    return db.session.scalars(
        select(Appointment)
        .where(Appointment.session_id == session_id, Appointment.lane > 0, occupancy.occupies())
        .order_by(Appointment.lane)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()


def _others(time: Appointment) -> list[Session]:
    later = list_sessions(
        from_at=time.start, to_at=time.start + timedelta(days=180), service_id=time.service_id,
        only_free=True, limit=50,
    )  # fmt: skip
    return [each for each in later if each.id != time.session_id][: occupancy.ALTERNATIVES]
