"""Holds, bookings over and beside one another, requests, moves, and the steps through the day."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import text

from server.extensions import db
from server.models import Appointment
from server.services import booking, holds, occupancy
from server.services.occupancy import SlotTaken
from server.services.steps import approve_request, decline_request, expire_requests, mark_no_shows, take_step
from server.services.transaction import database_now
from server.utils.tokens import new_id
from tests.bars.morning.base import (
    Base,
    doctors,
    expire,
    named,
    patients,
    people,
    pick,
    picks,
    the_hour_comes,
    weeks,
)
from tests.bars.small_clinic import STARTS, Row

starts, services = st.integers(0, STARTS - 1), st.integers(0, 1)  # a talk or a scan
steps = st.sampled_from(["arrive", "complete", "no-show", "undo"])
reasons = st.sampled_from(["", "override_reason", "overbook_reason"])


class Booking(Base):
    @rule(who=patients, doctor=doctors, service=services, start=starts, week=weeks)
    def hold(self, who: int, doctor: int, service: int, start: int, week: int) -> None:
        actor, what = self.actors[who], self.what(doctor, service, self.clinic.start(start, week))
        want = self.model.wanted(new_id(), **what, status="proposed", holder=actor.user_id)
        self.expect(
            self.model.holding(want),
            lambda: holds.hold_time(**named(what), minutes=5, actor=actor),
            lambda held: replace(want, id=held.id),
        )

    @rule(number=picks, end=st.sampled_from(["expires", "is let go", "is booked"]))
    @precondition(lambda self: self.held())
    def a_hold_ends(self, number: int, end: str) -> None:
        held = pick(number, self.held())
        if end == "is booked":
            self.book_what_is_held(held)
            return
        if end == "expires":
            expire(held.id)
        else:
            holds.release_hold(held.id, actor=self.owner(held))
            self.events += 1
        del self.model.rows[held.id]

    @rule(who=people, patient=patients, doctor=doctors, service=services, start=starts, week=weeks, reason=reasons)
    def book(self, who: int, patient: int, doctor: int, service: int, start: int, week: int, reason: str) -> None:
        actor = self.actors[who]
        is_dana = who == 2
        patient_id = self.actors[patient if is_dana else who].own_patient_id
        what = self.what(doctor, service, self.clinic.start(start, week))
        status = "pending" if service == 1 and not is_dana else "booked"
        want = self.model.wanted(new_id(), **what, status=status, patient=patient_id)
        over = {reason: "urgent"} if reason and is_dana else {}
        override, overbook = "override_reason" in over, "overbook_reason" in over
        if overbook and self.model.in_the_way(want) in (SlotTaken, booking.PatientBusy):
            want = replace(want, lane=self.model.lane_over(want), on_purpose=True)
            if want.lane < -occupancy.LANES:
                return
        want = replace(want, on_purpose=want.on_purpose or override)
        self.expect(
            self.model.booking(want, override=override, overbook=overbook),
            lambda: booking.book_appointment(**named(what), patient_id=patient_id, actor=actor, **over),
            lambda booked: replace(want, id=booked.id),
        )

    @rule(number=picks, answer=st.sampled_from(["approve", "decline", "expire"]))
    @precondition(lambda self: self.visits())
    def answer(self, number: int, answer: str) -> None:
        visit = pick(number, self.visits())
        if answer == "expire":
            statement = "UPDATE appointments SET answer_by = clock_timestamp() WHERE id = :id AND status = 'pending'"
            db.session.execute(text(statement), {"id": visit.id})
            db.session.commit()
            assert expire_requests() == (visit.status == "pending")
            if visit.status == "pending":
                self.model.cancel(visit, by_clinic=True)
                self.events += 1
            return
        command = approve_request if answer == "approve" else decline_request
        self.expect(
            None if visit.status == "pending" else booking.WrongState,
            lambda: command(visit.id, actor=self.dana),
            lambda _: (
                replace(visit, status="booked") if answer == "approve" else self.model.cancel(visit, by_clinic=True)
            ),
        )

    def book_what_is_held(self, held: Row) -> None:
        actor = self.owner(held)
        status = "pending" if held.service == self.clinic.scan else "booked"
        want = replace(held, status=status, patient=actor.own_patient_id, holder=None)
        what = {"doctor": held.doctor, "service": held.service, "start": held.start}

        def keep(booked: Appointment) -> Row:
            del self.model.rows[held.id]
            return replace(want, id=booked.id)

        self.expect(
            self.model.booking(want, hold=held.id),
            lambda: booking.book_appointment(**named(what), hold_id=held.id, actor=actor),
            keep,
        )

    @rule(number=picks, doctor=doctors, start=starts, week=weeks, by_dana=st.booleans())
    @precondition(lambda self: self.visits())
    def move(self, number: int, doctor: int, start: int, week: int, by_dana: bool) -> None:
        visit = pick(number, self.visits())
        want = self.moved(visit, start=self.clinic.start(start, week), doctor=self.clinic.doctors[doctor])
        actor = self.either(visit.patient, by_dana=by_dana)
        self.expect(
            self.model.moving(visit, want, by_patient=not by_dana),
            lambda: booking.reschedule_appointment(
                visit.id, start=want.start, practitioner_id=want.doctor, actor=actor
            ),
            lambda _: self.put(want),
        )

    @rule(number=picks, by_dana=st.booleans())
    @precondition(lambda self: self.visits())
    def cancel(self, number: int, by_dana: bool) -> None:
        visit = pick(number, self.visits())
        self.expect(
            self.model.cancelling(visit, by_patient=not by_dana),
            lambda: booking.cancel_appointment(visit.id, actor=self.either(visit.patient, by_dana=by_dana)),
            lambda _: self.model.cancel(visit, by_clinic=by_dana),
        )

    @rule(number=picks, step=steps)
    @precondition(lambda self: self.visits())
    def step(self, number: int, step: str) -> None:
        visit = pick(number, self.visits())
        before = database_now()
        self.expect(
            self.model.stepping(visit, step),
            lambda: take_step(visit.id, step=step, actor=self.dana),
            lambda stepped: self.stepped(visit, step, stepped, before),
        )

    # --- at this moment ---

    @rule(number=picks)
    @precondition(lambda self: self.now_possible())
    def the_hour_of_a_visit_comes(self, number: int) -> None:
        visit = pick(number, self.now_possible())
        self.model.rows[visit.id] = replace(visit, start=the_hour_comes(visit.id))

    @rule(patient=patients, doctor=doctors)
    def somebody_is_put_in_at_once(self, patient: int, doctor: int) -> None:
        """For the rest of a half hour, if the visit before them ended early."""
        what = self.what(doctor, 0, database_now() + timedelta(minutes=5))
        patient_id = self.actors[patient].own_patient_id
        want = self.model.wanted(new_id(), **what, status="booked", patient=patient_id, on_purpose=True)
        self.expect(
            self.model.booking(want, override=True),
            lambda: booking.book_appointment(
                **named(what), patient_id=patient_id, override_reason="is here", actor=self.dana
            ),
            lambda booked: replace(want, id=booked.id),
        )

    def the_clock_marks_who_did_not_come(self) -> None:
        missed = [row for row in self.rows("booked") if row.has_begun and row.service == self.clinic.talk]
        assert mark_no_shows() == len(missed)
        self.events += len(missed)
        self.model.rows |= {row.id: replace(row, status="noshow") for row in missed}

    # --- the parts ---

    def moved(self, visit: Row, *, start: datetime, doctor: Any) -> Row:
        """As it will be: with its whole time, and over no other one any more."""
        where = self.model.wanted(visit.id, doctor=doctor, service=visit.service, start=start, status=visit.status)
        return replace(where, patient=visit.patient, series=visit.series, on_purpose=visit.on_purpose)

    def put(self, want: Row) -> None:
        self.model.frees(self.model.rows[want.id])
        self.model.rows[want.id] = want

    def stepped(self, visit: Row, step: str, stepped: Appointment, before: datetime) -> Row:
        now = self.model.stepped(visit, step)
        is_early = step == "complete" and visit.service == self.clinic.talk and visit.lane == 0
        if is_early and visit.has_begun and visit.end > stepped.end:
            assert before <= stepped.end <= database_now()
            now = replace(now, length=stepped.end - visit.start)
            self.model.frees(visit, since=stepped.end)
        return now

    def now_possible(self) -> list[Row]:
        """Talks that are to come and could be at this moment."""
        out = []
        now = database_now()
        span = now - timedelta(minutes=11), now + timedelta(minutes=21)
        for row in self.rows("booked", "arrived"):
            near = [each for each in self.model.standing(row.id) if each.overlaps(*span)]
            is_free = all(each.doctor != row.doctor and each.patient != row.patient for each in near)
            if row.service == self.clinic.talk and not row.has_begun and row.lane == 0 and is_free:
                out.append(row)
        return out
