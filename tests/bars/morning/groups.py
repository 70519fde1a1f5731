"""Group sessions: their seats, more or fewer of them, and their end."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import select

from server.errors import Conflict
from server.extensions import db
from server.models import Appointment
from server.services import booking
from server.services.booking import WrongState
from server.services.occupancy import free_expired_holds
from server.services.sessions import Session, book_seat, cancel_session, change_capacity, create_session
from server.services.steps import take_step
from server.utils.tokens import new_id
from tests.bars.morning.base import Base, doctors, named, patients, pick, picks, weeks
from tests.bars.morning.booking import starts
from tests.bars.small_clinic import SEATS, Row


class Groups(Base):
    @rule(doctor=doctors, start=starts, week=weeks)
    def open_a_group(self, doctor: int, start: int, week: int) -> None:
        what = self.what(doctor, 2, self.clinic.start(start, week))
        want = self.model.wanted(new_id(), **what, status="booked")

        def opened(session: Session) -> Row:
            self.model.capacities[session.id] = SEATS
            return replace(want, id=session.appointment.id, session=session.id)

        self.expect(self.model.in_the_way(want), lambda: create_session(**named(what), actor=self.dana), opened)

    @rule(number=picks, patient=patients, by_dana=st.booleans())
    @precondition(lambda self: self.sessions())
    def take_a_seat(self, number: int, patient: int, by_dana: bool) -> None:
        """Which seat it is, is a relation: one that nobody has."""
        time = pick(number, self.sessions())
        patient_id = self.actors[patient].own_patient_id

        def taken(seat: Appointment) -> Row:
            assert seat.lane not in {each.lane for each in self.model.seats_of(time.session)}
            assert 1 <= seat.lane <= self.model.capacities[time.session]
            return replace(time, id=seat.id, patient=patient_id, lane=seat.lane)

        self.expect(
            self.model.seating(time, patient_id),
            lambda: book_seat(time.session, patient_id=patient_id, actor=self.either(patient_id, by_dana=by_dana)),
            taken,
        )

    @rule(number=picks, what=st.sampled_from([1, 2, 3, "cancel", "move", "arrive"]))
    @precondition(lambda self: self.sessions())
    def a_group_changes(self, number: int, what: int | str) -> None:
        time = pick(number, self.sessions())
        if isinstance(what, int):
            self.change_the_seats(time, what)
        elif what == "cancel":
            self.cancel_the_group(time)
        else:
            self.the_time_of_a_group_is_no_visit(time, what)

    def change_the_seats(self, time: Row, capacity: int) -> None:
        """Who moves to which seat is a relation, too: no two to the same, which the constraints say."""
        free_expired_holds()  # until the clock has looked, an expired hold counts as a seat here
        seats = self.model.seats_of(time.session)

        def changed(_: Session) -> None:
            self.model.capacities[time.session] = capacity
            for seat in seats:
                lane = db.session.scalars(select(Appointment.lane).where(Appointment.id == seat.id)).one()
                assert lane == seat.lane or seat.lane > capacity
                self.model.rows[seat.id] = replace(seat, lane=lane)

        self.expect(
            Conflict if len(seats) > capacity else None,
            lambda: change_capacity(time.session, capacity=capacity, actor=self.dana),
            changed,
        )

    def cancel_the_group(self, time: Row) -> None:
        told = [each for each in self.model.seats_of(time.session) if each.status != "proposed"]
        self.expect(
            None if time.status == "booked" else WrongState,
            lambda: cancel_session(time.session, actor=self.dana),
            lambda _: self.model.cancel_session(time) and None,
            events=len(told) + 1,
        )

    def the_time_of_a_group_is_no_visit(self, time: Row, command: str) -> None:
        commands = {
            "move": lambda: booking.reschedule_appointment(time.id, start=self.clinic.start(1), actor=self.dana),
            "arrive": lambda: take_step(time.id, step=command, actor=self.dana),
        }
        self.expect(WrongState, commands[command], lambda _: None)
        self.expect(WrongState, lambda: booking.cancel_appointment(time.id, actor=self.dana), lambda _: None)
