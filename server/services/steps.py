"""The front desk's steps through the day, the answers to requests, and what happens when nobody does anything."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.models import Appointment, AuditEvent, HealthcareService, Status
from server.services import access, freed, occupancy, rules, sessions, wishes
from server.services.access import SYSTEM, Actor
from server.services.booking import change, record, reload
from server.services.occupancy import SlotTaken
from server.services.transaction import atomic, database_now, retried

# step -> (states it may start from, state it leads to). Undo takes the last one back.
STEPS: dict[str, tuple[frozenset[str], str]] = {
    "arrive": (frozenset({Status.BOOKED}), Status.ARRIVED),
    "start": (frozenset({Status.ARRIVED}), Status.ARRIVED),
    "complete": (frozenset({Status.ARRIVED}), Status.FULFILLED),
    "no-show": (frozenset({Status.BOOKED}), Status.NOSHOW),
}
STAMPS = {"arrive": "arrived_at", "start": "started_at", "complete": "ended_at"}
UNDO = {Status.ARRIVED: Status.BOOKED, Status.FULFILLED: Status.ARRIVED, Status.NOSHOW: Status.BOOKED}


@retried
def take_step(appointment_id: UUID, *, step: str, actor: Actor, if_version: int | None = None) -> Appointment:
    """One of the front desk's steps: arrive, start, complete, no-show, undo. Raises WrongState, SlotTaken."""
    with atomic():
        stepped = access.appointment(appointment_id, actor=actor, to="step")
        rules.demand_version(stepped, if_version)
        allowed = frozenset[str](UNDO) if step == "undo" else STEPS[step][0]
        if stepped.is_session or (step == "start" and stepped.started_at is not None):
            allowed = frozenset()
        rules.demand_state(stepped, allowed, step)
        if stepped.session_id is not None and stepped.status == Status.NOSHOW:
            sessions.demand_seat(stepped)
        values = _undone(stepped) if step == "undo" else _done(stepped, step)
        values |= {"version": Appointment.version + 1, "updated_at": func.clock_timestamp()}
        taken = update(Appointment).where(Appointment.id == stepped.id).values(**values)
        if not occupancy.fits(taken):  # a step taken back, whose time somebody else has by now, or has held
            occupancy.free_expired_holds_near(stepped, stepped.patient_id)
            if not occupancy.fits(taken):
                raise SlotTaken("Somebody else has this time by now.", alternatives=[])
        record(stepped, step, actor=actor)
        return reload(stepped)


def _done(stepped: Appointment, step: str) -> dict[str, object]:
    values: dict[str, object] = {"status": STEPS[step][1]}
    if step in STAMPS:
        values[STAMPS[step]] = func.clock_timestamp()
    now = database_now()
    if step == "complete" and stepped.service.frees_rest and stepped.lane == 0 and stepped.start < now < stepped.end:
        # Ended early: the rest of the time, and the buffer after it, is somebody else's.
        values["during"] = Range(stepped.start, now, bounds="[)")
        values["occupied"] = Range(stepped.occupied.lower, now, bounds="[)")
        freed.record(
            stepped.practitioner_id,
            location_id=stepped.location_id,
            during=Range(now, stepped.occupied.upper, bounds="[)"),
            cause="released",
        )
    return values


def _undone(stepped: Appointment) -> dict[str, object]:
    if stepped.status == Status.ARRIVED and stepped.started_at is not None:
        return {"started_at": None}
    values: dict[str, object] = {"status": UNDO[Status(stepped.status)]}
    if stepped.status == Status.ARRIVED:
        values["arrived_at"] = None
    if stepped.status == Status.FULFILLED:
        values["ended_at"] = None
        service: HealthcareService = stepped.service
        end = stepped.start + timedelta(minutes=service.duration_minutes)
        if stepped.lane == 0 and end > stepped.end:
            values["during"] = Range(stepped.start, end, bounds="[)")
            until = end + timedelta(minutes=service.buffer_after_minutes)
            values["occupied"] = Range(stepped.occupied.lower, until, bounds="[)")
    return values


