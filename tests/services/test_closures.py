"""Leave, and what becomes of the visits in its way: everybody is re-placed or told, once."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from server.errors import Invalid, NotAllowed, Stale
from server.extensions import db
from server.models import (
    Appointment,
    AuditEvent,
    Closure,
    ClosurePlanItem,
    FreedTime,
    HealthcareService,
    Location,
    OutboxMessage,
    Patient,
    Practitioner,
    WaitlistEntry,
)
from server.services import (
    availability,
    booking,
    carrying_out,
    closures,
    openings,
    public_holidays,
    sessions,
    steps,
    stranded,
)
from server.services.closures import PlanIncomplete
from server.services.replacing import Proposal
from server.utils import clock
from tests.cast import ZONE, Cast, Person
from tests.factories import create_appointment, create_patient, create_service


def leave(cast: Cast, *, days: int = 1, **over: Any) -> dict[str, Any]:
    """Dr Cho's Tuesday (and more days) of next week."""
    first = cast.day()
    whose = {"practitioner_id": cast.dr_cho.practitioner_id}
    start, end = clock.start_of_day(first, ZONE), clock.start_of_day(first + timedelta(days=days), ZONE)
    return {**whose, "start": start, "end": end, "actor": cast.dana.actor, **over}


def visit(cast: Cast, at: datetime, patient: Patient | None = None, **over: Any) -> Appointment:
    values = {
        "practitioner": db.session.get_one(Practitioner, cast.dr_cho.practitioner_id),
        "location": db.session.get_one(Location, cast.location_id),
        "service": db.session.get_one(HealthcareService, cast.checkup_id),
        **over,
    }
    return create_appointment(patient or create_patient(), start=at, **values)


@pytest.fixture
def twelve(cast: Cast) -> list[Appointment]:
    """Twelve patients on Dr Cho's Tuesday, every half hour from nine."""
    visits = [visit(cast, cast.at(9) + timedelta(minutes=30 * n)) for n in range(12)]
    db.session.commit()
    return visits


def as_suggested(proposals: list[Proposal]) -> list[dict[str, Any]]:
    plan = []
    for each in proposals:
        item: dict[str, Any] = {"appointment_id": each.appointment.id, "action": each.suggested}
        if each.proposals:
            best = each.proposals[0]
            item |= {"start": best.start, "practitioner_id": best.practitioner_id}
        plan.append(item)
    return plan


