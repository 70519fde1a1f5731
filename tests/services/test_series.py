"""Visits that repeat: planned, booked all or none, moved and cancelled one, some or all."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from server.errors import DomainError, Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment, AppointmentSeries, AuditEvent, HealthcareService, OutboxMessage
from server.services import booking, series
from server.services.occurrences import Plan, SeriesConflict
from server.services.rules import RulesForbid, WrongState
from server.services.series import Scope
from server.services.series_moves import move_series
from server.utils import clock
from tests.bars.live_clinic import all_at_once
from tests.cast import ZONE, Cast, Person
from tests.factories import create_appointment, create_closure

WEEK = timedelta(weeks=1)


def ask(cast: Cast, person: Person, **over: Any) -> Plan:
    """Four check-ups with dr_cho, on Tuesdays at 10."""
    values = {
        "service_id": cast.checkup_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "start": cast.at(10),
        "every_n_weeks": 1,
        "count": 4,
        "actor": person.actor,
        **over,
    }
    return series.book_series(**values)


def taken(cast: Cast, start: datetime) -> None:
    """Bea has this time already."""
    who = cast.practitioner(cast.dr_cho)
    create_appointment(cast.patient(cast.bea), who, cast.location, cast.checkup, start)
    db.session.commit()


def starts_of(series_id: UUID | None, status: str = "booked") -> list[datetime]:
    start = func.lower(Appointment.during)
    query = select(start).where(Appointment.series_id == series_id, Appointment.status == status).order_by(start)
    return [clock.local(at, "UTC") for at in db.session.scalars(query)]


def count(table: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def codes(plan: Plan) -> dict[int, list[str]]:
    return {each.number: [reason.code for reason in each.reasons] for each in plan.occurrences if each.reasons}


def ids(plan: Plan) -> list[UUID]:
    return [each.appointment_id for each in plan.occurrences if each.appointment_id]


def weekly(cast: Cast, *weeks: int, hour: int = 10, weekday: int = 2) -> list[datetime]:
    return [cast.at(hour, weeks=week, weekday=weekday) for week in weeks]


# --- planning and booking ---


def test_ana_books_four_tuesdays_and_gets_one_letter(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    assert plan.is_free
    assert starts_of(plan.id) == weekly(cast, 1, 2, 3, 4)
    letter = db.session.scalars(select(OutboxMessage)).one()
    assert (letter.letter, letter.appointment_id) == ("series-booked", ids(plan)[0])
    actions = Counter(db.session.scalars(select(AuditEvent.action)))
    assert (actions["appointment.booked"], actions["series.booked"]) == (4, 1)


def test_every_second_week(cast: Cast) -> None:
    assert starts_of(ask(cast, cast.ana, every_n_weeks=2, count=3).id) == weekly(cast, 1, 3, 5)


@pytest.mark.parametrize(
    ("first", "offsets"), [(date(2027, 3, 2), [-5, -5, -4, -4]), (date(2027, 10, 26), [-4, -4, -5, -5])]
)
def test_it_stays_ten_o_clock_when_the_clocks_change(cast: Cast, first: date, offsets: list[int]) -> None:
    plan = ask(
        cast, cast.dana, patient_id=cast.ana.patient_id, start=clock.to_instant(datetime.combine(first, time(10)), ZONE)
    )
    local = [clock.local(start, ZONE) for start in starts_of(plan.id)]
    assert [at.time() for at in local] == [time(10)] * 4
    assert [at.date() for at in local] == [first + WEEK * n for n in range(4)]
    assert [at.utcoffset() for at in local] == [timedelta(hours=hours) for hours in offsets]


def test_a_wall_time_that_the_clocks_skip_moves_on_by_the_gap() -> None:
    first = clock.to_instant(datetime.combine(date(2027, 3, 7), time(2, 30)), ZONE)
    starts = series.local_starts(first, every_n_weeks=1, count=3, zone=ZONE)
    assert [f"{clock.local(at, ZONE):%d %H:%M}" for at in starts.values()] == ["07 02:30", "14 03:30", "21 02:30"]


def test_a_dry_run_names_the_conflict_proposes_and_keeps_nothing(cast: Cast) -> None:
    taken(cast, cast.at(10, weeks=2))
    create_closure(cast.at(0, weeks=3), cast.at(0, weeks=3) + timedelta(days=1))
    before = count(Appointment)
    plan = ask(cast, cast.ana, dry_run=True)
    assert plan.id is None
    assert codes(plan) == {2: ["busy"], 3: ["closure"]}
    proposals = [each.proposal and each.proposal.start for each in plan.occurrences]
    assert proposals[0] is None
    assert proposals[1] in (cast.at(9, 30, weeks=2), cast.at(10, 30, weeks=2)), "the same day, and as near as can be"
    assert clock.local(proposals[2], ZONE).date() in (cast.day(weeks=3, weekday=1), cast.day(weeks=3, weekday=3))
    assert ids(plan) == []
    assert (count(Appointment), count(AppointmentSeries), count(OutboxMessage)) == (before, 0, 0)


def test_what_is_proposed_can_be_booked_although_ana_has_another_visit_then(cast: Cast) -> None:
    """Around the taken ten o'clock she is at Dr Diaz's: no proposal lies there."""
    taken(cast, cast.at(10, weeks=2))
    doctor, patient = cast.practitioner(cast.dr_diaz), cast.patient(cast.ana)
    for hour, minute in ((9, 30), (10, 30)):
        create_appointment(patient, doctor, cast.location, cast.checkup, cast.at(hour, minute, weeks=2))
    plan = ask(cast, cast.ana, dry_run=True)
    proposal = plan.occurrences[1].proposal
    assert proposal is not None
    assert proposal.start in (cast.at(9, weeks=2), cast.at(11, weeks=2))
    booked = ask(cast, cast.ana, replacements={2: proposal.start})
    assert starts_of(booked.id) == sorted([*weekly(cast, 1, 3, 4), proposal.start])


def test_anas_own_other_visit_is_a_conflict_too(cast: Cast) -> None:
    create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_diaz), cast.location, cast.checkup, cast.at(10, weeks=3)
    )
    assert codes(ask(cast, cast.ana, dry_run=True)) == {3: ["patient-busy"]}


def test_all_or_nothing_leaves_nothing_behind(cast: Cast) -> None:
    taken(cast, cast.at(10, weeks=4))
    before = count(AuditEvent)
    with pytest.raises(SeriesConflict) as refusal:
        ask(cast, cast.ana)
    told = refusal.value.extra["plan"]
    assert [each["is_free"] for each in told] == [True, True, True, False]
    assert [each["appointment_id"] for each in told] == [None] * 4
    assert told[3]["proposal"]["practitioner_id"] == str(cast.dr_cho.practitioner_id)
    assert (count(Appointment), count(AppointmentSeries)) == (1, 0)
    assert (count(AuditEvent), count(OutboxMessage)) == (before, 0)


def test_with_skip_the_others_are_booked(cast: Cast) -> None:
    taken(cast, cast.at(10, weeks=2))
    plan = ask(cast, cast.ana, skip_conflicts=True)
    assert codes(plan) == {2: ["busy"]}
    assert starts_of(plan.id) == weekly(cast, 1, 3, 4)


def test_nothing_to_book_is_a_conflict_even_with_skip(cast: Cast) -> None:
    with pytest.raises(SeriesConflict):
        ask(cast, cast.ana, start=cast.at(20), skip_conflicts=True)
    assert count(AppointmentSeries) == 0


def test_the_limit_of_open_visits_holds_within_the_series(cast: Cast) -> None:
    db.session.execute(
        update(HealthcareService).where(HealthcareService.id == cast.checkup_id).values(max_open_per_patient=3)
    )
    db.session.commit()
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_diaz.practitioner_id,
        start=cast.at(15),
        actor=cast.ana.actor,
    )
    assert codes(ask(cast, cast.ana, dry_run=True)) == {3: ["limit"], 4: ["limit"]}
    with pytest.raises(SeriesConflict):
        ask(cast, cast.ana)
    assert len(ids(ask(cast, cast.ana, skip_conflicts=True))) == 2


def test_beyond_the_horizon_patients_cannot_book_and_staff_can(cast: Cast) -> None:
    late = codes(ask(cast, cast.ana, count=12, dry_run=True))
    assert {code for found in late.values() for code in found} == {"horizon"}
    assert ask(cast, cast.dana, patient_id=cast.ana.patient_id, count=12, dry_run=True).is_free


def test_a_service_that_only_the_desk_books_is_no_series_for_patients(cast: Cast) -> None:
    db.session.execute(
        update(HealthcareService).where(HealthcareService.id == cast.checkup_id).values(self_bookable=False)
    )
    assert codes(ask(cast, cast.ana, dry_run=True)) == {n: ["not-offered"] for n in range(1, 5)}
    assert ask(cast, cast.dana, patient_id=cast.ana.patient_id).is_free


def test_where_the_clinic_answers_first_every_visit_is_a_request(cast: Cast) -> None:
    db.session.execute(
        update(HealthcareService).where(HealthcareService.id == cast.checkup_id).values(needs_approval=True)
    )
    plan = ask(cast, cast.ana)
    assert len(starts_of(plan.id, "pending")) == 4
    move_series(plan.id, scope=Scope.ALL, appointment_id=ids(plan)[0], start=cast.at(11), actor=cast.ana.actor)
    assert starts_of(plan.id, "pending") == weekly(cast, 1, 2, 3, 4, hour=11)


def test_a_replacement_for_no_visit_is_refused(cast: Cast) -> None:
    with pytest.raises(Invalid):
        ask(cast, cast.ana, replacements={5: cast.at(11)})


def test_bea_makes_no_series_for_ana_and_carl_does(cast: Cast) -> None:
    with pytest.raises(NotVisible):
        ask(cast, cast.bea, patient_id=cast.ana.patient_id)
    assert ask(cast, cast.carl, patient_id=cast.ana.patient_id).is_free


# --- reading ---


def test_anas_series_is_there_for_her_carl_her_doctor_and_the_desk_and_for_nobody_else(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    for person in (cast.ana, cast.carl, cast.dr_cho, cast.dana):
        assert [visit.id for visit in series.read_series(plan.id, actor=person.actor).visits] == ids(plan)
    for person in (cast.bea, cast.dr_diaz):
        with pytest.raises(NotVisible):
            series.read_series(plan.id, actor=person.actor)


def test_who_may_only_read_cannot_change_it(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    db.session.execute(text("UPDATE related_persons SET may_book = false"))
    db.session.commit()
    for person in (cast.carl, cast.dr_cho):
        with pytest.raises(NotAllowed):
            series.cancel_series(plan.id, scope=Scope.ALL, actor=person.actor)
        with pytest.raises(NotAllowed):
            move_series(plan.id, scope=Scope.ALL, appointment_id=ids(plan)[0], start=cast.at(11), actor=person.actor)


# --- cancelling ---


@pytest.mark.parametrize(
    ("scope", "left", "letter"),
    [
        (Scope.THIS, [1, 3, 4], "appointment-cancelled"),
        (Scope.FOLLOWING, [1], "series-changed"),
        (Scope.ALL, [], "series-changed"),
    ],
)
def test_ana_cancels_this_the_following_or_all(cast: Cast, scope: Scope, left: list[int], letter: str) -> None:
    plan = ask(cast, cast.ana)
    after = series.cancel_series(plan.id, scope=scope, appointment_id=ids(plan)[1], actor=cast.ana.actor)
    assert starts_of(plan.id) == weekly(cast, *left)
    assert [visit.start for visit in after.to_come] == weekly(cast, *left)
    assert list(db.session.scalars(select(OutboxMessage.letter).order_by(OutboxMessage.id))) == [
        "series-booked",
        letter,
    ]


def test_what_was_stays_and_so_does_what_was_cancelled_before(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    first, second, *_ = ids(plan)
    long_ago = "tstzrange(lower({0}) - interval '60 days', upper({0}) - interval '60 days')"
    columns = ", ".join(f"{column} = {long_ago.format(column)}" for column in ("during", "occupied"))
    db.session.execute(text(f"UPDATE appointments SET {columns} WHERE id = :id"), {"id": first})
    db.session.commit()
    booking.cancel_appointment(second, actor=cast.ana.actor, reason="before")
    series.cancel_series(plan.id, scope=Scope.ALL, actor=cast.dana.actor, reason="all")
    reasons = dict(db.session.execute(select(Appointment.id, Appointment.cancel_reason)).all())
    assert [reasons[each] for each in ids(plan)] == ["", "before", "all", "all"]
    with pytest.raises(WrongState):
        series.cancel_series(plan.id, scope=Scope.ALL, actor=cast.dana.actor)


def test_a_visit_of_another_series_is_no_place_to_begin(cast: Cast) -> None:
    one, other = ask(cast, cast.ana), ask(cast, cast.bea, start=cast.at(14))
    with pytest.raises(Invalid):
        series.cancel_series(one.id, scope=Scope.FOLLOWING, appointment_id=ids(other)[0], actor=cast.dana.actor)


def test_too_late_for_the_first_is_too_late_for_all_but_not_for_the_rest(cast: Cast) -> None:
    cutoff = update(HealthcareService).where(HealthcareService.id == cast.checkup_id)
    plan = ask(cast, cast.ana)
    db.session.execute(cutoff.values(cancel_cutoff_minutes=10 * 24 * 60))
    db.session.commit()
    with pytest.raises(RulesForbid):
        series.cancel_series(plan.id, scope=Scope.ALL, actor=cast.ana.actor)
    assert len(starts_of(plan.id)) == 4
    series.cancel_series(plan.id, scope=Scope.FOLLOWING, appointment_id=ids(plan)[2], actor=cast.ana.actor)
    assert len(starts_of(plan.id)) == 2


# --- moving ---


def move(cast: Cast, plan: Plan, number: int, start: datetime, scope: Scope, **over: Any) -> Plan:
    return move_series(
        plan.id,
        **{"scope": scope, "appointment_id": ids(plan)[number - 1], "start": start, "actor": cast.dana.actor, **over},
    )


@pytest.mark.parametrize(
    ("scope", "moved"), [(Scope.THIS, [2]), (Scope.FOLLOWING, [2, 3, 4]), (Scope.ALL, [1, 2, 3, 4])]
)
def test_dana_moves_this_the_following_or_all_to_thursday_at_noon(cast: Cast, scope: Scope, moved: list[int]) -> None:
    plan = ask(cast, cast.ana)
    answer = move(cast, plan, 2, cast.at(12, weeks=2, weekday=4), scope)
    assert [each.number for each in answer.occurrences] == moved
    stay = [n for n in range(1, 5) if n not in moved]
    assert starts_of(plan.id) == sorted(weekly(cast, *stay) + weekly(cast, *moved, hour=12, weekday=4))
    letters = list(db.session.scalars(select(OutboxMessage.letter)))
    assert letters == ["series-booked", "appointment-moved" if scope == Scope.THIS else "series-changed"]


@pytest.mark.parametrize("weeks", [1, 2, -1])
def test_the_whole_series_moves_onto_its_own_old_times(cast: Cast, weeks: int) -> None:
    plan = ask(cast, cast.ana, start=cast.at(10, weeks=2))
    move(cast, plan, 1, cast.at(10, weeks=2 + weeks), Scope.ALL)
    assert starts_of(plan.id) == weekly(cast, *(week + weeks for week in (2, 3, 4, 5)))
    with pytest.raises(booking.SlotTaken):
        booking.book_appointment(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(10, weeks=2 + weeks),
            actor=cast.bea.actor,
        )


def test_a_quarter_of_an_hour_later_is_over_its_own_old_time(cast: Cast) -> None:
    plan = ask(cast, cast.dana, patient_id=cast.ana.patient_id, service_id=cast.physio_id)
    assert move(cast, plan, 1, cast.at(10, 15), Scope.ALL).is_free
    assert [clock.local(start, ZONE).time() for start in starts_of(plan.id)] == [time(10, 15)] * 4


def test_a_move_with_a_conflict_moves_nothing_and_says_what_would_do(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    taken(cast, cast.at(11, weeks=3))
    with pytest.raises(SeriesConflict) as refusal:
        move(cast, plan, 1, cast.at(11), Scope.ALL)
    told = refusal.value.extra["plan"]
    assert [each["is_free"] for each in told] == [True, True, False, True]
    assert starts_of(plan.id) == weekly(cast, 1, 2, 3, 4)
    dry = move(cast, plan, 1, cast.at(11), Scope.ALL, dry_run=True)
    assert starts_of(plan.id) == weekly(cast, 1, 2, 3, 4)
    proposal = dry.occurrences[2].proposal
    assert proposal is not None
    move(cast, plan, 1, cast.at(11), Scope.ALL, replacements={3: proposal.start})
    assert starts_of(plan.id) == sorted([*weekly(cast, 1, 2, 4, hour=11), proposal.start])


def test_what_stays_with_skip_may_be_in_the_way_of_the_one_before(cast: Cast) -> None:
    """All by one week, but the week after the last is taken: the last stays, so the one before it stays, too."""
    plan = ask(cast, cast.ana)
    taken(cast, cast.at(10, weeks=5))
    with pytest.raises(SeriesConflict):
        move(cast, plan, 1, cast.at(10, weeks=2), Scope.ALL, skip_conflicts=True)
    assert starts_of(plan.id) == weekly(cast, 1, 2, 3, 4)
    booking.cancel_appointment(ids(plan)[1], actor=cast.dana.actor)
    answer = move(cast, plan, 1, cast.at(10, weeks=2), Scope.ALL, skip_conflicts=True)
    assert [each.is_free for each in answer.occurrences] == [True, False, False]
    assert starts_of(plan.id) == weekly(cast, 2, 3, 4)


def test_a_move_to_another_practitioner(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    move(cast, plan, 3, cast.at(10, weeks=3), Scope.FOLLOWING, practitioner_id=cast.dr_diaz.practitioner_id)
    doctors = [visit.practitioner_id for visit in series.read_series(plan.id, actor=cast.dana.actor).visits]
    assert doctors == [cast.dr_cho.practitioner_id] * 2 + [cast.dr_diaz.practitioner_id] * 2


def test_a_move_keeps_the_wall_time_across_a_change_of_the_clocks(cast: Cast) -> None:
    first = clock.to_instant(datetime.combine(date(2027, 3, 2), time(10)), ZONE)
    plan = ask(cast, cast.dana, patient_id=cast.ana.patient_id, start=first)
    move(cast, plan, 1, first + timedelta(hours=1), Scope.ALL)
    assert [clock.local(start, ZONE).hour for start in starts_of(plan.id)] == [11] * 4


def test_a_cancelled_visit_does_not_move(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    booking.cancel_appointment(ids(plan)[0], actor=cast.ana.actor)
    with pytest.raises(WrongState):
        move(cast, plan, 1, cast.at(11), Scope.ALL)


# --- many at once ---


@pytest.mark.real_commits
def test_two_who_race_for_overlapping_series_never_overlap_and_get_clear_answers(app: Flask, cast: Cast) -> None:
    everybody = [cast.ana.actor, cast.bea.actor] * 4
    answers: Counter[str] = Counter()

    def book_and_move(number: int) -> None:
        actor = everybody[number]
        with app.app_context():
            try:
                plan = series.book_series(
                    service_id=cast.checkup_id,
                    practitioner_id=(cast.dr_cho, cast.dr_diaz)[number // 4].practitioner_id,
                    start=cast.at(10, weeks=1 + number % 3),
                    every_n_weeks=1,
                    count=5,
                    skip_conflicts=number % 2 == 0,
                    actor=actor,
                )
                answers["booked"] += 1
                first = next(each for each in plan.occurrences if each.appointment_id)
                move_series(
                    plan.id,
                    scope=Scope.ALL,
                    appointment_id=first.appointment_id,
                    start=first.start + WEEK,
                    skip_conflicts=True,
                    actor=actor,
                )
                answers["moved"] += 1
            except DomainError as refused:
                answers[f"{refused.status} {refused.slug}"] += 1

    all_at_once(range(8), book_and_move)
    assert set(answers) <= {"booked", "moved", "409 series-conflict"}, answers
    assert answers["booked"] >= 2, answers
    overlaps = text("""
        SELECT count(*) FROM appointments a JOIN appointments b ON a.id < b.id AND a.during && b.during
           AND (a.practitioner_id = b.practitioner_id OR a.patient_id = b.patient_id)
         WHERE a.status = 'booked' AND b.status = 'booked'""")
    assert db.session.scalar(overlaps) == 0
    assert db.session.scalar(text("SELECT count(*) FROM appointments WHERE status = 'cancelled'")) == 0


def test_ana_and_the_number_of_her_visits(cast: Cast) -> None:
    plan = ask(cast, cast.ana)
    found = series.read_series(plan.id, actor=cast.ana.actor)
    assert [found.number(each) for each in ids(plan)] == [1, 2, 3, 4]
