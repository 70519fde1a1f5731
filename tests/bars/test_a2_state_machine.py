"""A2: whatever people do, one by one, the database says what the model says; and from threads nothing doubles."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from server.errors import DomainError
from server.extensions import db
from server.models import Appointment, Closure
from server.services import booking, holds, occupancy
from server.services.access import Actor
from server.services.occupancy import SlotTaken
from server.services.steps import approve_request, decline_request, expire_requests, take_step
from server.utils.tokens import new_id
from tests.bars import ledger
from tests.bars.live_clinic import all_at_once
from tests.bars.seeds import SEED, dice
from tests.bars.small_clinic import HALF_HOUR, MAX_SCANS, OPEN, STARTS, STEPS, Model, Row, SmallClinic, build
from tests.cast import Cast

doctors, services, patients, people = st.integers(0, 1), st.booleans(), st.integers(0, 1), st.integers(0, 2)
starts, picks = st.integers(0, STARTS - 1), st.integers(0, 99)
steps = st.sampled_from(["arrive", "complete", "no-show", "undo"])
reasons = st.sampled_from(["", "override_reason", "overbook_reason"])


class Morning(RuleBasedStateMachine):
    """Ana, bea and dana at the small clinic; every command's outcome is foretold by the model."""

    clinic: SmallClinic
    actors: tuple[Actor, Actor, Actor]  # ana, bea, dana

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(self.clinic)
        self.events = 0
        db.session.execute(text("TRUNCATE audit_events, appointments, closures CASCADE"))
        db.session.commit()

    # --- what people do ---

    @rule(who=patients, doctor=doctors, scan=services, start=starts)
    def hold(self, who: int, doctor: int, scan: bool, start: int) -> None:
        actor, what = self.actors[who], self.what(doctor, scan, start)
        want = self.model.wanted(new_id(), **what, status="proposed", holder=actor.user_id)
        self.expect(
            self.model.holding(want),
            lambda: holds.hold_time(**named(what), minutes=5, actor=actor),
            lambda held: replace(want, id=held.id),
        )

    @rule(pick=picks)
    @precondition(lambda self: self.of("proposed"))
    def time_passes_and_a_hold_expires(self, pick: int) -> None:
        held = self.pick(pick, "proposed")
        expire(held.id)
        del self.model.rows[held.id]

    @rule()
    def the_clock_frees_what_has_expired(self) -> None:
        occupancy.free_expired_holds()

    @rule(pick=picks)
    @precondition(lambda self: self.of("proposed"))
    def let_a_hold_go(self, pick: int) -> None:
        held = self.pick(pick, "proposed")
        holds.release_hold(held.id, actor=self.owner(held))
        self.events += 1
        del self.model.rows[held.id]

    @rule(who=people, patient=patients, doctor=doctors, scan=services, start=starts, reason=reasons)
    def book(self, who: int, patient: int, doctor: int, scan: bool, start: int, reason: str) -> None:
        actor = self.actors[who]
        is_dana = who == 2
        patient_id = self.actors[patient if is_dana else who].own_patient_id
        what = self.what(doctor, scan, start)
        status = "pending" if scan and not is_dana else "booked"
        want = self.model.wanted(new_id(), **what, status=status, patient=patient_id)
        over = {reason: "urgent"} if reason and is_dana else {}
        override, overbook = "override_reason" in over, "overbook_reason" in over
        if overbook and self.model.in_the_way(want) in (SlotTaken, booking.PatientBusy):
            want = replace(want, lane=self.model.lane_over(want))
            if want.lane < -occupancy.LANES:
                return
        self.expect(
            self.model.booking(want, override=override, overbook=overbook),
            lambda: booking.book_appointment(**named(what), patient_id=patient_id, actor=actor, **over),
            lambda booked: replace(want, id=booked.id),
        )

    @rule(pick=picks, answer=st.sampled_from(["approve", "decline", "expire"]))
    @precondition(lambda self: self.visits())
    def answer(self, pick: int, answer: str) -> None:
        visit = self.visit(pick)
        if answer == "expire":
            db.session.execute(
                text("UPDATE appointments SET answer_by = clock_timestamp() WHERE id = :id AND status = 'pending'"),
                {"id": visit.id},
            )
            db.session.commit()
            assert expire_requests() == (visit.status == "pending")
            if visit.status == "pending":
                self.model.rows[visit.id] = replace(visit, status="cancelled")
                self.events += 1
            return
        command = approve_request if answer == "approve" else decline_request
        self.expect(
            None if visit.status == "pending" else booking.WrongState,
            lambda: command(visit.id, actor=self.actors[2]),
            lambda _: replace(visit, status="booked" if answer == "approve" else "cancelled"),
        )

    @rule(pick=picks)
    @precondition(lambda self: self.of("proposed"))
    def book_what_is_held(self, pick: int) -> None:
        held = self.pick(pick, "proposed")
        actor = self.owner(held)
        status = "pending" if held.service == self.clinic.scan else "booked"
        want = replace(held, status=status, patient=actor.own_patient_id, holder=None)
        what = {"doctor": held.doctor, "service": held.service, "start": held.start}

        def keep(booked: Appointment) -> Row:
            del self.model.rows[held.id]
            return replace(want, id=booked.id)

        self.expect(
            self.model.booking(want, override=False, hold=held.id),
            lambda: booking.book_appointment(**named(what), hold_id=held.id, actor=actor),
            keep,
        )

    @rule(pick=picks, doctor=doctors, start=starts, by_dana=st.booleans())
    @precondition(lambda self: self.visits())
    def move(self, pick: int, doctor: int, start: int, by_dana: bool) -> None:
        visit = self.visit(pick)
        what = self.what(doctor, visit.service == self.clinic.scan, start)
        want = self.model.wanted(visit.id, **what, status=visit.status, patient=visit.patient)
        actor = self.actors[2] if by_dana else self.patient_of(visit)
        self.expect(
            self.model.moving(visit, want),
            lambda: booking.reschedule_appointment(
                visit.id, start=what["start"], practitioner_id=what["doctor"], actor=actor
            ),
            lambda _: want,
        )

    @rule(pick=picks)
    @precondition(lambda self: self.visits())
    def cancel(self, pick: int) -> None:
        visit = self.visit(pick)
        self.expect(
            None if visit.status in OPEN else booking.WrongState,
            lambda: booking.cancel_appointment(visit.id, actor=self.patient_of(visit)),
            lambda _: replace(visit, status="cancelled"),
        )

    @rule(pick=picks, step=steps)
    @precondition(lambda self: self.visits())
    def step(self, pick: int, step: str) -> None:
        visit = self.visit(pick)
        self.expect(
            self.model.stepping(visit, step),
            lambda: take_step(visit.id, step=step, actor=self.actors[2]),
            lambda _: replace(visit, status=STEPS[visit.status, step]),
        )

    @rule(doctor=st.one_of(st.none(), doctors), start=starts, length=st.integers(1, 3))
    @precondition(lambda self: len(self.model.closures) < 2)
    def close(self, doctor: int | None, start: int, length: int) -> None:
        who = None if doctor is None else self.clinic.doctors[doctor]
        begin, end = self.clinic.start(start), self.clinic.start(start) + length * HALF_HOUR
        db.session.add(Closure(practitioner_id=who, during=Range(begin, end, bounds="[)")))
        db.session.commit()
        self.model.closures.append((who, begin, end))

    @rule()
    @precondition(lambda self: self.model.closures)
    def open_again(self) -> None:
        db.session.execute(text("DELETE FROM closures"))
        db.session.commit()
        self.model.closures.clear()

    # --- what is always true ---

    @invariant()
    def nothing_overlaps(self) -> None:
        for who, when, lane in ledger.CONSTRAINTS.values():
            pairs = f"""
                SELECT count(*) FROM appointments a JOIN appointments b
                    ON a.{who} = b.{who} AND a.{when} && b.{when} AND a.id < b.id
                   {"AND a.lane = b.lane" if lane else ""}
                 WHERE a.status IN {ledger.OCCUPYING} AND b.status IN {ledger.OCCUPYING}"""
            assert db.session.scalar(text(pairs)) == 0

    @invariant()
    def the_database_is_the_model(self) -> None:
        live = text("appointments.status <> 'proposed' OR appointments.hold_expires_at > clock_timestamp()")
        stored = {row.id: row for row in db.session.query(Appointment).filter(live).populate_existing()}
        assert stored.keys() == self.model.rows.keys()
        for row in self.model.rows.values():
            found = stored[row.id]
            assert (found.status, found.start, found.end, found.lane) == (row.status, row.start, row.end, row.lane)
            assert (found.occupied.lower, found.occupied.upper) == (row.start, row.end + row.buffer)
            assert (found.practitioner_id, found.room_id, found.patient_id) == (row.doctor, row.room, row.patient)

    @invariant()
    def every_change_is_on_record_once(self) -> None:
        assert db.session.scalar(text("SELECT count(*) FROM audit_events")) == self.events

    # --- the parts ---

    def expect(self, error: type[Exception] | None, command: Callable[[], Any], outcome: Callable[[Any], Row]) -> None:
        """Run a command: it raises what was foretold, or its outcome goes into the model."""
        if error is not None:
            with pytest.raises(error):
                command()
            return
        row = outcome(command())
        self.model.rows[row.id] = row
        self.events += 1

    def what(self, doctor: int, scan: bool, start: int) -> dict[str, Any]:
        service = self.clinic.scan if scan else self.clinic.talk
        return {"doctor": self.clinic.doctors[doctor], "service": service, "start": self.clinic.start(start)}

    def of(self, *statuses: str) -> list[Row]:
        return [row for row in self.model.rows.values() if row.status in statuses]

    def pick(self, number: int, *statuses: str) -> Row:
        rows = self.of(*statuses)
        return rows[number % len(rows)]

    def visits(self) -> list[Row]:
        return [row for row in self.model.rows.values() if row.status != "proposed"]

    def visit(self, number: int) -> Row:
        return self.visits()[number % len(self.visits())]

    def owner(self, held: Row) -> Actor:
        return next(actor for actor in self.actors if actor.user_id == held.holder)

    def patient_of(self, visit: Row) -> Actor:
        return next(actor for actor in self.actors if actor.own_patient_id == visit.patient)