def items(closure: Closure) -> list[ClosurePlanItem]:
    query = select(ClosurePlanItem).where(ClosurePlanItem.closure_id == closure.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def now(visit_id: UUID) -> Appointment:
    return db.session.get_one(Appointment, visit_id, populate_existing=True)


def letters() -> Counter[tuple[str, UUID]]:
    rows = db.session.execute(select(OutboxMessage.letter, OutboxMessage.appointment_id))
    return Counter((row.letter, row.appointment_id) for row in rows)


def test_before_dana_saves_leave_she_sees_who_is_in_the_way_and_where_they_could_go(
    cast: Cast, twelve: list[Appointment]
) -> None:
    proposals = closures.preview_closure(**leave(cast))
    assert [each.appointment.id for each in proposals] == [each.id for each in twelve]
    best = [each.proposals[0] for each in proposals]
    assert {time.practitioner_id for time in best} == {cast.dr_diaz.practitioner_id}
    assert [time.start for time in best] == [each.start for each in twelve]  # the very same time with a colleague
    assert db.session.scalar(select(func.count()).select_from(Closure)) == 0


def test_no_time_is_proposed_to_two_patients(cast: Cast, twelve: list[Appointment]) -> None:
    proposed = [
        (time.practitioner_id, time.start)
        for each in closures.preview_closure(**leave(cast))
        for time in each.proposals
    ]
    assert len(proposed) == len(set(proposed)) > 24


def test_nothing_is_proposed_within_the_leave_itself_or_in_another_closure(
    cast: Cast, twelve: list[Appointment]
) -> None:
    db.session.add(
        Closure(practitioner_id=cast.dr_diaz.practitioner_id, during=closures._during(cast.at(0), cast.at(23)))
    )
    db.session.flush()
    wanted = leave(cast, days=2)
    proposals = closures.preview_closure(**wanted)
    for each in proposals:
        for time in each.proposals:
            assert time.practitioner_id == cast.dr_cho.practitioner_id
            assert time.start >= wanted["end"]


def test_a_busy_patient_is_not_proposed_the_time_of_their_other_visit(cast: Cast) -> None:
    ana = db.session.get_one(Patient, cast.ana.patient_id)
    mine = visit(cast, cast.at(9), ana)
    other = create_service()
    visit(
        cast,
        cast.at(10),
        ana,
        service=other,
        practitioner=db.session.get_one(Practitioner, cast.dr_diaz.practitioner_id),
    )
    [proposal] = closures.preview_closure(**leave(cast, end=cast.at(10)))
    assert proposal.appointment.id == mine.id
    assert cast.at(10) not in [time.start for time in proposal.proposals]


def test_one_action_and_everybody_is_replaced_or_told(cast: Cast, twelve: list[Appointment]) -> None:
    plan = as_suggested(closures.preview_closure(**leave(cast)))
    plan[0] = {"appointment_id": twelve[0].id, "action": "keep"}
    plan[1] = {"appointment_id": twelve[1].id, "action": "cancel"}
    made = closures.create_closure(**leave(cast), plan=plan, reason="Conference")
    assert carrying_out.carry_out_due() == 11
    assert {item.state for item in items(made)} == {"done"}
    assert (now(twelve[0].id).status, now(twelve[0].id).start) == ("booked", twelve[0].start)
    assert (now(twelve[1].id).status, now(twelve[1].id).cancel_reason) == ("cancelled", carrying_out.CANCELLED)
    for each in twelve[2:]:
        assert now(each.id).practitioner_id == cast.dr_diaz.practitioner_id
    told = letters()
    assert told == {
        ("appointment-cancelled-leave", twelve[1].id): 1,
        **{("appointment-moved-leave", each.id): 1 for each in twelve[2:]},
    }
    moved = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "appointment.rescheduled")).all()
    assert {event.user_id for event in moved} == {cast.dana.user_id}
    progress = closures.read_progress(made.id, actor=cast.dana.actor)
    assert (progress.done, progress.waiting, progress.failed, list(progress.in_the_way)) == (12, 0, [], [])
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []


def test_a_worker_that_dies_in_the_middle_leaves_nothing_done_twice(
    cast: Cast, twelve: list[Appointment], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = closures.create_closure(**leave(cast), plan=as_suggested(closures.preview_closure(**leave(cast))))
    real, calls = carrying_out._do, []

    def dies_after_the_fifth(item: ClosurePlanItem) -> str:
        sentence = real(item)
        calls.append(item.id)
        if len(calls) == 5:
            raise KeyboardInterrupt  # after the move, before its commit
        return sentence

    monkeypatch.setattr(carrying_out, "_do", dies_after_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        carrying_out.carry_out_due()
    assert Counter(item.state for item in items(made)) == {"done": 4, "waiting": 8}
    assert len(letters()) == 4
    assert len(stranded.list_stranded(actor=cast.dana.actor)[0]) == 8  # not silently
    monkeypatch.setattr(carrying_out, "_do", real)
    assert carrying_out.carry_out_due() == 8
    assert carrying_out.carry_out_due() == 0
    assert set(letters().values()) == {1}
    assert len(letters()) == 12


def test_bea_slips_in_between_the_plan_and_its_saving(cast: Cast, twelve: list[Appointment]) -> None:
    plan = as_suggested(closures.preview_closure(**leave(cast)))
    beas = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(16),
        actor=cast.bea.actor,
    )
    with pytest.raises(PlanIncomplete) as refusal:
        closures.create_closure(**leave(cast), plan=plan)
    assert refusal.value.extra["missing"] == [str(beas.id)]
    assert db.session.scalar(select(func.count()).select_from(Closure)) == 0
    assert db.session.scalar(select(func.count()).select_from(ClosurePlanItem)) == 0


def test_who_cancelled_meanwhile_needs_no_plan(cast: Cast, twelve: list[Appointment]) -> None:
    plan = as_suggested(closures.preview_closure(**leave(cast)))
    booking.cancel_appointment(twelve[3].id, actor=cast.dana.actor)
    made = closures.create_closure(**leave(cast), plan=plan)
    assert len(items(made)) == 11


def test_who_moved_away_meanwhile_is_left_alone(cast: Cast, twelve: list[Appointment]) -> None:
    made = closures.create_closure(**leave(cast), plan=as_suggested(closures.preview_closure(**leave(cast))))
    booking.reschedule_appointment(twelve[0].id, start=cast.at(9, weeks=2), actor=cast.dana.actor)
    carrying_out.carry_out_due()
    assert now(twelve[0].id).start == cast.at(9, weeks=2)
    detail = {item.appointment_id: item.detail for item in items(made)}
    assert detail[twelve[0].id] == "It was not in the way any more."


def test_a_proposed_time_that_is_gone_fails_with_a_sentence_and_is_decided_anew(
    cast: Cast, twelve: list[Appointment]
) -> None:
    plan = as_suggested(closures.preview_closure(**leave(cast)))
    made = closures.create_closure(**leave(cast), plan=plan)
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=plan[0]["practitioner_id"],
        start=plan[0]["start"],
        actor=cast.bea.actor,
    )
    assert carrying_out.carry_out_due() == 11
    [lost], _ = stranded.list_stranded(actor=cast.dana.actor)
    assert (lost.appointment.id, lost.cause, lost.state) == (twelve[0].id, "leave", "failed")
    assert "Somebody else has this time." in lost.detail
    again = as_suggested(closures.preview_change(made.id, {}, actor=cast.dana.actor))
    assert [item["appointment_id"] for item in again] == [twelve[0].id]
    closures.change_closure(made.id, {}, plan=again, if_version=made.version, actor=cast.dana.actor)
    assert carrying_out.carry_out_due() == 1
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []


