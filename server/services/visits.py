"""Reading appointments: one, a list, a day, a calendar file. Every read of a patient's data goes on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, tuple_

from server.errors import NotAllowed
from server.extensions import db
from server.models import OCCUPIES, OCCUPYING, Appointment, AuditEvent, Location, Schedule, Status, User
from server.services import access, appearance, audit, occupancy, rules, steps
from server.services.access import Actor
from server.services.opening_hours import OPENING_HOURS
from server.services.transaction import atomic
from server.settings import Settings
from server.utils import clock
from server.utils.ical import appointment_calendar

START = func.lower(Appointment.during)
YEAR = timedelta(days=365)
LONGEST = timedelta(days=1)  # of a visit; a rule of services


def read_visit(appointment_id: UUID, *, actor: Actor) -> Appointment:
    """One appointment with its names. Raises NotVisible."""
    with atomic():
        found = access.appointment(appointment_id, actor=actor, to="read")
        audit.record(
            "appointment.read",
            actor=actor,
            object_type="Appointment",
            object_id=found.id,
            patient_id=found.patient_id,
        )
    return found


def read_with_history(
    appointment_id: UUID, *, actor: Actor
) -> tuple[Appointment, Sequence[Row[datetime, str, str, str]], int]:
    """One appointment, what became of it, and how often its patient did not come in the last year.

    What became of it: rows of (created_at, action, role, name), oldest first.

    For staff. Raises NotVisible, NotAllowed.
    """
    with atomic():
        if not actor.is_staff:
            access.demand("read", actor=actor)
        found = read_visit(appointment_id, actor=actor)
        events = db.session.execute(
            select(AuditEvent.created_at, AuditEvent.action, AuditEvent.role, User.name)
            .outerjoin(User, User.id == AuditEvent.user_id)
            .where(AuditEvent.object_id == appointment_id, AuditEvent.action != "appointment.read")
            .order_by(AuditEvent.created_at, AuditEvent.id)
        ).all()
        missed = steps.no_shows_of(found.patient_id, since=clock.now() - YEAR) if found.patient_id else 0
    return found, events, missed


def possible_steps(found: Appointment, *, actor: Actor) -> frozenset[str]:
    """What the actor may do to this appointment in its state: steps, and confirm, reschedule, cancel."""
    by_state = {name for name, (allowed, _) in steps.STEPS.items() if found.status in allowed}
    if found.started_at is not None:
        by_state.discard("start")
    if found.status in steps.UNDO:
        by_state.add("undo")
    if found.status in (*rules.OPEN, Status.ARRIVED):
        by_state.add("room")
    may_step = access.may_do("step", found, actor=actor) and not found.is_session
    others = {"cancel"} if found.status in rules.OPEN and not found.is_session else set()
    if found.status in rules.OPEN and found.session_id is None:
        others.add("reschedule")
    if found.status == Status.PENDING:
        others |= {"approve", "decline"}
    if found.status == Status.BOOKED and found.confirmed_at is None:
        others.add("confirm")
    return frozenset(by_state if may_step else ()) | {
        action for action in others if access.may_do("approve" if action == "decline" else action, found, actor=actor)
    }


def visit_to_change(appointment_id: UUID, *, action: str, actor: Actor) -> Appointment:
    """One appointment that the actor may change in this way now; what a page asks before it offers a form.

    Raises NotVisible, NotAllowed, WrongState.
    """
    found = read_visit(appointment_id, actor=actor)
    if not access.may_do("approve" if action == "decline" else action, found, actor=actor):
        raise NotAllowed("Your role does not allow this.")
    if action not in possible_steps(found, actor=actor):
        raise rules.WrongState("The state of this visit does not allow it any more.", state=str(found.status))
    return found


def list_visits(
    *,
    actor: Actor,
    limit: int = 50,
    patient_id: UUID | None = None,
    practitioner_id: UUID | None = None,
    status: str | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
    after: dict[str, Any] | None = None,
) -> tuple[Sequence[Appointment], dict[str, str] | None]:
    """Visible appointments by start, and the position to go on from (None when that was all)."""
    query = (
        access.visible_appointments(actor).options(*access.WITH_NAMES).order_by(START, Appointment.id).limit(limit + 1)
    )
    if patient_id:
        query = query.where(Appointment.patient_id == patient_id)
    if practitioner_id:
        query = query.where(Appointment.practitioner_id == practitioner_id)
    if status:
        query = query.where(Appointment.status == status)
    if from_:
        query = query.where(from_ <= START)
    if to:
        query = query.where(to > START)
    if after:
        position = (datetime.fromisoformat(after["start"]), UUID(after["id"]))
        query = query.where(tuple_(START, Appointment.id) > position)
    with atomic():
        found = db.session.scalars(query).all()
        audit.record("appointments.listed", actor=actor, object_type="Appointment", patient_id=patient_id)
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], {"start": last.start.isoformat(), "id": str(last.id)}


def seats_of(session_id: UUID, *, actor: Actor) -> Sequence[Appointment]:
    """The taken seats of a group session that the actor may see, with who comes, by name. For staff."""
    with atomic():
        if not actor.is_staff:
            access.demand("read", actor=actor)
        seats = db.session.scalars(
            access.visible_appointments(actor)
            .where(Appointment.session_id == session_id, Appointment.lane > 0, occupancy.occupies())
            .options(*access.WITH_NAMES)
        ).all()
        audit.record("session.read", actor=actor, object_type="GroupSession", object_id=session_id)
    return sorted(seats, key=lambda seat: seat.patient.name if seat.patient else "")


@dataclass(frozen=True)
class Closed:
    """A closure as one column of the day shows it."""

    start: datetime
    end: datetime
    kind: str
    reason: str


@dataclass(frozen=True)
class DayOf:
    """One practitioner's day at a location: (start, end) pairs and closures in order of time."""

    practitioner_id: UUID
    name: str
    specialty: str
    hours: list[tuple[datetime, datetime]]
    elsewhere: list[tuple[datetime, datetime]]  # occupied at another location
    closures: list[Closed]


