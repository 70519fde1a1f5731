"""Moving visits of a series: one, it and the later ones, or all, each within its own week.

Visits of one series may step onto each other's old times (all by one week, say), and the constraints of the database
look at once. So all of them are lifted first, in the same transaction: they take no time until they are put down
again, and nobody else sees that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import update

from server.extensions import db
from server.models import Appointment, Status
from server.services import booking, rules, series
from server.services.access import Actor
from server.services.occurrences import Occurrence, Plan, SeriesConflict, Take, Wish, settle, with_replacements
from server.services.series import Scope
from server.services.transaction import atomic, retried
from server.utils import clock


@retried
def move_series(
    series_id: UUID,
    *,
    scope: Scope,
    appointment_id: UUID,
    start: datetime,
    actor: Actor,
    practitioner_id: UUID | None = None,
    replacements: Mapping[int, datetime] | None = None,
    skip_conflicts: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Move a visit to `start`, and with it the others of the scope to the same local weekday and time in their weeks.

    All or none; with `skip_conflicts` those that cannot be moved stay. A dry run keeps nothing. Numbers are those of
    the visits in the series. Raises SeriesConflict, WrongState, NotVisible, NotAllowed, Invalid.
    """
    with atomic():
        found = series.fetch(series_id, actor=actor, to="reschedule")
        visits = found.within(scope, appointment_id)
        series.demand("reschedule", visits, actor=actor)
        pivot = next((visit for visit in visits if visit.id == appointment_id), None)
        if pivot is None or pivot not in found.to_come:
            raise rules.WrongState("This visit is not to come any more, so it cannot be moved.")
        booking.lock_practitioners(
            *(visit.practitioner_id for visit in visits), practitioner_id or pivot.practitioner_id
        )
        starts = with_replacements(
            {found.number(visit.id): _new_start(visit, pivot, start) for visit in visits}, replacements
        )
        by_number = {found.number(visit.id): visit for visit in visits}
        wishes = [_wish(number, visit, starts[number], practitioner_id) for number, visit in by_number.items()]

        letter = "appointment-moved" if scope == Scope.THIS else None

        def take(wish: Wish, at: datetime) -> Appointment:
            moved = by_number[wish.number]
            rules.check_cutoff(moved, actor=actor, what="moved")
            booking.put(
                moved,
                start=at,
                practitioner_id=wish.practitioner_id,
                location_id=wish.location_id,
                actor=actor,
                status=moved.status,
                answer_by=moved.answer_by,
            )
            booking.record(moved, "rescheduled", actor=actor, letter=letter)
            return moved

        with db.session.begin_nested() as tried:
            occurrences = _settle(
                wishes,
                by_number,
                take,
                actor=actor,
                propose=dry_run or not skip_conflicts,
                skip_conflicts=skip_conflicts,
            )
            moved = [by_number[each.number] for each in occurrences if each.is_free]
            plan = Plan(
                id=series_id,
                patient_id=found.row.patient_id,
                service_id=found.row.service_id,
                every_n_weeks=found.row.every_n_weeks,
                time_zone=pivot.location.time_zone,
                occurrences=occurrences,
            )
            refused = not (plan.is_free or (skip_conflicts and moved))
            if dry_run or refused:
                tried.rollback()
        if refused and not dry_run:
            raise SeriesConflict(plan)
        if dry_run:
            series.record("planned", series_id, patient_id=found.row.patient_id, actor=actor)
        elif scope != Scope.THIS:
            series.tell_of_change(found, moved[0])
        return plan


def _new_start(visit: Appointment, pivot: Appointment, start: datetime) -> datetime:
    """The pivot's new weekday and time, in the visit's own week, or as many weeks from it as the pivot moves."""
    if visit is pivot:
        return start
    new = clock.local(start, pivot.location.time_zone)
    weeks = _monday(new) - _monday(clock.local(pivot.start, pivot.location.time_zone))
    zone = visit.location.time_zone
    day = _monday(clock.local(visit.start, zone)) + weeks + timedelta(days=new.weekday())
    return clock.to_instant(datetime.combine(day, new.time()), zone)


def _monday(local: datetime) -> date:
    return local.date() - timedelta(days=local.weekday())


def _wish(number: int, visit: Appointment, start: datetime, practitioner_id: UUID | None) -> Wish:
    return Wish(
        number=number,
        start=start,
        duration=visit.end - visit.start,
        service_id=visit.service_id,
        practitioner_id=practitioner_id or visit.practitioner_id,
        location_id=visit.location_id,
        time_zone=visit.location.time_zone,
    )


def _settle(
    wishes: Sequence[Wish],
    by_number: Mapping[int, Appointment],
    take: Take,
    *,
    actor: Actor,
    propose: bool,
    skip_conflicts: bool,
) -> list[Occurrence]:
    """Lift all and put each down at its new time. With `skip_conflicts` those that cannot be put down stay where they
    are, which may be in the way of others: so it begins again without them, until the rest can be moved."""
    staying: dict[int, Occurrence] = {}
    while True:
        with db.session.begin_nested() as tried:
            moving = [wish for wish in wishes if wish.number not in staying]
            _lift([by_number[wish.number].id for wish in moving])
            settled = {each.number: each for each in settle(moving, take, actor=actor, propose=propose)}
            refused = {number: each for number, each in settled.items() if not each.is_free}
            is_over = not (skip_conflicts and refused)
            if not is_over:
                tried.rollback()
        if is_over:
            settled |= staying
            return [replace(settled[number], appointment_id=by_number[number].id) for number in sorted(settled)]
        staying |= refused


def _lift(visit_ids: Sequence[UUID]) -> None:
    db.session.execute(
        update(Appointment)
        .where(Appointment.id.in_(visit_ids))
        .values(status=Status.CANCELLED, answer_by=None)
        .execution_options(synchronize_session=False)
    )
