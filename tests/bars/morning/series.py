"""Series: booked, moved and cancelled together, all or none or what can be had."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from server.services.booking import WrongState
from server.services.occurrences import Plan, SeriesConflict
from server.services.series import Scope, book_series, cancel_series
from server.services.series_moves import move_series
from server.utils import clock
from server.utils.tokens import new_id
from tests.bars.morning.base import doctors, named, patients, people, pick, picks
from tests.bars.morning.booking import Booking, services, starts
from tests.bars.small_clinic import OPEN, WEEKS, Row, Verdict
from tests.cast import ZONE

scopes = st.sampled_from(list(Scope))
ways = st.sampled_from(["all", "skip", "dry"])


class SeriesOfVisits(Booking):
    @rule(
        who=people,
        patient=patients,
        doctor=doctors,
        service=services,
        start=starts,
        count=st.integers(2, WEEKS),
        way=ways,
    )
    def book_a_series(
        self, who: int, patient: int, doctor: int, service: int, start: int, count: int, way: str
    ) -> None:
        actor, is_dana = self.actors[who], who == 2
        patient_id = self.actors[patient if is_dana else who].own_patient_id
        status = "pending" if service == 1 and not is_dana else "booked"
        firsts = [self.what(doctor, service, self.clinic.start(start, week + 1)) for week in range(count)]
        wants = [self.model.wanted(new_id(), **what, status=status, patient=patient_id) for what in firsts]
        verdicts: list[Verdict] = []
        tried = self.model.without()
        for want in wants:  # each with those before it
            verdicts.append(tried.booking(want))
            if verdicts[-1] is None:
                tried.rows[want.id] = want
        is_free = [verdict is None for verdict in verdicts]

        def command() -> Plan:
            return book_series(
                **named(firsts[0]),
                patient_id=patient_id,
                every_n_weeks=1,
                count=count,
                skip_conflicts=way == "skip",
                dry_run=way == "dry",
                actor=actor,
            )

        if way == "dry":
            assert [each.is_free for each in command().occurrences] == is_free
            self.events += 1
        elif all(is_free) or (way == "skip" and any(is_free)):
            plan = command()
            assert [each.is_free for each in plan.occurrences] == is_free
            for want, each in zip(wants, plan.occurrences, strict=True):
                if each.appointment_id:
                    self.model.rows[each.appointment_id] = replace(want, id=each.appointment_id, series=plan.id)
            self.events += sum(is_free) + 1
        else:
            with pytest.raises(SeriesConflict) as refusal:
                command()
            assert [each.is_free for each in refusal.value.plan.occurrences] == is_free

    @rule(number=picks, scope=scopes, by_dana=st.booleans())
    @precondition(lambda self: self.of_series())
    def cancel_visits_of_a_series(self, number: int, scope: Scope, by_dana: bool) -> None:
        chosen = pick(number, self.of_series())
        visits = self.within(scope, chosen)
        verdict: Verdict = None if visits else WrongState
        if scope == Scope.THIS:
            verdict = self.model.cancelling(chosen, by_patient=not by_dana)

        def cancelled(_: Any) -> None:
            for visit in visits:
                self.model.cancel(visit, by_clinic=by_dana)

        self.expect(
            verdict,
            lambda: cancel_series(
                chosen.series,
                scope=scope,
                appointment_id=chosen.id,
                actor=self.either(chosen.patient, by_dana=by_dana),
            ),
            cancelled,
            events=len(visits) + (scope != Scope.THIS),
        )

    @rule(
        number=picks, scope=scopes, by_dana=st.booleans(), doctor=doctors, start=starts, later=st.booleans(), way=ways
    )
    @precondition(lambda self: self.of_series())
    def move_visits_of_a_series(
        self, number: int, scope: Scope, by_dana: bool, doctor: int, start: int, later: bool, way: str
    ) -> None:
        chosen = pick(number, self.of_series())
        visits = self.within(scope, chosen)
        is_late = any(monday(row.start) >= monday(self.clinic.start(0, 5)) for row in visits)
        shift = timedelta(weeks=later and not is_late)
        wall = clock.local(self.clinic.start(start), ZONE).time()

        def new_start(row: Row) -> datetime:
            return clock.to_instant(datetime.combine(monday(row.start) + shift + timedelta(days=1), wall), ZONE)

        wants = {row.id: self.moved(row, start=new_start(row), doctor=self.clinic.doctors[doctor]) for row in visits}
        is_free = {}
        tried = self.model.without(*wants)
        for want in sorted(wants.values(), key=lambda want: want.start):
            is_free[want.id] = tried.placing(want) is None
            if is_free[want.id]:
                tried.rows[want.id] = want

        def command() -> Plan:
            return move_series(
                chosen.series,
                scope=scope,
                appointment_id=chosen.id,
                start=new_start(chosen),
                practitioner_id=self.clinic.doctors[doctor],
                skip_conflicts=way == "skip",
                dry_run=way == "dry",
                actor=self.either(chosen.patient, by_dana=by_dana),
            )

        if chosen.id not in wants or chosen.status not in OPEN or chosen.has_begun:
            with pytest.raises(WrongState):
                command()
        elif way == "dry":
            assert {each.appointment_id: each.is_free for each in command().occurrences} == is_free
            self.events += 1
        elif all(is_free.values()):
            self.put_moved(command(), wants)
        elif way == "all":
            with pytest.raises(SeriesConflict) as refusal:
                command()
            assert {each.appointment_id: each.is_free for each in refusal.value.plan.occurrences} == is_free
        else:
            # Which of them can be moved once others stay is a relation: each is at its new time, or where it was, and
            # those that stay could not all have moved. What they are then, the other invariants judge.
            try:
                plan = command()
            except SeriesConflict:
                return
            assert 0 < sum(each.is_free for each in plan.occurrences) < len(wants)
            assert not any(each.is_free and not is_free[each.appointment_id] for each in plan.occurrences)
            self.put_moved(plan, wants)

    def put_moved(self, plan: Plan, wants: dict[Any, Row]) -> None:
        moved = [wants[each.appointment_id] for each in plan.occurrences if each.is_free]
        for want in moved:
            self.put(want)
        self.events += len(moved)

    def of_series(self) -> list[Row]:
        return [row for row in self.visits() if row.series]

    def within(self, scope: Scope, chosen: Row) -> list[Row]:
        if scope == Scope.THIS:
            return [chosen]
        ahead = [row for row in self.visits() if row.series == chosen.series and row.status in OPEN]
        ahead = sorted((row for row in ahead if not row.has_begun), key=lambda row: (row.start, row.id))
        return [row for row in ahead if scope == Scope.ALL or row.start >= chosen.start]


def monday(start: datetime) -> date:
    day = clock.local(start, ZONE).date()
    return day - timedelta(days=day.weekday())
