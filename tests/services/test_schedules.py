"""Hours change; nobody is stranded without the desk hearing of it."""

from datetime import date, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from server.errors import Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import Appointment, AuditEvent, FreedTime, Schedule, WaitlistEntry
from server.services import availability, booking, schedules, stranded
from server.utils import clock
from tests.cast import ZONE, Cast


def hours(cast: Cast, **over: Any) -> dict[str, Any]:
    """Dr Cho on Saturday mornings from today on."""
    return {
        "practitioner_id": cast.dr_cho.practitioner_id,
        "location_id": cast.location_id,
        "weekday": 6,
        "starts_at": time(9),
        "ends_at": time(12),
        "valid_from": clock.today(ZONE),
        "service_ids": [cast.checkup_id],
        "actor": cast.dana.actor,
        **over,
    }


def on_tuesdays(cast: Cast) -> UUID:
    query = select(Schedule.id).where(Schedule.practitioner_id == cast.dr_cho.practitioner_id, Schedule.weekday == 2)
    return db.session.scalars(query).one()


def booked(cast: Cast, hour: int = 16, **over: Any) -> Appointment:
    values = {
        "service_id": cast.checkup_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "start": cast.at(hour),
        "actor": cast.ana.actor,
        **over,
    }
    return booking.book_appointment(**values)


def starts(cast: Cast, day: date) -> list[int]:
    lower, upper = clock.day_bounds(day, ZONE)
    free = availability.search(
        cast.checkup_id, from_at=lower, to_at=upper, practitioner_id=cast.dr_cho.practitioner_id, as_staff=True
    )
    return [clock.local(each.start, ZONE).hour for each in free]


def test_dana_opens_saturdays_and_the_times_are_there(cast: Cast) -> None:
    assert starts(cast, cast.day(weekday=6)) == []
    made = schedules.create_schedule(**hours(cast))
    assert starts(cast, cast.day(weekday=6)) == [9, 9, 10, 10, 11, 11]
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.object_id == made.id)).one()
    assert (event.action, event.user_id) == ("schedule.added", cast.dana.user_id)


def test_every_second_week(cast: Cast) -> None:
    first = cast.day(weekday=6)
    schedules.create_schedule(**hours(cast, valid_from=first, every_n_weeks=2))
    assert [bool(starts(cast, first + timedelta(weeks=n))) for n in range(3)] == [True, False, True]


def test_an_extra_opening_is_one_day(cast: Cast) -> None:
    on = cast.day(weekday=7)
    schedules.create_schedule(**hours(cast, weekday=7, valid_from=on, valid_until=on))
    assert starts(cast, on)
    assert not starts(cast, on + timedelta(weeks=1))


@pytest.mark.usefixtures("cast")
def test_whoever_waits_hears_of_new_hours_of_the_next_sixty_days(cast: Cast) -> None:
    db.session.add(WaitlistEntry(patient_id=cast.bea.patient_id, service_id=cast.checkup_id, status="waiting"))
    db.session.commit()
    schedules.create_schedule(**hours(cast))
    freed = db.session.scalars(select(FreedTime).order_by(FreedTime.during)).all()
    assert 8 <= len(freed) <= 9
    assert {each.cause for each in freed} == {"opened"}
    lower = clock.local(freed[-1].during.lower, ZONE)
    assert (lower.isoweekday(), lower.hour) == (6, 9)


def test_shorter_hours_answer_who_is_outside_and_they_stay_on_the_list(cast: Cast) -> None:
    late, early = booked(cast), booked(cast, 9, actor=cast.bea.actor)
    changed = schedules.change_schedule(on_tuesdays(cast), {"ends_at": time(12)}, if_version=1, actor=cast.dana.actor)
    assert [each.id for each in changed.outside_hours] == [late.id]
    [found], _ = stranded.list_stranded(actor=cast.dana.actor)
    assert (found.appointment.id, found.cause, found.closure_id) == (late.id, "hours", None)
    booking.reschedule_appointment(late.id, start=cast.at(11), actor=cast.dana.actor)
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []
    removed = schedules.delete_schedule(on_tuesdays(cast), actor=cast.dana.actor)
    assert [each.id for each in removed.outside_hours] == [early.id, late.id]
    assert removed.schedule.ends_at == time(12)


def test_a_service_that_is_taken_out_strands_its_visits(cast: Cast) -> None:
    visit = booked(cast)
    changed = schedules.change_schedule(
        on_tuesdays(cast), {"service_ids": [cast.physio_id]}, if_version=None, actor=cast.dana.actor
    )
    assert [each.id for each in changed.outside_hours] == [visit.id]


def test_who_was_outside_already_is_not_told_twice(cast: Cast) -> None:
    booked(cast, 18, actor=cast.dana.actor, patient_id=cast.ana.patient_id, override_reason="She works until six.")
    changed = schedules.change_schedule(on_tuesdays(cast), {"ends_at": time(12)}, if_version=1, actor=cast.dana.actor)
    assert changed.outside_hours == []
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []


def test_two_people_change_the_same_hours(cast: Cast) -> None:
    schedules.change_schedule(on_tuesdays(cast), {"ends_at": time(16)}, if_version=1, actor=cast.dana.actor)
    with pytest.raises(Stale):
        schedules.change_schedule(on_tuesdays(cast), {"ends_at": time(15)}, if_version=1, actor=cast.olga.actor)


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"ends_at": time(9)}, "ends_at"),
        ({"valid_until": date(2020, 1, 1)}, "valid_until"),
        ({"service_ids": [UUID(int=1)]}, "service_ids"),
        ({"location_id": UUID(int=1)}, "location_id"),
        ({"room_id": UUID(int=1)}, "room_id"),
        ({"practitioner_id": UUID(int=1)}, "practitioner_id"),
    ],
)
def test_wrong_hours_are_refused_with_the_field(cast: Cast, over: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        schedules.create_schedule(**hours(cast, **over))
    assert list(refusal.value.extra["errors"]) == [field]


def test_a_wrong_change_is_refused_with_the_field(cast: Cast) -> None:
    wrong = {"ends_at": time(8), "service_ids": [cast.checkup_id]}
    with pytest.raises(Invalid) as refusal:
        schedules.change_schedule(on_tuesdays(cast), wrong, if_version=1, actor=cast.dana.actor)
    assert list(refusal.value.extra["errors"]) == ["ends_at"]


def test_only_the_desk_and_administrators_change_hours(cast: Cast) -> None:
    for person in (cast.ana, cast.dr_cho):
        with pytest.raises(NotAllowed):
            schedules.create_schedule(**hours(cast, actor=person.actor))
    assert schedules.create_schedule(**hours(cast, actor=cast.olga.actor))
    with pytest.raises(NotAllowed):
        schedules.list_schedules(actor=cast.ana.actor)
    with pytest.raises(NotVisible):
        schedules.read_schedule(on_tuesdays(cast), actor=cast.ana.actor)
    assert len(schedules.list_schedules(actor=cast.dr_cho.actor, practitioner_id=cast.dr_diaz.practitioner_id)[0]) == 5