def test_a_move_may_break_a_limit_but_no_other_rule(cast: Cast) -> None:
    service = db.session.get_one(HealthcareService, cast.checkup_id)
    mine = visit(cast, cast.at(9))
    visit(cast, cast.at(14), db.session.get_one(Patient, mine.patient_id))
    service.max_per_day = 1
    db.session.flush()
    [proposal] = closures.preview_closure(**leave(cast, end=cast.at(10)))
    closures.create_closure(**leave(cast, end=cast.at(10)), plan=as_suggested([proposal]))
    assert carrying_out.carry_out_due() == 1
    assert now(mine.id).override_reason == carrying_out.MOVED
    other = visit(cast, cast.at(11))
    at_night = {"appointment_id": other.id, "action": "move", "start": cast.at(22)}
    closures.create_closure(**leave(cast, start=cast.at(11), end=cast.at(12)), plan=[at_night])
    assert carrying_out.carry_out_due() == 0
    assert (now(other.id).start, [each.state for each in stranded.list_stranded(actor=cast.dana.actor)[0]]) == (
        cast.at(11),
        ["failed"],
    )


def test_two_patients_cannot_be_planned_into_one_time(cast: Cast, twelve: list[Appointment]) -> None:
    plan = as_suggested(closures.preview_closure(**leave(cast)))
    plan[1] |= {"start": plan[0]["start"], "practitioner_id": plan[0]["practitioner_id"]}
    with pytest.raises(Invalid, match="same time"):
        closures.create_closure(**leave(cast), plan=plan)


def test_a_group_is_kept_or_cancelled_as_a_whole(cast: Cast) -> None:
    group = db.session.get_one(HealthcareService, cast.checkup_id)
    group.capacity = 4
    db.session.flush()
    session = sessions.create_session(
        service_id=group.id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.dana.actor
    )
    seat = sessions.book_seat(session.id, actor=cast.ana.actor)
    [proposal] = closures.preview_closure(**leave(cast))
    assert (proposal.appointment.id, proposal.proposals, proposal.suggested) == (session.appointment.id, [], "cancel")
    move = {"appointment_id": session.appointment.id, "action": "move", "start": cast.at(9, weeks=2)}
    with pytest.raises(Invalid):
        closures.create_closure(**leave(cast), plan=[move])
    closures.create_closure(**leave(cast), plan=as_suggested([proposal]))
    assert carrying_out.carry_out_due() == 1
    assert now(seat.id).status == "cancelled"
    assert letters()["appointment-cancelled-leave", seat.id] == 1