def named(what: dict[str, Any]) -> dict[str, Any]:
    """In the words of the commands."""
    return {"service_id": what["service"], "practitioner_id": what["doctor"], "start": what["start"]}


@pytest.mark.real_commits  # in one long transaction, what was deleted stays in the way of every look
@pytest.mark.parametrize(
    ("examples", "length"), [(15, 30), pytest.param(200, 50, marks=pytest.mark.nightly)], ids=["quick", "full"]
)
def test_A2_the_database_is_what_the_model_says(cast: Cast, examples: int, length: int) -> None:
    dice("A2")
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


def actors(cast: Cast) -> tuple[Actor, Actor, Actor]:
    return cast.ana.actor, cast.bea.actor, cast.dana.actor


# --- the same from eight threads ---


@pytest.mark.real_commits
@pytest.mark.parametrize("commands", [40, pytest.param(400, marks=pytest.mark.nightly)])
def test_A2_eight_threads_do_what_they_like_and_nothing_doubles(app: Flask, cast: Cast, commands: int) -> None:
    clinic = build(cast)
    db.session.commit()
    everybody = actors(cast)
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()

    def do_things(thread: int) -> None:
        rng = dice("A2", thread)
        for _ in range(commands):
            with app.app_context():
                try:
                    outcome = do_one_thing(clinic, everybody, rng)
                except DomainError as refusal:
                    outcome = type(refusal).__name__
            with lock:
                outcomes[outcome] += 1

    all_at_once(range(8), do_things)
    with ledger.connect(app.config["FRONTDESK"].postgresql_url) as connection:
        ledger.check(connection, [str(clinic.talk), str(clinic.scan)])
        scans = """
            SELECT count(*) AS n FROM appointments
             WHERE status = 'booked' AND service_id = %s AND override_reason = '' GROUP BY patient_id"""
        assert all(row["n"] <= MAX_SCANS for row in connection.execute(scans, [clinic.scan]).fetchall())
    assert sum(outcomes.values()) == 8 * commands
    assert outcomes["TooBusy"] == 0, outcomes
    assert outcomes["done"] > commands, outcomes


