"""Appointment series: visits of one patient every n weeks at the same local time, booked and cancelled together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from sqlalchemy import insert, select

from server.errors import Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment, AppointmentSeries, Status
from server.services import access, audit, availability, booking, outbox
from server.services.access import Actor
from server.services.occurrences import Plan, SeriesConflict, Wish, settle, with_replacements
from server.services.rules import OPEN, WrongState
from server.services.transaction import atomic, retried
from server.utils import clock
from server.utils.tokens import new_id


class Scope(StrEnum):
    """Which visits of a series a change is about: one, it and the later ones, or all that are still to come."""

    THIS = "this"
    FOLLOWING = "following"
    ALL = "all"


@dataclass(frozen=True)
class Series:
    """A series and those of its visits that the reader may see, by start; cancelled ones are among them."""

    row: AppointmentSeries
    visits: Sequence[Appointment]

    @property
    def id(self) -> UUID:
        return self.row.id

    @property
    def to_come(self) -> Sequence[Appointment]:
        """What a change of the series can still change."""
        return [visit for visit in self.visits if visit.status in OPEN and visit.start > clock.now()]

    def number(self, appointment_id: UUID) -> int:
        """Which visit of the series it is, from 1."""
        return next(n for n, visit in enumerate(self.visits, start=1) if visit.id == appointment_id)

    def within(self, scope: Scope, appointment_id: UUID | None) -> Sequence[Appointment]:
        """The visits of a scope that can still be changed. Raises Invalid for a visit of no or another series."""
        chosen = next((visit for visit in self.visits if visit.id == appointment_id), None)
        if chosen is None and (appointment_id is not None or scope != Scope.ALL):
            raise Invalid("Say which visit.", errors={"appointment_id": ["This is no visit of the series."]})
        if scope == Scope.ALL or chosen is None:
            return self.to_come
        if scope == Scope.THIS:
            return [chosen]
        return [visit for visit in self.to_come if visit.start >= chosen.start]


@retried
def book_series(
    *,
    service_id: UUID,
    practitioner_id: UUID,
    start: datetime,
    every_n_weeks: int,
    count: int,
    actor: Actor,
    location_id: UUID | None = None,
    patient_id: UUID | None = None,
    reason: str = "",
    replacements: Mapping[int, datetime] | None = None,
    skip_conflicts: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Book `count` visits every n weeks from `start` on, at the same time on the location's clocks, or none of them.

    `replacements`: another start for the visits with these numbers. With `skip_conflicts` those that cannot be had are
    left out. A dry run answers what could be had, proposes something for the others and keeps nothing.
    Raises SeriesConflict, NotVisible, NotAllowed, Invalid.
    """
    with atomic():
        patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        first = availability.facts(service_id, practitioner_id=practitioner_id, start=start, location_id=location_id)
        zone = first.time_zone or "UTC"
        starts = local_starts(start, every_n_weeks=every_n_weeks, count=count, zone=zone)
        wishes = [
            Wish(
                number=number,
                start=at,
                duration=first.during.upper - first.during.lower,
                service_id=service_id,
                practitioner_id=practitioner_id,
                location_id=location_id or first.place_id,
                time_zone=zone,
            )
            for number, at in with_replacements(starts, replacements).items()
        ]
        series_id = new_id()
        with db.session.begin_nested() as tried:
            # Series and moves of one practitioner take turns; single bookings do not wait for this lock.
            booking.lock_practitioners(practitioner_id)
            db.session.execute(
                insert(AppointmentSeries).values(
                    id=series_id, patient_id=patient_id, service_id=service_id, every_n_weeks=every_n_weeks
                )
            )

            def take(wish: Wish, at: datetime) -> Appointment:
                return booking.book_appointment(
                    service_id=wish.service_id,
                    practitioner_id=wish.practitioner_id,
                    location_id=wish.location_id,
                    patient_id=patient_id,
                    start=at,
                    reason=reason,
                    series_id=series_id,
                    letter=False,
                    actor=actor,
                )

            plan = Plan(
                id=series_id,
                patient_id=patient_id,
                service_id=service_id,
                every_n_weeks=every_n_weeks,
                time_zone=zone,
                occurrences=settle(wishes, take, actor=actor, propose=dry_run or not skip_conflicts),
            )
            booked = [each for each in plan.occurrences if each.appointment_id]
            refused = not (plan.is_free or (skip_conflicts and booked))
            if dry_run or refused:
                tried.rollback()
        if dry_run:
            record("planned", None, patient_id=patient_id, actor=actor)
            return _unbooked(plan)
        if refused:
            raise SeriesConflict(_unbooked(plan))
        record("booked", series_id, patient_id=patient_id, actor=actor)
        outbox.post("series-booked", patient_id=patient_id, appointment_id=booked[0].appointment_id)
        return plan


