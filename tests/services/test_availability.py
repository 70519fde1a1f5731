"""Free times: hours minus closures minus what is taken, in order, within what the rules allow."""

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import text

from server.errors import Invalid
from server.extensions import db
from server.models import Appointment, HealthcareService
from server.services import availability, holds, why
from server.services.availability import FreeTime
from server.utils import clock
from tests.cast import ZONE, Cast, Person
from tests.factories import (
    create_appointment,
    create_closure,
    create_location,
    create_patient,
    create_practitioner,
    create_room,
    create_schedule,
    create_service,
)


def free(cast: Cast, practitioner: Person | None = None, *, on: date | None = None, **over) -> list[FreeTime]:
    """The check-up's free times on a day (Tuesday of next week unless told)."""
    from_at, to_at = clock.day_bounds(on or cast.day(), ZONE)
    values = {"from_at": from_at, "to_at": to_at, "limit": 1000, **over}
    if practitioner is not None:
        values["practitioner_id"] = practitioner.practitioner_id
    return availability.search(values.pop("service_id", cast.checkup_id), **values)


def hours(found: list[FreeTime]) -> list[str]:
    return [f"{clock.local(one.start, ZONE):%H:%M}" for one in found]


def who(found: list[FreeTime]) -> set[UUID]:
    return {one.practitioner_id for one in found}


def anas_visit(cast: Cast, start: datetime, service: HealthcareService | None = None, **over) -> Appointment:
    """A visit of ana with dr_cho, a check-up unless told."""
    with_whom = [cast.practitioner(cast.dr_cho), cast.location]
    return create_appointment(cast.patient(cast.ana), *with_whom, service or cast.checkup, start, **over)


FROM_NINE_TO_FIVE = [f"{hour:02}:{minute:02}" for hour in range(9, 17) for minute in (0, 30)]


def test_an_empty_day_is_free_from_nine_to_five(cast: Cast) -> None:
    found = free(cast, cast.dr_cho)
    assert hours(found) == FROM_NINE_TO_FIVE
    assert {one.end - one.start for one in found} == {timedelta(minutes=30)}


def test_nobody_works_on_a_sunday(cast: Cast) -> None:
    assert free(cast, on=cast.day(weekday=7)) == []


# --- closures ---


def test_leave_of_dr_cho_is_not_leave_of_dr_diaz(cast: Cast) -> None:
    create_closure(cast.at(9), cast.at(12), practitioner_id=cast.dr_cho.practitioner_id, kind="leave")
    assert hours(free(cast, cast.dr_cho)) == FROM_NINE_TO_FIVE[6:]
    assert hours(free(cast, cast.dr_diaz)) == FROM_NINE_TO_FIVE


def test_a_closed_location_is_closed_for_all_who_work_there_and_nowhere_else(cast: Cast) -> None:
    elsewhere = create_location()
    create_schedule(cast.practitioner(cast.dr_diaz), elsewhere, cast.checkup, starts_at=time(18), ends_at=time(19))
    create_closure(cast.at(0), cast.at(23), location_id=cast.location_id)
    found = free(cast)
    assert {one.location_id for one in found} == {elsewhere.id}
    assert hours(found) == ["18:00", "18:30"]


def test_a_holiday_of_everybody_closes_everything(cast: Cast) -> None:
    create_closure(cast.at(0), cast.at(23), kind="holiday")
    assert free(cast) == []
    assert free(cast, on=cast.day(weekday=3)) != []


def test_a_visit_must_end_before_a_closure_begins(cast: Cast) -> None:
    create_closure(cast.at(10, 15), cast.at(10, 20), practitioner_id=cast.dr_cho.practitioner_id)
    assert [hour for hour in FROM_NINE_TO_FIVE if hour not in hours(free(cast, cast.dr_cho))] == ["10:00"]


def test_a_closure_of_one_practitioner_at_one_location_leaves_the_other_location_open(cast: Cast) -> None:
    elsewhere = create_location()
    create_schedule(cast.practitioner(cast.dr_cho), elsewhere, cast.checkup, starts_at=time(18), ends_at=time(19))
    create_closure(cast.at(0), cast.at(23), practitioner_id=cast.dr_cho.practitioner_id, location_id=cast.location_id)
    assert hours(free(cast, cast.dr_cho)) == ["18:00", "18:30"]


