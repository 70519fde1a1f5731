"""Who may come, how often, and from when: each refusal names its rule; staff know better, with a reason."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from server.errors import NotAllowed
from server.extensions import db
from server.models import Appointment, Referral
from server.services import booking, set_up, steps, why
from server.services.booking import PatientBusy, RulesForbid, SlotTaken
from server.utils import clock
from tests.cast import Cast, Person
from tests.factories import create_appointment


def book(cast: Cast, who: Person, hour: int = 9, minute: int = 0, **over: Any):
    values = {
        "service_id": cast.checkup_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "start": cast.at(hour, minute),
        "actor": who.actor,
        **over,
    }
    return booking.book_appointment(**values)


def refused(cast: Cast, who: Person, *args: int, **over: Any) -> dict[str, Any]:
    with pytest.raises(RulesForbid) as refusal:
        book(cast, who, *args, **over)
    (reason,) = refusal.value.extra["reasons"]
    return reason


@pytest.fixture
def change(cast: Cast) -> Callable[..., None]:
    def change(**rules: Any) -> None:
        for name, value in rules.items():
            setattr(cast.checkup, name, value)
        db.session.commit()

    return change


def test_one_open_visit_of_a_kind_and_when_the_next_can_be_booked(cast: Cast, change) -> None:
    change(max_open_per_patient=1)
    first = book(cast, cast.ana)
    reason = refused(cast, cast.ana, 11)
    assert (reason["code"], reason["possible_from"][:16]) == ("limit", first.end.isoformat()[:16])
    assert "after the one on" in reason["detail"]
    assert book(cast, cast.bea, 11).status == "booked"
    booking.cancel_appointment(first.id, actor=cast.ana.actor)
    assert book(cast, cast.ana, 12).status == "booked"


def test_a_limit_over_all_services_counts_the_others(cast: Cast, change) -> None:
    change(max_open_in_all=1)
    book(cast, cast.ana, 9, service_id=cast.physio_id)
    assert refused(cast, cast.ana, 11)["code"] == "limit"


def test_one_visit_a_day_and_tomorrow_another(cast: Cast, change) -> None:
    change(max_per_day=1)
    book(cast, cast.ana)
    reason = refused(cast, cast.ana, 11)
    assert (reason["code"], "Choose another day" in reason["detail"]) == ("limit", True)
    assert book(cast, cast.ana, start=cast.at(11, weekday=3)).status == "booked"


def test_moving_the_only_visit_is_no_second_one(cast: Cast, change) -> None:
    change(max_open_per_patient=1, max_per_day=1)
    visit = book(cast, cast.ana)
    assert booking.reschedule_appointment(visit.id, start=cast.at(11), actor=cast.ana.actor).start == cast.at(11)


def test_new_patients_only_and_known_patients_only(cast: Cast, change) -> None:
    create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.physio,
        clock.now() - timedelta(days=30), status="fulfilled",
    )  # fmt: skip
    change(for_patients="new")
    assert refused(cast, cast.ana)["code"] == "patients"
    assert book(cast, cast.bea).status == "booked"
    change(for_patients="known")
    assert refused(cast, cast.bea, 11)["code"] == "patients"
    assert book(cast, cast.ana, 11).status == "booked"


def test_a_referral_opens_the_service_while_it_is_valid(cast: Cast, change) -> None:
    change(needs_referral=True)
    assert refused(cast, cast.ana)["code"] == "referral"
    with pytest.raises(NotAllowed):
        set_up.add_referral(cast.ana.patient_id, service_id=cast.checkup_id, actor=cast.ana.actor)
    values = {"service_id": cast.checkup_id, "valid_until": cast.day() - timedelta(days=1)}
    old = set_up.add_referral(cast.ana.patient_id, **values, actor=cast.dana.actor)
    assert refused(cast, cast.ana)["code"] == "referral"
    db.session.get_one(Referral, old.id).valid_until = cast.day()
    db.session.flush()
    assert book(cast, cast.ana).status == "booked"
    assert [each.id for each in set_up.list_referrals(None, actor=cast.ana.actor)] == [old.id]


@pytest.mark.parametrize(
    ("born_years", "ages", "is_free"),
    [
        (40, {"min_age_years": 18, "max_age_years": 65}, True),
        (10, {"min_age_years": 18}, False),
        (70, {"max_age_years": 65}, False),
        (65, {"max_age_years": 65}, True),
    ],
)
def test_ages_count_on_the_day_of_the_visit(cast: Cast, change, born_years: int, ages: Any, is_free: bool) -> None:
    change(**ages)
    day = cast.day()
    cast.patient(cast.ana).birth_date = date(day.year - born_years, day.month, min(day.day, 28))
    db.session.flush()
    if is_free:
        assert book(cast, cast.ana).status == "booked"
    else:
        assert refused(cast, cast.ana)["code"] == "age"


def test_a_child_is_told_from_when_on(cast: Cast, change) -> None:
    change(min_age_years=18)
    day = cast.day()
    cast.patient(cast.ana).birth_date = date(day.year - 10, 2, 28)
    db.session.flush()
    assert refused(cast, cast.ana)["possible_from"].startswith(str(day.year + 8))


def test_who_may_come_binds_patients_and_not_the_desk_but_limits_bind_both(cast: Cast, change) -> None:
    change(for_patients="known", needs_referral=True, min_age_years=100)
    for_ana = {"patient_id": cast.ana.patient_id}
    assert book(cast, cast.dana, **for_ana).status == "booked"
    change(max_open_per_patient=1)
    assert refused(cast, cast.dana, 11, **for_ana)["code"] == "limit"
    assert book(cast, cast.dana, 11, **for_ana, override_reason="She asked.").status == "booked"


def test_olga_gives_dr_diaz_a_limit_of_her_own_and_takes_it_back(cast: Cast) -> None:
    who, what = cast.dr_diaz.practitioner_id, cast.checkup_id
    set_up.put_rule(who, what, {"max_open_per_patient": 1}, actor=cast.olga.actor)
    book(cast, cast.ana)
    assert refused(cast, cast.ana, 11, practitioner_id=who)["code"] == "limit"
    assert book(cast, cast.ana, 12).status == "booked"
    set_up.delete_rule(who, what, actor=cast.olga.actor)
    assert book(cast, cast.ana, 11, practitioner_id=who).status == "booked"
    with pytest.raises(NotAllowed):
        set_up.put_rule(who, what, {}, actor=cast.dana.actor)


# --- overbooking ---


def test_dana_puts_bea_over_ana_on_purpose_and_it_says_so(cast: Cast) -> None:
    book(cast, cast.ana)
    for_bea = {"patient_id": cast.bea.patient_id}
    with pytest.raises(SlotTaken):
        book(cast, cast.dana, **for_bea)
    over = book(cast, cast.dana, **for_bea, overbook_reason="In pain.")
    assert (over.is_overbooked, over.override_reason) == (True, "In pain.")
    with pytest.raises(NotAllowed):
        book(cast, cast.ana, 9, overbook_reason="Me first.")


def test_overbooking_a_free_time_is_an_ordinary_booking(cast: Cast) -> None:
    assert not book(cast, cast.dana, patient_id=cast.bea.patient_id, overbook_reason="In case.").is_overbooked


def test_a_patient_is_never_in_two_places_not_even_on_purpose(cast: Cast) -> None:
    book(cast, cast.ana)
    with pytest.raises(PatientBusy):
        book(cast, cast.dana, patient_id=cast.ana.patient_id, overbook_reason="?")


def test_the_time_under_an_overbooked_visit_is_not_free_when_the_first_one_goes(cast: Cast) -> None:
    first = book(cast, cast.ana)
    over = book(cast, cast.dana, patient_id=cast.bea.patient_id, overbook_reason="In pain.")
    booking.cancel_appointment(first.id, actor=cast.ana.actor)
    with pytest.raises(SlotTaken):
        book(cast, cast.ana)
    moved = booking.reschedule_appointment(over.id, start=cast.at(11), actor=cast.dana.actor)
    assert not moved.is_overbooked
    assert book(cast, cast.ana).status == "booked"


# --- requests ---


def test_ana_asks_dana_approves_and_the_time_was_hers_all_along(cast: Cast, change) -> None:
    change(needs_approval=True)
    asked = book(cast, cast.ana)
    assert (asked.status, asked.answer_by is not None) == ("pending", True)
    with pytest.raises(SlotTaken):
        book(cast, cast.bea)
    with pytest.raises(NotAllowed):
        steps.approve_request(asked.id, actor=cast.ana.actor)
    assert steps.approve_request(asked.id, actor=cast.dana.actor).status == "booked"
    with pytest.raises(booking.WrongState):
        steps.decline_request(asked.id, actor=cast.dana.actor)


def test_the_desk_books_without_asking_itself(cast: Cast, change) -> None:
    change(needs_approval=True)
    assert book(cast, cast.dana, patient_id=cast.ana.patient_id).status == "booked"


def test_a_request_that_nobody_answered_is_void_and_its_time_free(cast: Cast, change) -> None:
    change(needs_approval=True)
    asked = book(cast, cast.ana)
    assert steps.expire_requests() == 0
    db.session.execute(update(Appointment).values(answer_by=clock.now()))
    db.session.commit()
    with pytest.raises(booking.WrongState):
        steps.approve_request(asked.id, actor=cast.dana.actor)
    assert (steps.expire_requests(), steps.expire_requests()) == (1, 0)
    assert book(cast, cast.bea).status == "pending"


# --- the day ---


def test_a_no_show_is_marked_only_where_the_clinic_said_so_and_can_be_undone(cast: Cast, change) -> None:
    visit = create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup,
        clock.now() - timedelta(minutes=20),
    )  # fmt: skip
    assert steps.mark_no_shows() == 0
    change(no_show_after_minutes=15)
    assert (steps.mark_no_shows(), steps.mark_no_shows()) == (1, 0)
    assert steps.no_shows_of(cast.ana.patient_id, since=clock.now() - timedelta(days=365)) == 1
    undone = steps.take_step(visit.id, step="undo", actor=cast.dana.actor)
    assert undone.status == "booked"
    assert steps.mark_no_shows() == 0, "the desk knows better than the rule"


def test_a_visit_that_ends_early_frees_the_rest_when_the_service_says_so(cast: Cast, change) -> None:
    change(frees_rest=True)
    visit = create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup,
        clock.now() - timedelta(minutes=10), status="arrived",
    )  # fmt: skip
    end = visit.end
    assert steps.take_step(visit.id, step="start", actor=cast.dana.actor).started_at is not None
    with pytest.raises(booking.WrongState):
        steps.take_step(visit.id, step="start", actor=cast.dana.actor)
    done = steps.take_step(visit.id, step="complete", actor=cast.dana.actor)
    assert (done.status, done.end < end, done.occupied.upper == done.end) == ("fulfilled", True, True)
    back = steps.take_step(visit.id, step="undo", actor=cast.dana.actor)
    assert (back.status, back.end) == ("arrived", end)
    assert steps.take_step(visit.id, step="undo", actor=cast.dana.actor).started_at is None


# --- why ---


def test_why_tells_dana_what_is_in_the_way_and_ana_only_that_something_is(cast: Cast, change) -> None:
    visit = book(cast, cast.bea)
    ask = {"practitioner_id": cast.dr_cho.practitioner_id, "start": cast.at(9)}
    (public,) = why.explain(cast.checkup_id, **ask, actor=cast.ana.actor)
    (staff,) = why.explain(cast.checkup_id, **ask, actor=cast.dana.actor)
    assert (public.code, public.blocking) == ("busy", ())
    assert [(each["type"], each["id"]) for each in staff.blocking] == [("Appointment", str(visit.id))]
    change(max_open_per_patient=1)
    ask["start"] = cast.at(11)
    assert why.explain(cast.checkup_id, **ask, actor=cast.bea.actor) == []
    (limit,) = why.explain(cast.checkup_id, **ask, patient_id=cast.bea.patient_id, actor=cast.bea.actor)
    assert limit.code == "limit"