def test_longer_leave_asks_about_those_who_are_newly_in_the_way_only(cast: Cast, twelve: list[Appointment]) -> None:
    made = closures.create_closure(**leave(cast), plan=as_suggested(closures.preview_closure(**leave(cast))))
    carrying_out.carry_out_due()
    later = visit(cast, cast.at(9, weekday=3))
    db.session.commit()
    longer = {"end": leave(cast, days=2)["end"]}
    with pytest.raises(PlanIncomplete) as refusal:
        closures.change_closure(made.id, longer, if_version=None, actor=cast.dana.actor)
    assert refusal.value.extra["missing"] == [str(later.id)]
    plan = as_suggested(closures.preview_change(made.id, longer, actor=cast.dana.actor))
    closures.change_closure(made.id, longer, plan=plan, if_version=made.version, actor=cast.dana.actor)
    assert carrying_out.carry_out_due() == 1
    with pytest.raises(Stale):
        closures.change_closure(made.id, {"reason": "x"}, if_version=1, actor=cast.dana.actor)


def test_who_was_moved_into_what_the_leave_covers_later_is_asked_about_again(cast: Cast) -> None:
    one = visit(cast, cast.at(9), db.session.get_one(Patient, cast.ana.patient_id))
    db.session.commit()
    move = {"appointment_id": one.id, "action": "move", "start": cast.at(9, weekday=3)}
    made = closures.create_closure(**leave(cast), plan=[move])
    assert carrying_out.carry_out_due() == 1
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []
    longer = {"end": leave(cast, days=2)["end"]}
    assert [each.appointment.id for each in closures.preview_change(made.id, longer, actor=cast.dana.actor)] == [one.id]
    with pytest.raises(PlanIncomplete):
        closures.change_closure(made.id, longer, if_version=None, actor=cast.dana.actor)
    keep = [{"appointment_id": one.id, "action": "keep"}]
    closures.change_closure(made.id, longer, plan=keep, if_version=None, actor=cast.dana.actor)
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []
    assert closures.read_progress(made.id, actor=cast.dana.actor).in_the_way == []


@pytest.fixture
def somebody_waits(cast: Cast) -> None:
    db.session.add(WaitlistEntry(patient_id=cast.bea.patient_id, service_id=cast.checkup_id, status="waiting"))
    db.session.flush()


@pytest.mark.usefixtures("somebody_waits")
def test_withdrawn_leave_frees_the_hours_within_it(cast: Cast) -> None:
    made = closures.create_closure(**leave(cast, days=2))
    closures.change_closure(made.id, {"end": leave(cast)["end"]}, if_version=None, actor=cast.dana.actor)
    closures.delete_closure(made.id, actor=cast.dana.actor)
    freed = db.session.scalars(select(FreedTime).order_by(FreedTime.id)).all()
    assert [(each.during.lower, each.during.upper, each.cause) for each in freed] == [
        (cast.at(9, weekday=3), cast.at(17, weekday=3), "opened"),
        (cast.at(9), cast.at(17), "opened"),
    ]
    assert openings.AHEAD.days == 60


def test_patients_and_practitioners_do_not_enter_leave(cast: Cast) -> None:
    for person in (cast.ana, cast.dr_cho):
        with pytest.raises(NotAllowed):
            closures.preview_closure(**leave(cast, actor=person.actor))
        with pytest.raises(NotAllowed):
            closures.create_closure(**leave(cast, actor=person.actor))


def test_practitioners_read_what_binds_them(cast: Cast) -> None:
    mine = closures.create_closure(**leave(cast))
    closures.create_closure(**leave(cast, practitioner_id=cast.dr_diaz.practitioner_id))
    everybodys = closures.create_closure(**leave(cast, practitioner_id=None, kind="holiday"))
    found, _ = closures.list_closures(actor=cast.dr_cho.actor)
    assert [each.id for each in found] == [mine.id, everybodys.id]
    with pytest.raises(NotAllowed):
        closures.list_closures(actor=cast.ana.actor)


def test_a_closed_location_strands_nobody_of_another_one(cast: Cast, twelve: list[Appointment]) -> None:
    found = closures.preview_closure(**leave(cast, practitioner_id=None, location_id=cast.location_id))
    assert len(found) == 12
    starts = {time.start for each in found for time in each.proposals}
    assert min(starts) >= leave(cast)["end"]