# --- what is taken ---


def test_a_booked_time_is_gone_and_a_cancelled_one_is_back(cast: Cast) -> None:
    visit = anas_visit(cast, cast.at(10))
    assert "10:00" not in hours(free(cast, cast.dr_cho))
    visit.status = "cancelled"
    db.session.flush()
    assert "10:00" in hours(free(cast, cast.dr_cho))


@pytest.mark.parametrize("status", ["pending", "booked", "arrived", "fulfilled"])
def test_every_state_that_occupies_time_takes_it_away(cast: Cast, status: str) -> None:
    anas_visit(cast, cast.at(10), status=status)
    assert "10:00" not in hours(free(cast, cast.dr_cho))


@pytest.mark.parametrize("status", ["cancelled", "noshow", "entered-in-error"])
def test_other_states_do_not(cast: Cast, status: str) -> None:
    anas_visit(cast, cast.at(10), status=status)
    assert "10:00" in hours(free(cast, cast.dr_cho))


def test_the_buffers_of_both_visits_are_kept(cast: Cast) -> None:
    anas_visit(cast, cast.at(12), cast.physio)  # 12:00 to 12:45, kept free from 11:55 to 12:55
    found = hours(free(cast, cast.dr_cho, service_id=cast.physio_id))
    # 45 minutes and 10 after it must end by 11:55; 5 before a start must begin at 12:55 or later.
    assert [hour for hour in found if "10:45" <= hour <= "13:15"] == ["10:45", "11:00", "13:00", "13:15"]


def hold(cast: Cast, *, expires: str) -> None:
    held = holds.hold_time(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(10),
        minutes=5,
        actor=cast.ana.actor,
    )
    db.session.execute(
        text("UPDATE appointments SET hold_expires_at = clock_timestamp() + CAST(:expires AS interval) WHERE id = :id"),
        {"expires": expires, "id": held.id},
    )


def test_a_held_time_is_not_free(cast: Cast) -> None:
    hold(cast, expires="1 minute")
    assert "10:00" not in hours(free(cast, cast.dr_cho))


def test_an_expired_hold_does_not_count(cast: Cast) -> None:
    hold(cast, expires="-1 second")
    assert "10:00" in hours(free(cast, cast.dr_cho))


def test_a_visit_that_is_to_be_moved_is_not_in_its_own_way(cast: Cast) -> None:
    visit = anas_visit(cast, cast.at(10))
    assert "10:00" in hours(free(cast, cast.dr_cho, ignore_id=visit.id))


def test_a_room_that_somebody_else_uses_is_not_free(cast: Cast) -> None:
    room = create_room(cast.location)
    ultrasound = create_service()
    doctors = [create_practitioner(), create_practitioner()]
    for doctor in doctors:
        create_schedule(doctor, cast.location, ultrasound, room_id=room.id)
    create_appointment(cast.patient(cast.ana), doctors[0], cast.location, ultrasound, cast.at(10), room_id=room.id)
    found = free(cast, service_id=ultrasound.id)
    assert who(found) == {doctor.id for doctor in doctors}
    assert "10:00" not in hours(found)
    assert hours(found).count("10:30") == 2


def test_a_room_does_not_keep_its_practitioner_from_hours_without_it(cast: Cast) -> None:
    room = create_room(cast.location)
    scan, doctor = create_service(), create_practitioner()
    create_schedule(doctor, cast.location, scan, room_id=room.id, ends_at=time(12))
    create_schedule(doctor, cast.location, scan, starts_at=time(12))
    other = cast.practitioner(cast.dr_cho)
    for hour in (10, 14):
        create_appointment(create_patient(), other, cast.location, cast.checkup, cast.at(hour), room_id=room.id)
    found = hours(free(cast, service_id=scan.id))
    assert "10:00" not in found
    assert "14:00" in found


# --- hours ---


