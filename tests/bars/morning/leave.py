"""Leave that comes with a plan for every visit in its way, and what a doctor's own calendar says."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import text

from server.extensions import db
from server.models import ExternalCalendar
from server.services.carrying_out import carry_out_due
from server.services.closures import PlanIncomplete, create_closure, delete_closure, preview_closure
from server.services.external_calendars import replace_busy_times
from server.services.replacing import Proposal
from server.services.transaction import atomic
from server.utils.tokens import new_id
from tests.bars.morning.base import doctors, pick, picks, weeks
from tests.bars.morning.booking import Booking, starts
from tests.bars.small_clinic import HALF_HOUR, OPEN, Item, Row, Shut

actions = st.lists(st.sampled_from(["keep", "move", "cancel", "move"]), min_size=4, max_size=4)


class Leave(Booking):
    @rule(
        doctor=st.one_of(st.none(), doctors),
        start=starts,
        week=weeks,
        length=st.integers(1, 3),
        decisions=actions,
        forget=st.booleans(),
    )
    @precondition(lambda self: len(self.leave()) < 2)
    def enter_leave(
        self, doctor: int | None, start: int, week: int, length: int, decisions: list[str], forget: bool
    ) -> None:
        who = None if doctor is None else self.clinic.doctors[doctor]
        begin = self.clinic.start(start, week)
        shut = Shut(id=new_id(), doctor=who, start=begin, end=begin + length * HALF_HOUR)
        values = {"practitioner_id": who, "start": shut.start, "end": shut.end, "actor": self.dana}
        in_the_way = self.model.in_the_way_of(shut)
        proposals = preview_closure(**values)
        self.events += 1
        assert [each.appointment.id for each in proposals] == [row.id for row in in_the_way]
        plan = [self.decided(each, decisions[n % 4], shut) for n, each in enumerate(proposals)]
        if forget and plan:
            with pytest.raises(PlanIncomplete):
                create_closure(**values, plan=plan[1:])
            return
        made = create_closure(**values, plan=plan)
        self.events += 1
        self.model.closures[made.id] = replace(shut, id=made.id)
        for item in plan:
            state = "done" if item["action"] == "keep" else "waiting"
            self.model.items[made.id, item["appointment_id"]] = Item(
                action=item["action"], start=item.get("start"), doctor=item.get("practitioner_id"), state=state
            )

    def decided(self, proposal: Proposal, action: str, shut: Shut) -> dict[str, Any]:
        """What is proposed is a relation: times that could be had by this visit, once the leave is there."""
        visit = self.model.rows[proposal.appointment.id]
        tried = self.model.without(visit.id)
        tried.closures = {**self.model.closures, shut.id: shut}
        for time in proposal.proposals:
            assert (
                tried.placing(self.moved(visit, start=time.start, doctor=time.practitioner_id), limited=False) is None
            )
        if action == "move" and not proposal.proposals:
            action = proposal.suggested
        if action != "move":
            return {"appointment_id": visit.id, "action": action}
        first = proposal.proposals[0]
        where = {"start": first.start, "practitioner_id": first.practitioner_id}
        return {"appointment_id": visit.id, "action": "move", **where}

    def the_plans_are_carried_out(self) -> None:
        query = text("SELECT closure_id, appointment_id FROM closure_plan_items WHERE state = 'waiting' ORDER BY id")
        in_order = [(row.closure_id, row.appointment_id) for row in db.session.execute(query)]
        db.session.commit()
        done = carry_out_due()
        for closure_id, visit_id in in_order:
            item = self.model.items[closure_id, visit_id]
            is_done = self.carry_out(item, self.model.closures[closure_id], self.model.rows[visit_id])
            done -= is_done
            self.model.items[closure_id, visit_id] = replace(item, state="done" if is_done else "failed")
        assert done == 0

    def carry_out(self, item: Item, shut: Shut, visit: Row) -> bool:
        if visit.status not in OPEN or not shut.covers(visit):
            return True  # not in the way any more
        if item.action == "cancel":
            if visit.is_session:
                seats = [each for each in self.model.seats_of(visit.session) if each.status != "proposed"]
                self.events += len(seats)
                self.model.cancel_session(visit)
            else:
                self.model.cancel(visit, by_clinic=True)
            self.events += 1
            return True
        assert item.start is not None
        want = self.moved(visit, start=item.start, doctor=item.doctor)
        if self.model.moving(visit, want, by_patient=False, limited=False):
            return False
        self.put(replace(want, on_purpose=want.on_purpose or self.model.is_over_limit(want, ignore=visit.id)))
        self.events += 1
        return True

    @rule(number=picks)
    @precondition(lambda self: self.leave())
    def withdraw_leave(self, number: int) -> None:
        """With whatever of its plan was not carried out yet."""
        shut = pick(number, self.leave())
        delete_closure(shut.id, actor=self.dana)
        self.events += 1
        del self.model.closures[shut.id]
        self.model.items = {key: item for key, item in self.model.items.items() if key[0] != shut.id}

    @rule(doctor=doctors, begins=st.lists(starts, max_size=2, unique=True), week=weeks)
    def a_calendar_elsewhere_is_read(self, doctor: int, begins: list[int], week: int) -> None:
        who = self.clinic.doctors[doctor]
        spans = {self.span(start, week) for start in begins}
        with atomic():
            replace_busy_times(db.session.get_one(ExternalCalendar, self.clinic.calendars[doctor]), spans)
        query = text("SELECT id, lower(during), upper(during) FROM closures WHERE external_calendar_id = :id")
        stored = db.session.execute(query, {"id": self.clinic.calendars[doctor]}).all()
        assert {(begin, end) for _, begin, end in stored} == spans
        db.session.commit()
        others = {key: shut for key, shut in self.model.closures.items() if not (shut.external and shut.doctor == who)}
        here = {key: Shut(id=key, doctor=who, start=begin, end=end, external=True) for key, begin, end in stored}
        self.model.closures = others | here

    def span(self, start: int, week: int) -> tuple[datetime, datetime]:
        begin = self.clinic.start(start, week)
        return begin, begin + HALF_HOUR

    def leave(self) -> list[Shut]:
        return [shut for shut in self.model.closures.values() if not shut.external]