@retried
def approve_request(appointment_id: UUID, *, actor: Actor, if_version: int | None = None) -> Appointment:
    """A request becomes a booking; its time was kept. Raises WrongState when it was answered or is void."""
    with atomic():
        asked = _request(appointment_id, actor=actor, if_version=if_version)
        change(asked, status=Status.BOOKED, answer_by=None, sequence=Appointment.sequence + 1)
        record(asked, "approved", actor=actor, letter="appointment-approved")
        return reload(asked)


@retried
def decline_request(
    appointment_id: UUID, *, actor: Actor, reason: str = "", if_version: int | None = None
) -> Appointment:
    """A request is turned down and its time is free. Raises WrongState when it was answered or is void."""
    with atomic():
        asked = _request(appointment_id, actor=actor, if_version=if_version)
        _turn_down(asked, reason=reason, actor=actor, what="declined")
        return reload(asked)


def _request(appointment_id: UUID, *, actor: Actor, if_version: int | None) -> Appointment:
    asked = access.appointment(appointment_id, actor=actor, to="approve")
    rules.demand_version(asked, if_version)
    rules.demand_state(asked, (Status.PENDING,), "answer")
    if asked.answer_by is not None and asked.answer_by <= database_now():
        raise rules.WrongState("Nobody answered this request in time; it is void.", state=str(asked.status))
    return asked


def _turn_down(asked: Appointment, *, reason: str, actor: Actor, what: str) -> None:
    change(asked, status=Status.CANCELLED, answer_by=None, cancel_reason=reason, sequence=Appointment.sequence + 1)
    wishes.after_cancel(asked, by_clinic=True)
    freed.by_appointment(asked, cause="cancelled")
    record(asked, what, actor=actor, letter=f"appointment-{what}")


def expire_requests() -> int:
    """Requests that nobody answered in time are void, and those who asked are told; returns how many."""
    due = (Appointment.status == Status.PENDING) & (Appointment.answer_by <= text("clock_timestamp()"))
    return _each(
        select(Appointment.id).where(due),
        lambda asked: _turn_down(asked, reason="Nobody answered in time.", actor=SYSTEM, what="expired"),
        states=(Status.PENDING,),
    )


def mark_no_shows() -> int:
    """Booked visits whose service says after how many minutes somebody did not come; returns how many.

    Anybody at the desk can undo it, and then it stays undone: what was a no-show once is not marked again.
    """
    was_marked = select(AuditEvent.id).where(
        AuditEvent.object_id == Appointment.id,
        AuditEvent.action == "appointment.no-show",
        AuditEvent.created_at >= func.lower(Appointment.during),  # of this time, not of one it was moved from
    )
    late = func.lower(Appointment.during) + func.make_interval(0, 0, 0, 0, 0, HealthcareService.no_show_after_minutes)
    query = (
        select(Appointment.id)
        .join(HealthcareService, HealthcareService.id == Appointment.service_id)
        .where(
            Appointment.status == Status.BOOKED,
            Appointment.patient_id.is_not(None),
            HealthcareService.no_show_after_minutes.is_not(None),
            late <= func.statement_timestamp(),
            ~was_marked.exists(),
            func.upper(Appointment.during) > func.statement_timestamp() - timedelta(days=1),
        )
    )

    def mark(missed: Appointment) -> None:
        change(missed, status=Status.NOSHOW)
        record(missed, "no-show", actor=SYSTEM)

    return _each(query, mark, states=(Status.BOOKED,))


def _each(query: object, act: Callable[[Appointment], None], *, states: Iterable[str]) -> int:
    """Lock and treat one appointment at a time; somebody may have been quicker."""
    count = 0
    for appointment_id in db.session.scalars(query).all():  # type: ignore[call-overload]
        with atomic():
            found = db.session.scalars(
                select(Appointment)
                .where(Appointment.id == appointment_id, Appointment.status.in_(tuple(states)))
                .with_for_update(skip_locked=True, key_share=True)
                .execution_options(populate_existing=True)
            ).one_or_none()
            if found is not None:
                act(found)
                count += 1
    return count


def no_shows_of(patient_id: UUID, *, since: datetime) -> int:
    """How often a patient did not come; it informs the desk and decides nothing."""
    return (
        db.session.scalar(
            select(func.count()).where(
                Appointment.patient_id == patient_id,
                Appointment.status == Status.NOSHOW,
                func.lower(Appointment.during) >= since,
            )
        )
        or 0
    )