def _unbooked(plan: Plan) -> Plan:
    """The same without the ids of what was undone."""
    occurrences = [replace(each, appointment_id=None) for each in plan.occurrences]
    return replace(plan, id=None, occurrences=occurrences)


def record(what: str, series_id: UUID | None, *, patient_id: UUID, actor: Actor) -> None:
    audit.record(
        f"series.{what}", actor=actor, object_type="AppointmentSeries", object_id=series_id, patient_id=patient_id
    )


def local_starts(start: datetime, *, every_n_weeks: int, count: int, zone: str) -> dict[int, datetime]:
    """{number: start}: the same wall time every n weeks in `zone`; one that the clocks skip moves on by the gap."""
    wall = clock.local(start, zone).replace(tzinfo=None)
    later = {n + 1: clock.to_instant(wall + timedelta(weeks=every_n_weeks * n), zone) for n in range(1, count)}
    return {1: start, **later}


def read_series(series_id: UUID, *, actor: Actor) -> Series:
    """One series with its visits. Raises NotVisible."""
    with atomic():
        series = fetch(series_id, actor=actor)
        record("read", series_id, patient_id=series.row.patient_id, actor=actor)
    return series


def fetch(series_id: UUID, *, actor: Actor, to: str = "read") -> Series:
    """The series; its visits are locked when they will be changed, in the order of their ids. Raises NotVisible."""
    query = (
        access.visible_appointments(actor)
        .where(Appointment.series_id == series_id, Appointment.status != Status.ENTERED_IN_ERROR)
        .options(*access.WITH_NAMES)
        .order_by(Appointment.id)
        .execution_options(populate_existing=True)
    )
    if to != "read":
        query = query.with_for_update(of=Appointment, key_share=True)
    visits = db.session.scalars(query).all()
    row = db.session.get(AppointmentSeries, series_id)
    if row is None or not visits:
        raise NotVisible("There is no such series, or it is not yours to see.")
    return Series(row, sorted(visits, key=lambda visit: visit.start))


def demand(to: str, visits: Sequence[Appointment], *, actor: Actor) -> None:
    """Raises NotAllowed unless the actor may do this to each of the visits, WrongState when there are none."""
    if not all(access.may_do(to, visit, actor=actor) for visit in visits):
        raise NotAllowed(f"You may see this series, but not {to} it.")
    if not visits:
        raise WrongState("No visit of this series is still to come.")


@retried
def cancel_series(
    series_id: UUID, *, scope: Scope, actor: Actor, appointment_id: UUID | None = None, reason: str = ""
) -> Series:
    """Cancel one visit, it and the later ones, or all that are still to come.

    One letter tells of all. For patients the cut-off of the first one stands for all. Raises RulesForbid, WrongState,
    NotVisible, NotAllowed, Invalid.
    """
    with atomic():
        series = fetch(series_id, actor=actor, to="cancel")
        visits = series.within(scope, appointment_id)
        demand("cancel", visits, actor=actor)
        own_letter = None if scope == Scope.THIS else ""
        cancel = partial(booking.cancel_appointment, actor=actor, reason=reason, letter=own_letter)
        for visit in visits:
            cancel(visit.id)
        if scope != Scope.THIS:
            record("cancelled", series_id, patient_id=series.row.patient_id, actor=actor)
            tell_of_change(series, visits[0])
        return fetch(series_id, actor=actor)


def tell_of_change(series: Series, changed: Appointment) -> None:
    """One letter about the series as it is now, in the name of one of the visits that have just changed."""
    sequence = db.session.scalar(select(Appointment.sequence).where(Appointment.id == changed.id)) or 0
    outbox.post("series-changed", patient_id=series.row.patient_id, appointment_id=changed.id, sequence=sequence)
