"""A2: whatever people do, one by one, the database says what the model says; and from threads nothing doubles."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import time
from random import Random

import pytest
from flask import Flask
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import text, update

from server.errors import DomainError
from server.extensions import db
from server.models import ClinicSettings
from server.services import booking, closures, holds, offers, sessions, waitlist
from server.services.access import Actor
from server.services.occupancy import SlotTaken, free_expired_holds
from server.services.steps import take_step
from server.services.stranded import list_stranded
from tests.bars import ledger, never
from tests.bars.crowd import Somebody
from tests.bars.live_clinic import all_at_once
from tests.bars.morning.base import expire
from tests.bars.morning.groups import Groups
from tests.bars.morning.leave import Leave
from tests.bars.morning.series import SeriesOfVisits
from tests.bars.morning.waiting import Waiting
from tests.bars.seeds import SEED, dice
from tests.bars.small_clinic import build
from tests.bars.waiting_model import OFFERS_A_WEEK
from tests.cast import Cast


class Morning(SeriesOfVisits, Leave, Groups, Waiting):
    """Everything that people do at the small clinic, in any order, and what the clock does by itself."""

    @rule(job=st.sampled_from(["offer", "offer", "offer", "end offers", "free holds", "no-shows", "plans", "plans"]))
    def the_clock_comes_round(self, job: str) -> None:
        if job == "offer":
            self.the_engine_offers_what_is_free()
        elif job == "end offers":
            self.the_clock_ends_what_is_over()
        elif job == "free holds":
            free_expired_holds()
        elif job == "no-shows":
            self.the_clock_marks_who_did_not_come()
        else:
            self.the_plans_are_carried_out()


@pytest.fixture(autouse=True)
def _offers(cast: Cast) -> None:
    """Offers at any hour, and not many to one patient."""
    values = {"quiet_from": time(0), "quiet_until": time(0), "offers_a_week": OFFERS_A_WEEK}
    db.session.execute(update(ClinicSettings).values(**values))
    db.session.commit()


def run(cast: Cast, *, examples: int, length: int) -> None:
    machine = type("AMorning", (Morning,), {"clinic": build(cast), "actors": actors(cast)})
    db.session.commit()
    run_state_machine_as_test(
        seed(SEED)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=length,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.real_commits  # in one long transaction, what was deleted stays in the way of every look
@pytest.mark.parametrize(
    ("examples", "length"), [(10, 25), pytest.param(200, 50, marks=pytest.mark.nightly)], ids=["quick", "full"]
)
def test_A2_the_database_is_what_the_model_says(cast: Cast, examples: int, length: int) -> None:
    dice("A2")
    run(cast, examples=examples, length=length)


def actors(cast: Cast) -> tuple[Actor, Actor, Actor]:
    return cast.ana.actor, cast.bea.actor, cast.dana.actor


def test_A2_an_expired_hold_does_not_keep_a_no_show_from_being_taken_back(cast: Cast) -> None:
    clinic = build(cast)
    ana, bea, dana = actors(cast)
    when = {"service_id": clinic.talk, "practitioner_id": clinic.doctors[0], "start": clinic.start(1)}
    visit = booking.book_appointment(**when, actor=ana)
    take_step(visit.id, step="no-show", actor=dana)
    held = holds.hold_time(**when, minutes=5, actor=bea)
    with pytest.raises(SlotTaken):
        take_step(visit.id, step="undo", actor=dana)
    expire(held.id)
    assert take_step(visit.id, step="undo", actor=dana).status == "booked"


# --- the same from eight threads ---


def eight_threads(
    app: Flask, act: Callable[[Random], str], dice_of: Sequence[Random], *, commands: int
) -> Counter[str]:
    """Each with dice of its own; how often each outcome was."""
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()

    def do_things(rng: Random) -> None:
        for _ in range(commands):
            with app.app_context():
                try:
                    outcome = act(rng)
                except DomainError as refusal:
                    outcome = type(refusal).__name__
            with lock:
                outcomes[outcome] += 1

    all_at_once(dice_of, do_things)
    return outcomes


@pytest.mark.real_commits
@pytest.mark.parametrize("commands", [30, pytest.param(400, marks=pytest.mark.nightly)])
def test_A2_eight_threads_do_what_they_like_and_nothing_doubles(app: Flask, cast: Cast, commands: int) -> None:
    clinic, everybody = build(cast), actors(cast)
    db.session.commit()
    outcomes = eight_threads(
        app,
        lambda rng: Somebody(clinic, everybody, rng).act(),
        [dice("A2", thread) for thread in range(8)],
        commands=commands,
    )
    assert sum(outcomes.values()) == 8 * commands
    assert never.found(db.session.connection()) == []
    listed, _ = list_stranded(actor=cast.dana.actor, limit=500)
    assert never.unplanned(db.session.connection()) <= {each.appointment.id for each in listed}
    assert never.untold(db.session.connection()) == []
    assert outcomes["TooBusy"] == 0, outcomes
    assert outcomes["done"] > 2 * commands, outcomes


@pytest.mark.real_commits
def test_A2_control_without_the_constraints_threads_double(app: Flask, cast: Cast) -> None:
    """All eight throw the same, so they want the same at the same time."""
    clinic, everybody = build(cast), actors(cast)
    db.session.commit()
    found: list[str] = []
    with ledger.connect(app.config["FRONTDESK"].postgresql_url) as connection, ledger.NoConstraints(connection):
        for number in range(20):
            same = [dice("A2 control", number) for _ in range(8)]
            eight_threads(app, lambda rng: str(Somebody(clinic, everybody, rng).do_book()), same, commands=3)
            found = never.found(db.session.connection())
            db.session.rollback()
            if found:
                break
    assert any(name.startswith("two with the same") for name in found), "nothing doubled: this bar would not notice"


# --- would it notice? ---


def give_up_a_time(machine: Morning) -> None:
    machine.somebody_waits(patient=1, service=0)
    machine.book(who=0, patient=0, doctor=0, service=0, start=2, week=1, reason="")
    machine.cancel(number=0, by_dana=False)


def carry_out_a_plan(machine: Morning) -> None:
    machine.book(who=0, patient=0, doctor=0, service=0, start=2, week=1, reason="")
    machine.enter_leave(doctor=0, start=1, week=1, length=3, decisions=["cancel"] * 4, forget=False)
    machine.the_plans_are_carried_out()


def want_three_scans(machine: Morning) -> None:
    for start in (1, 3, 5):
        machine.book(who=0, patient=0, doctor=0, service=1, start=start, week=1, reason="")


def take_an_offer(machine: Morning) -> None:
    machine.book(who=0, patient=0, doctor=0, service=0, start=4, week=2, reason="")
    machine.join_for_an_earlier_time(number=0, doctor=None, window=None, by_dana=False)
    machine.book(who=1, patient=1, doctor=0, service=0, start=2, week=1, reason="")
    machine.a_time_goes_round(number=1, by_dana=True, answer="accept", again="accept")


def gone(*_: object, **__: object) -> list[object]:
    return []


def done(_: object) -> str:
    return "Done."


# What goes wrong, where, and a story in which it shows.
MISTAKES = {
    "what becomes free is not written down": ("server.services.freed.by_appointment", gone, give_up_a_time),
    "a plan is marked as done, and nothing was": ("server.services.carrying_out._do", done, carry_out_a_plan),
    "a limit is not asked about": ("server.services.rules.against_patient", gone, want_three_scans),
    "who accepts keeps the old time, too": ("server.services.offers._move", gone, take_an_offer),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_A2_control_the_model_notices_a_mistake(monkeypatch: pytest.MonkeyPatch, cast: Cast, mistake: str) -> None:
    where, instead, story = MISTAKES[mistake]
    machine = type("AMorning", (Morning,), {"clinic": build(cast), "actors": actors(cast)})

    def tell() -> None:
        told = machine()
        story(told)
        told.all_is_well()

    tell()
    monkeypatch.setattr(where, instead)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        tell()


# What is done to the database behind everybody's back, and what it is called.
WRONGS = {
    "an offer that stands without a hold": "DELETE FROM appointments WHERE status = 'proposed'",
    "a hold for an offer that is over": "UPDATE waitlist_offers SET status = 'declined'",
    "an accepted offer without its one visit": "UPDATE waitlist_offers SET status = 'accepted'",
    "a wish that was fulfilled twice, or never": "UPDATE waitlist_entries SET status = 'booked'",
    "an offer to somebody who does not wait": "UPDATE waitlist_entries SET status = 'left'",
    "a seat in a group that is cancelled": """
        UPDATE appointments SET status = 'cancelled' WHERE lane = 0 AND session_id IS NOT NULL""",
    "a seat beyond the capacity": """
        ALTER TABLE appointments DROP CONSTRAINT ck_appointments_seat_is_within_capacity;
        UPDATE appointments SET lane = 9 WHERE lane > 0""",
    "a visit in a closure of which no plan says anything": "DELETE FROM closure_plan_items",
    "a visit that nobody was told of": "DELETE FROM outbox_messages",
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_A2_control_what_never_may_be_is_noticed(cast: Cast, wrong: str) -> None:
    clinic = build(cast)
    ana, bea, dana = actors(cast)
    when = {"practitioner_id": clinic.doctors[0], "start": clinic.start(1)}
    group = sessions.create_session(service_id=clinic.group, **when, actor=dana)
    sessions.book_seat(group.id, actor=ana)
    waitlist.join(service_id=clinic.talk, notice_minutes=60, actor=bea)
    given_up = booking.book_appointment(service_id=clinic.talk, **when | {"start": clinic.start(3)}, actor=ana)
    booking.cancel_appointment(given_up.id, actor=ana)
    offers.offer_freed_times()
    plan = [{"appointment_id": group.appointment.id, "action": "keep"}]
    closures.create_closure(start=clinic.start(1), end=clinic.start(2), plan=plan, actor=dana)
    assert judged() == []
    db.session.execute(text(WRONGS[wrong]))
    assert wrong in judged()


def judged() -> list[str]:
    connection = db.session.connection()
    out = never.found(connection)
    out += ["a visit in a closure of which no plan says anything"] * bool(never.unplanned(connection))
    return out + ["a visit that nobody was told of"] * bool(never.untold(connection))