# With `elsewhere` a practitioner is never offered where they are not.
_DAY_OF_EACH = text(f"""
    SELECT p.id, p.name, p.specialty,
           coalesce(opening.hours, '{{}}') * tstzmultirange(tstzrange(:from_at, :to_at)) AS hours,
           away.busy, closures.closed
      FROM practitioners p
      LEFT JOIN ({OPENING_HOURS}) AS opening ON opening.practitioner_id = p.id
     CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(a.occupied), '{{}}') AS busy FROM appointments a
         WHERE a.practitioner_id = p.id AND a.location_id <> :location_id
           AND a.occupied && tstzrange(:from_at, :to_at) AND a.{OCCUPIES}
           AND (a.status <> 'proposed' OR a.hold_expires_at > statement_timestamp())) AS away
     CROSS JOIN LATERAL (
        SELECT json_agg(json_build_array(lower(c.during), upper(c.during), c.kind, c.reason)
                        ORDER BY c.during) AS closed
          FROM closures c
         WHERE c.during && tstzrange(:from_at, :to_at)
           AND (c.practitioner_id IS NULL OR c.practitioner_id = p.id)
           AND (c.location_id IS NULL OR c.location_id = :location_id)) AS closures
     WHERE (:sees_all OR p.id = CAST(:practitioner_id AS uuid))
       AND (p.is_active AND EXISTS (
                SELECT FROM schedules s WHERE s.practitioner_id = p.id AND s.location_id = :location_id)
            OR p.id = ANY(:with_visits))
     ORDER BY p.name, p.id
""")  # noqa: S608 - joins its own constants; every value is a bound parameter


def locations_of(actor: Actor) -> Sequence[Location]:
    """Active locations by name; those where the actor has hours of their own come first."""
    query = select(Location).where(Location.is_active).order_by(Location.name)
    if actor.practitioner_id:
        own = select(Schedule.location_id).where(Schedule.practitioner_id == actor.practitioner_id)
        query = query.order_by(None).order_by(Location.id.in_(own).desc(), Location.name)
    return db.session.scalars(query).all()


def day_at_location(
    location_id: UUID, *, from_at: datetime, to_at: datetime, actor: Actor
) -> tuple[Sequence[Appointment], list[DayOf]]:
    """What the day board shows of [from_at, to_at): appointments and holds, and each practitioner's day.

    Practitioners are those with hours there on any day or a visit on this one. For staff; practitioners see
    their own column only. Two statements: the audit event goes with the first.
    """
    sees_all = actor.may("read")
    query = (
        select(Appointment)
        .options(*access.WITH_NAMES)
        .where(
            Appointment.location_id == location_id,
            from_at - LONGEST <= START,  # a visit may have begun on the day before
            func.upper(Appointment.during) > from_at,
            to_at > START,
            Appointment.status.in_((*OCCUPYING, Status.NOSHOW)),
            (Appointment.status != Status.PROPOSED) | (Appointment.hold_expires_at > func.statement_timestamp()),
        )
        .order_by(START, Appointment.id)
    )
    if not sees_all:
        query = query.where(Appointment.practitioner_id == actor.practitioner_id)
    with atomic():
        if not actor.is_staff:
            access.demand("read", actor=actor)
        event = audit.values("day.read", actor=actor, object_type="Location", object_id=location_id)
        appointments = db.session.scalars(query.add_cte(insert(AuditEvent).values(event).cte("audited"))).all()
        rows = db.session.execute(
            _DAY_OF_EACH,
            {
                "location_id": location_id,
                "from_at": from_at,
                "to_at": to_at,
                "sees_all": sees_all,
                "practitioner_id": None if sees_all else actor.practitioner_id,
                "with_visits": list({found.practitioner_id for found in appointments}),
            },
        ).all()
    return appointments, [_day_of(row) for row in rows]


def _day_of(row: Row[Any]) -> DayOf:
    closures = [
        Closed(datetime.fromisoformat(start), datetime.fromisoformat(end), kind, reason)
        for start, end, kind, reason in row.closed or ()
    ]
    hours, elsewhere = ([(span.lower, span.upper) for span in spans] for spans in (row.hours, row.busy))
    return DayOf(row.id, row.name, row.specialty, hours, elsewhere, closures)


def calendar(appointment_id: UUID, *, settings: Settings, actor: Actor) -> str:
    """RFC 5545 text of one visit, to add to a calendar."""
    found = read_visit(appointment_id, actor=actor)
    return appointment_calendar(
        appointment_id=found.id,
        start=found.start,
        end=found.end,
        time_zone=found.location.time_zone,
        sequence=found.sequence,
        changed_at=found.updated_at,
        summary=f"Visit at {appearance.read(settings).name}",
        place=f"{found.location.name}, {found.location.address}".strip(", "),
        organizer=settings.mail_sender,
        attendee=None,
        cancelled=found.status == Status.CANCELLED,
        method="PUBLISH",
    )