def test_hours_that_adjoin_are_one(cast: Cast) -> None:
    long_visit, doctor = create_service(duration_minutes=60, step_minutes=60), create_practitioner()
    create_schedule(doctor, cast.location, long_visit, starts_at=time(9), ends_at=time(10, 30))
    create_schedule(doctor, cast.location, long_visit, starts_at=time(10, 30), ends_at=time(12))
    assert hours(free(cast, service_id=long_visit.id)) == ["09:00", "10:00", "11:00"]


def test_hours_with_a_break_are_two_and_each_counts_its_own_steps(cast: Cast) -> None:
    long_visit, doctor = create_service(duration_minutes=60, step_minutes=60), create_practitioner()
    create_schedule(doctor, cast.location, long_visit, starts_at=time(9), ends_at=time(10, 30))
    create_schedule(doctor, cast.location, long_visit, starts_at=time(10, 45), ends_at=time(12))
    assert hours(free(cast, service_id=long_visit.id)) == ["09:00", "10:45"]


def test_hours_that_overlap_offer_a_time_once(cast: Cast) -> None:
    doctor, service = create_practitioner(), create_service()
    create_schedule(doctor, cast.location, service, starts_at=time(9), ends_at=time(11))
    create_schedule(doctor, cast.location, service, starts_at=time(10), ends_at=time(12))
    assert hours(free(cast, service_id=service.id)) == FROM_NINE_TO_FIVE[:6]


def test_two_rooms_at_the_same_hour_offer_a_time_once(cast: Cast) -> None:
    doctor, service = create_practitioner(), create_service()
    for room in (create_room(cast.location), create_room(cast.location)):
        create_schedule(doctor, cast.location, service, room_id=room.id)
    assert hours(free(cast, service_id=service.id)) == FROM_NINE_TO_FIVE


def test_hours_for_another_service_do_not_count(cast: Cast) -> None:
    doctor = create_practitioner()
    create_schedule(doctor, cast.location, create_service())
    assert doctor.id not in who(free(cast))


def test_every_other_week_counts_from_the_week_of_the_beginning(cast: Cast) -> None:
    doctor, service = create_practitioner(), create_service()
    begins = cast.day(weekday=4)  # a Thursday: the Tuesday of that week is before it
    create_schedule(doctor, cast.location, service, valid_from=begins, every_n_weeks=2)
    open_on = [weeks for weeks in range(1, 6) if free(cast, service_id=service.id, on=cast.day(weeks=weeks, weekday=2))]
    assert open_on == [3, 5]
    assert free(cast, service_id=service.id, on=cast.day(weekday=5)) != []


def test_hours_hold_from_their_first_to_their_last_day(cast: Cast) -> None:
    doctor, service = create_practitioner(), create_service()
    create_schedule(doctor, cast.location, service, valid_from=cast.day(weekday=2), valid_until=cast.day(weekday=3))
    open_on = [day for day in range(1, 6) if free(cast, service_id=service.id, on=cast.day(weekday=day))]
    assert open_on == [2, 3]


@pytest.mark.parametrize("what", ["practitioner", "location"])
def test_who_has_left_is_not_offered(cast: Cast, what: str) -> None:
    gone = cast.practitioner(cast.dr_cho) if what == "practitioner" else cast.location
    gone.is_active = False
    db.session.flush()
    assert cast.dr_cho.practitioner_id not in who(free(cast))


# --- order, limit, span ---


def test_times_come_in_order_across_practitioners_and_locations(cast: Cast) -> None:
    lisbon = create_location(time_zone="Europe/Lisbon")
    early = create_practitioner()
    create_schedule(early, lisbon, cast.checkup)
    found = free(cast, limit=1000)
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert found[0].practitioner_id == early.id
    assert {one.location_id for one in found} == {lisbon.id, cast.location_id}
    together = [one.practitioner_id for one in found if one.start == cast.at(9)]
    assert together == sorted(together)


def test_a_limit_gives_the_first_ones(cast: Cast) -> None:
    everything = free(cast, to_at=cast.at(0, weeks=3), limit=1000)
    for limit in (1, 3, 33, 100):
        assert free(cast, to_at=cast.at(0, weeks=3), limit=limit) == everything[:limit]
    assert len(everything) > 100


