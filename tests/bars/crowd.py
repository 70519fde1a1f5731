"""Somebody who does whatever comes to mind at the small clinic, on whatever is there at this moment."""

from datetime import time
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from server.extensions import db
from server.models import Appointment, ExternalCalendar
from server.services import booking, closures, holds, occupancy, offers, sessions, waitlist
from server.services.access import Actor
from server.services.carrying_out import carry_out_due
from server.services.external_calendars import replace_busy_times
from server.services.replacing import Proposal
from server.services.series import Scope, book_series, cancel_series
from server.services.series_moves import move_series
from server.services.steps import approve_request, decline_request, mark_no_shows, take_step
from server.services.transaction import atomic, retried
from tests.bars.morning.base import expire, the_hour_comes
from tests.bars.small_clinic import HALF_HOUR, STARTS, SmallClinic

VISITS = "session_id IS NULL OR lane > 0"
NOTHING = "nothing there"


class Somebody:
    """Ana, bea or dana, whoever it is this time."""

    def __init__(self, clinic: SmallClinic, everybody: tuple[Actor, Actor, Actor], rng: Random) -> None:
        self.clinic, self.rng, self.dana = clinic, rng, everybody[2]
        self.actor = rng.choice(everybody)
        self.patient_id = (self.actor if self.actor.own_patient_id else rng.choice(everybody[:2])).own_patient_id
        self.doctor = rng.choice(clinic.doctors)
        self.start = clinic.start(rng.randrange(STARTS), rng.choice([1, 2]))
        self.when = {"practitioner_id": self.doctor, "start": self.start}
        self.what = {"service_id": rng.choice([clinic.talk, clinic.talk, clinic.scan]), **self.when}

    def act(self) -> str:
        """The outcome in a word; raises what the command raises."""
        names = [name for name in vars(Somebody) if name.startswith("do_")]
        oftener = ["do_book", "do_book", "do_move", "do_offer", "do_offer", "do_join", "do_cancel", "do_step"]
        return str(getattr(self, self.rng.choice(names + oftener))() or "done")

    # --- bookings ---

    def do_hold(self) -> None:
        holds.hold_time(**self.what, minutes=5, actor=self.actor)

    def do_book(self) -> None:
        over: dict[str, str] = {}
        if not self.actor.own_patient_id and self.rng.random() < 0.3:
            over = {self.rng.choice(["override_reason", "overbook_reason"]): "urgent"}
        booking.book_appointment(**self.what, patient_id=self.patient_id, actor=self.actor, **over)

    def do_book_what_is_held(self) -> str | None:
        held_id = self.some("appointments", "status = 'proposed'")
        held = held_id and db.session.get(Appointment, held_id)
        if not held:
            return NOTHING
        values = {"service_id": held.service_id, "practitioner_id": held.practitioner_id, "start": held.start}
        db.session.commit()
        booking.book_appointment(**values, hold_id=held_id, patient_id=self.patient_id, actor=self.actor)
        return None

    def do_move(self) -> str | None:
        return self.with_some(
            VISITS, lambda visit_id: booking.reschedule_appointment(visit_id, **self.when, actor=self.actor)
        )

    def do_cancel(self) -> str | None:
        return self.with_some(VISITS, lambda visit_id: booking.cancel_appointment(visit_id, actor=self.actor))

    def do_step(self) -> str | None:
        step = self.rng.choice(["arrive", "complete", "no-show", "undo"])
        return self.with_some(VISITS, lambda visit_id: take_step(visit_id, step=step, actor=self.dana))

    def do_answer(self) -> str | None:
        answer = self.rng.choice([approve_request, decline_request])
        return self.with_some("status = 'pending'", lambda visit_id: answer(visit_id, actor=self.dana))

    # --- series and groups ---

    def do_book_a_series(self) -> None:
        book_series(
            **self.what,
            every_n_weeks=1,
            count=2,
            skip_conflicts=self.rng.random() < 0.5,
            patient_id=self.patient_id,
            actor=self.actor,
        )

    def do_change_a_series(self) -> str | None:
        visit_id = self.some("appointments", "series_id IS NOT NULL")
        visit = visit_id and db.session.get(Appointment, visit_id)
        if not visit:
            return NOTHING
        values: dict[str, Any] = {"scope": self.rng.choice(list(Scope)), "appointment_id": visit.id}
        series_id = visit.series_id
        db.session.commit()
        if self.rng.random() < 0.3:
            cancel_series(series_id, **values, actor=self.actor)
        else:
            move_series(series_id, **values, **self.when, skip_conflicts=self.rng.random() < 0.5, actor=self.actor)
        return None

    def do_open_a_group(self) -> None:
        sessions.create_session(service_id=self.clinic.group, **self.when, actor=self.dana)

    def do_take_a_seat(self) -> str | None:
        session_id = self.some("group_sessions", "true")
        if session_id is None:
            return NOTHING
        sessions.book_seat(session_id, patient_id=self.patient_id, actor=self.actor)
        return None

    def do_change_a_group(self) -> str | None:
        session_id = self.some("group_sessions", "true")
        if session_id is None:
            return NOTHING
        if self.rng.random() < 0.2:
            sessions.cancel_session(session_id, actor=self.dana)
        else:
            sessions.change_capacity(session_id, capacity=self.rng.randint(1, 3), actor=self.dana)
        return None

    # --- leave ---

    def do_enter_leave(self) -> None:
        values = {
            "practitioner_id": self.rng.choice([self.doctor, None]),
            "start": self.start,
            "end": self.start + HALF_HOUR * self.rng.randint(1, 3),
            "actor": self.dana,
        }
        closures.create_closure(**values, plan=[self.decide(each) for each in closures.preview_closure(**values)])

    def decide(self, proposal: Proposal) -> dict[str, Any]:
        item: dict[str, Any] = {"appointment_id": proposal.appointment.id}
        action = self.rng.choice(["keep", "cancel", proposal.suggested])
        if action == "move":
            first = proposal.proposals[0]
            item |= {"start": first.start, "practitioner_id": first.practitioner_id}
        return item | {"action": action}

    def do_withdraw_leave(self) -> str | None:
        closure_id = self.some("closures", "kind <> 'external'")
        if closure_id is None:
            return NOTHING
        closures.delete_closure(closure_id, actor=self.dana)
        return None

    def do_read_a_calendar(self) -> None:
        spans = {(self.start, self.start + HALF_HOUR)} if self.rng.random() < 0.5 else set()

        @retried
        def read() -> None:
            with atomic():
                chosen = select(ExternalCalendar).where(ExternalCalendar.id == self.rng.choice(self.clinic.calendars))
                replace_busy_times(db.session.scalars(chosen.with_for_update()).one(), spans)

        read()

    # --- the waitlist ---

    def do_join(self) -> str | None:
        wishes: dict[str, Any] = {"practitioner_id": self.rng.choice([self.doctor, None]), "notice_minutes": 60}
        if self.rng.random() < 0.3:
            wishes |= {"from_time": time(9), "until_time": time(10, 30)}
        if self.rng.random() < 0.5:
            service_id = self.rng.choice(self.clinic.services)
            waitlist.join(**wishes, service_id=service_id, patient_id=self.patient_id, actor=self.actor)
            return None
        return self.with_some(
            VISITS, lambda visit_id: waitlist.join(**wishes, appointment_id=visit_id, actor=self.actor)
        )

    def do_leave_the_list(self) -> str | None:
        entry_id = self.some("waitlist_entries", "status = 'waiting'")
        if entry_id is None:
            return NOTHING
        waitlist.leave(entry_id, actor=self.actor)
        return None

    def do_offer(self) -> None:
        offers.offer_freed_times()

    def do_answer_an_offer(self) -> str | None:
        offer_id = self.some("waitlist_offers", "status = 'open'")
        if offer_id is None:
            return NOTHING
        answer = offers.accept_offer if self.rng.random() < 0.7 else offers.decline_offer
        answer(offer_id, actor=self.actor)
        return "accepted" if answer is offers.accept_offer else None

    # --- the clock ---

    def do_expire(self) -> None:
        expire(self.some("appointments", "status = 'proposed'"))

    def do_sweep(self) -> None:
        occupancy.free_expired_holds()
        offers.expire_offers()
        mark_no_shows()

    def do_carry_out(self) -> None:
        carry_out_due()

    def do_let_the_hour_come(self) -> str | None:
        visit_id = self.some("appointments", "status IN ('booked', 'arrived') AND lane = 0 AND session_id IS NULL")
        if visit_id is None:
            return NOTHING
        try:
            the_hour_comes(visit_id)
        except IntegrityError:  # the doctor or the patient has another one
            db.session.rollback()
            return NOTHING
        return None

    # --- the parts ---

    def some(self, table: str, which: str) -> UUID | None:
        found = list(db.session.scalars(text(f"SELECT id FROM {table} WHERE {which} ORDER BY id")))
        db.session.commit()
        return self.rng.choice(found) if found else None

    def with_some(self, which: str, act: Any) -> str | None:
        visit_id = self.some("appointments", f"status NOT IN ('proposed', 'cancelled') AND ({which})")
        if visit_id is None:
            return NOTHING
        act(visit_id)
        return None