def do_one_thing(clinic: SmallClinic, everybody: tuple[Actor, Actor, Actor], rng: Random) -> str:
    """A random command of a random person, on whatever there is at this moment."""
    actor = rng.choice(everybody)
    patient_id = (actor if actor.own_patient_id else rng.choice(everybody[:2])).own_patient_id
    start, doctor = clinic.start(rng.randrange(STARTS)), rng.choice(clinic.doctors)
    what = {"service_id": rng.choice([clinic.talk, clinic.scan]), "practitioner_id": doctor, "start": start}
    command = rng.choice(
        ["hold", "book", "book", "book held", "move", "move", "cancel", "step", "expire", "free", "close"]
    )
    if command == "hold":
        holds.hold_time(**what, minutes=5, actor=actor)
    elif command == "book":
        override = {"override_reason": "urgent"} if not actor.own_patient_id and rng.random() < 0.5 else {}
        booking.book_appointment(**what, patient_id=patient_id, actor=actor, **override)
    elif command == "expire":
        expire(some(rng, "proposed"))
    elif command == "free":
        occupancy.free_expired_holds()
    elif command == "close":
        if rng.random() < 0.5:
            db.session.execute(text("DELETE FROM closures"))
        else:
            db.session.add(Closure(practitioner_id=doctor, during=Range(start, start + HALF_HOUR, bounds="[)")))
        db.session.commit()
    elif command == "book held":
        held_id = some(rng, "proposed")
        held = held_id and db.session.get(Appointment, held_id)
        if not held:
            return "nothing there"
        values = {"service_id": held.service_id, "practitioner_id": held.practitioner_id, "start": held.start}
        db.session.commit()
        booking.book_appointment(**values, hold_id=held_id, patient_id=patient_id, actor=actor)
    else:
        visit_id = some(rng, "booked", "arrived", "noshow")
        if visit_id is None:
            return "nothing there"
        if command == "move":
            booking.reschedule_appointment(visit_id, start=start, practitioner_id=doctor, actor=actor)
        elif command == "cancel":
            booking.cancel_appointment(visit_id, actor=actor)
        else:
            take_step(visit_id, step=rng.choice(["arrive", "no-show", "undo"]), actor=everybody[2])
    return "done"


def expire(hold_id: UUID | None) -> None:
    db.session.execute(
        text("UPDATE appointments SET hold_expires_at = clock_timestamp() WHERE id = :id AND status = 'proposed'"),
        {"id": hold_id},
    )
    db.session.commit()


def some(rng: Random, *statuses: str) -> UUID | None:
    query = text("SELECT id FROM appointments WHERE status = ANY(:statuses) ORDER BY id")
    found = list(db.session.scalars(query, {"statuses": list(statuses)}))
    db.session.commit()
    return rng.choice(found) if found else None