def test_it_does_not_matter_how_a_span_is_cut(cast: Cast) -> None:
    anas_visit(cast, cast.at(10, 20))
    begin, end = cast.at(0), cast.at(0, weeks=4)
    whole = free(cast, from_at=begin, to_at=end)
    cuts = [begin, cast.at(10, 37), cast.at(10, 38), cast.at(16, 30), cast.at(3, weeks=2, weekday=6), end]
    pieces = [free(cast, from_at=lo, to_at=hi) for lo, hi in pairwise(cuts)]
    assert [one for piece in pieces for one in piece] == whole
    for person in (cast.dr_cho, cast.dr_diaz):
        alone = [one for one in whole if one.practitioner_id == person.practitioner_id]
        assert free(cast, person, from_at=begin, to_at=end) == alone


def test_a_start_at_the_end_of_the_span_is_left_out_and_one_at_its_beginning_is_not(cast: Cast) -> None:
    assert hours(free(cast, cast.dr_cho, from_at=cast.at(10), to_at=cast.at(11))) == ["10:00", "10:30"]


def test_steps_count_from_the_opening_and_not_from_the_span(cast: Cast) -> None:
    assert hours(free(cast, cast.dr_cho, from_at=cast.at(10, 5), to_at=cast.at(11, 5))) == ["10:30", "11:00"]


def test_two_months_can_be_searched_and_a_quarter_is_refused(cast: Cast) -> None:
    free(cast, from_at=cast.at(0), to_at=cast.at(0) + timedelta(days=62))
    with pytest.raises(Invalid):
        free(cast, from_at=cast.at(0), to_at=cast.at(0) + timedelta(days=90))


# --- notice and horizon ---


def test_the_notice_binds_patients_and_not_staff(cast: Cast) -> None:
    cast.checkup.minimum_notice_minutes = int((cast.at(12) - clock.now()) / timedelta(minutes=1)) + 5
    db.session.flush()
    assert hours(free(cast, cast.dr_cho))[0] == "12:30"
    assert hours(free(cast, cast.dr_cho, as_staff=True)) == FROM_NINE_TO_FIVE


def test_the_horizon_binds_patients_and_not_staff(cast: Cast) -> None:
    cast.checkup.horizon_days = 30
    db.session.flush()
    last = free(cast, cast.dr_cho, to_at=cast.at(0, weeks=7))[-1].start
    assert clock.now() + timedelta(days=25) < last < clock.now() + timedelta(days=30)
    assert free(cast, cast.dr_cho, on=cast.day(weeks=7), as_staff=True) != []


def test_the_past_is_over_for_everybody(cast: Cast) -> None:
    assert free(cast, on=cast.day(weeks=-1), as_staff=True) == []


# --- one rule for the search and for the booking ---


def test_what_is_offered_can_be_booked_and_what_is_not_offered_cannot(cast: Cast) -> None:
    """Every five minutes of a day with a bit of everything: the search and `why` say the same."""
    room = create_room(cast.location)
    for person in (cast.dr_cho, cast.dr_diaz):
        for schedule in cast.practitioner(person).schedules:
            schedule.room_id = room.id
    rows = [cast.location, cast.physio]
    create_appointment(cast.patient(cast.bea), cast.practitioner(cast.dr_diaz), *rows, cast.at(11), room_id=room.id)
    create_appointment(create_patient(), cast.practitioner(cast.dr_cho), *rows, cast.at(14, 15), room_id=room.id)
    create_closure(cast.at(15, 40), cast.at(16, 5), practitioner_id=cast.dr_cho.practitioner_id)
    hold(cast, expires="1 minute")
    for service_id in (cast.checkup_id, cast.physio_id):
        offered = {one.start for one in free(cast, cast.dr_cho, service_id=service_id)}
        day: list[datetime] = [cast.at(8) + timedelta(minutes=5 * n) for n in range(120)]
        bookable = {
            start
            for start in day
            if not why.explain(
                service_id,
                practitioner_id=cast.dr_cho.practitioner_id,
                start=start,
                location_id=None,
                actor=cast.ana.actor,
            )
        }
        assert bookable == offered
        assert offered