def test_holidays_are_proposed_until_they_are_entered(cast: Cast) -> None:
    year = clock.today(ZONE).year + 1
    with pytest.raises(Invalid, match="country"):
        public_holidays.propose_holidays(cast.location_id, year=year, actor=cast.dana.actor)
    location = db.session.get_one(Location, cast.location_id)
    location.country, location.region = "US", "NY"
    db.session.flush()
    found = public_holidays.propose_holidays(cast.location_id, year=year, actor=cast.dana.actor)
    [fourth] = [each for each in found if each.on == date(year, 7, 4)]
    assert fourth.start == clock.start_of_day(fourth.on, ZONE)
    assert any("Lincoln" in each.name for each in found)  # of the state
    closures.create_closure(
        start=fourth.start, end=fourth.end, location_id=location.id, kind="holiday", reason=fourth.name,
        actor=cast.dana.actor,
    )  # fmt: skip
    left = public_holidays.propose_holidays(cast.location_id, year=year, actor=cast.dana.actor)
    assert [each.on for each in found if each not in left] == [fourth.on]
    location.region = "Nowhere"
    db.session.flush()
    with pytest.raises(Invalid, match="not known"):
        public_holidays.propose_holidays(cast.location_id, year=year, actor=cast.dana.actor)


def test_the_closed_time_is_not_offered(cast: Cast, twelve: list[Appointment]) -> None:
    closures.create_closure(**leave(cast), plan=as_suggested(closures.preview_closure(**leave(cast))))
    carrying_out.carry_out_due()
    wanted = leave(cast)
    free = availability.search(
        cast.checkup_id,
        from_at=wanted["start"],
        to_at=wanted["end"],
        practitioner_id=cast.dr_cho.practitioner_id,
    )
    assert free == []


@pytest.mark.parametrize("who", ["dana", "dr_cho"])
def test_staff_see_what_a_practitioner_would_be_stranded_by(cast: Cast, who: str) -> None:
    person: Person = getattr(cast, who)
    for practitioner in (cast.dr_cho, cast.dr_diaz):
        at_night = visit(cast, cast.at(22), practitioner=db.session.get_one(Practitioner, practitioner.practitioner_id))
    found, _ = stranded.list_stranded(actor=person.actor)
    assert {each.cause for each in found} == {"hours"}
    assert len(found) == (2 if who == "dana" else 1)
    at_night.override_reason = "She works in shifts."
    db.session.flush()
    assert len(stranded.list_stranded(actor=cast.dana.actor)[0]) == 1


def test_a_visit_that_is_in_the_way_again_is_on_the_list_again(cast: Cast) -> None:
    anas = visit(cast, cast.at(9), cast.patient(cast.ana))
    steps.take_step(anas.id, step="no-show", actor=cast.dana.actor)  # by mistake, and taken back too late
    made = closures.create_closure(**leave(cast))
    assert stranded.list_stranded(actor=cast.dana.actor)[0] == []
    steps.take_step(anas.id, step="undo", actor=cast.dana.actor)
    assert [each.appointment.id for each in stranded.list_stranded(actor=cast.dana.actor)[0]] == [anas.id]
    closures.delete_closure(made.id, actor=cast.dana.actor)


def test_a_visit_that_was_not_in_the_way_for_a_moment_is_not_forgotten(cast: Cast) -> None:
    anas = visit(cast, cast.at(9), cast.patient(cast.ana))
    made = closures.create_closure(**leave(cast), plan=[{"appointment_id": anas.id, "action": "cancel"}])
    steps.take_step(anas.id, step="no-show", actor=cast.dana.actor)
    carrying_out.carry_out_due()  # not in the way any more
    steps.take_step(anas.id, step="undo", actor=cast.dana.actor)
    assert [each.appointment.id for each in stranded.list_stranded(actor=cast.dana.actor)[0]] == [anas.id]
    assert [each.id for each in closures.read_progress(made.id, actor=cast.dana.actor).in_the_way] == [anas.id]
    plan = [{"appointment_id": anas.id, "action": "cancel"}]
    closures.change_closure(made.id, {}, plan=plan, if_version=None, actor=cast.dana.actor)
    carrying_out.carry_out_due()
    assert db.session.get_one(Appointment, anas.id, populate_existing=True).status == "cancelled"
