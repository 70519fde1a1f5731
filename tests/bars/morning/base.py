"""What every part of the state machine shares: the people, how a command is tried, and what is always true."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import text

from server.extensions import db
from server.models import Appointment, WaitlistEntry, WaitlistOffer
from server.services.access import Actor
from server.services.stranded import list_stranded
from server.services.transaction import database_now
from tests.bars import never
from tests.bars.small_clinic import HALF_HOUR, Row, SmallClinic, Verdict
from tests.bars.waiting_model import WaitingModel

T = TypeVar("T")
doctors, patients, people = st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)
picks, weeks = st.integers(0, 99), st.integers(1, 2)

TABLES = """audit_events, outbox_messages, appointments, appointment_series, group_sessions, closures,
            waitlist_entries, freed_times"""


class Base(RuleBasedStateMachine):
    """Ana, bea and dana at the small clinic; every command's outcome is foretold by the model."""

    clinic: SmallClinic
    actors: tuple[Actor, Actor, Actor]  # ana, bea, dana

    def __init__(self) -> None:
        super().__init__()
        self.model = WaitingModel(self.clinic)
        self.events = 0
        db.session.execute(text("SET LOCAL session_replication_role = replica"))  # what is on record is kept, but here
        db.session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        db.session.execute(text("SET LOCAL session_replication_role = origin"))
        db.session.commit()

    # --- what is always true ---

    @invariant()
    def all_is_well(self) -> None:
        self.nothing_happened_that_never_may()
        self.the_database_is_the_model()
        self.the_waitlist_is_the_model()
        self.what_became_free_is_written_down_once()
        self.the_plans_are_the_model()
        self.nobody_is_stranded_silently()
        self.every_change_is_on_record_once()

    def nothing_happened_that_never_may(self) -> None:
        assert never.found(db.session.connection()) == []

    def the_database_is_the_model(self) -> None:
        live = text("appointments.status <> 'proposed' OR appointments.hold_expires_at > clock_timestamp()")
        stored = {row.id: row for row in db.session.query(Appointment).filter(live).populate_existing()}
        assert stored.keys() == self.model.rows.keys()
        for row in self.model.rows.values():
            found = stored[row.id]
            assert (found.status, found.start, found.end, found.lane) == (row.status, row.start, row.end, row.lane)
            assert (found.occupied.lower, found.occupied.upper) == (row.start, row.end + row.buffer)
            assert (found.practitioner_id, found.room_id, found.patient_id) == (row.doctor, row.room, row.patient)
            assert (found.session_id, found.series_id) == (row.session, row.series)
            assert (found.hold_owner_id, bool(found.override_reason)) == (row.holder, row.on_purpose)
            assert found.capacity == (row.session and self.model.capacities[row.session])

    def the_waitlist_is_the_model(self) -> None:
        entries = {row.id: row for row in db.session.query(WaitlistEntry).populate_existing()}
        assert {key: (row.status, row.appointment_id) for key, row in entries.items()} == {
            key: (entry.status, entry.appointment) for key, entry in self.model.entries.items()
        }
        offers = {row.id: row for row in db.session.query(WaitlistOffer).populate_existing()}
        assert {key: row.status for key, row in offers.items()} == {
            key: offer.status for key, offer in self.model.offers.items()
        }
        for offer in self.model.open_offers():
            assert offer.is_due or offers[offer.id].hold_id == offer.hold in self.model.rows

    def what_became_free_is_written_down_once(self) -> None:
        query = "SELECT practitioner_id, lower(during), upper(during) FROM freed_times WHERE cause <> 'opened'"
        assert Counter(tuple(row) for row in db.session.execute(text(query))) == self.model.freed

    def the_plans_are_the_model(self) -> None:
        query = text("SELECT closure_id, appointment_id, action, state FROM closure_plan_items")
        stored = {(row.closure_id, row.appointment_id): (row.action, row.state) for row in db.session.execute(query)}
        assert stored == {key: (item.action, item.state) for key, item in self.model.items.items()}

    def nobody_is_stranded_silently(self) -> None:
        unplanned = never.unplanned(db.session.connection())
        if unplanned:
            listed, _ = list_stranded(actor=self.actors[2], limit=100)
            self.events += 1
            assert unplanned <= {each.appointment.id for each in listed}

    def every_change_is_on_record_once(self) -> None:
        assert db.session.scalar(text("SELECT count(*) FROM audit_events")) == self.events

    # --- the parts ---

    def expect(
        self, error: Verdict, command: Callable[[], Any], outcome: Callable[[Any], Any], *, events: int = 1
    ) -> None:
        """Run a command: it raises what was foretold, or its outcome goes into the model."""
        if error is not None:
            with pytest.raises(error):
                command()
            return
        row = outcome(command())
        if isinstance(row, Row):
            self.model.rows[row.id] = row
        self.events += events

    def what(self, doctor: int, service: int, start: datetime) -> dict[str, Any]:
        return {"doctor": self.clinic.doctors[doctor], "service": self.clinic.services[service], "start": start}

    def rows(self, *statuses: str) -> list[Row]:
        return [row for row in self.model.rows.values() if row.status in statuses]

    def held(self) -> list[Row]:
        """By people; what is held for an offer is none of these."""
        return [row for row in self.rows("proposed") if row.holder in self.user_ids]

    def visits(self) -> list[Row]:
        return [row for row in self.model.rows.values() if row.status != "proposed" and not row.is_session]

    def sessions(self) -> list[Row]:
        return [row for row in self.model.rows.values() if row.is_session]

    @property
    def user_ids(self) -> list[UUID | None]:
        return [actor.user_id for actor in self.actors]

    @property
    def dana(self) -> Actor:
        return self.actors[2]

    def owner(self, held: Row) -> Actor:
        return next(actor for actor in self.actors if actor.user_id == held.holder)

    def patient_with(self, patient_id: UUID | None) -> Actor:
        return next(actor for actor in self.actors if actor.own_patient_id == patient_id)

    def either(self, patient_id: UUID | None, *, by_dana: bool) -> Actor:
        return self.dana if by_dana else self.patient_with(patient_id)


def pick(number: int, of: list[T]) -> T:
    return of[number % len(of)]


def named(what: dict[str, Any]) -> dict[str, Any]:
    """In the words of the commands."""
    return {"service_id": what["service"], "practitioner_id": what["doctor"], "start": what["start"]}


def expire(hold_id: UUID | None) -> None:
    """As if the time of a hold were over, and that of the offer it is for."""
    for statement in (
        "UPDATE waitlist_offers SET expires_at = clock_timestamp() WHERE hold_id = :id AND status = 'open'",
        "UPDATE appointments SET hold_expires_at = clock_timestamp() WHERE id = :id AND status = 'proposed'",
    ):
        db.session.execute(text(statement), {"id": hold_id})
        db.session.commit()  # each alone: who accepts an offer locks the hold first


def the_hour_comes(visit_id: UUID) -> datetime:
    """A visit without buffers is the one that takes place at this moment; since when."""
    began = database_now() - timedelta(minutes=10)
    statement = """
        UPDATE appointments SET during = tstzrange(:start, :until), occupied = tstzrange(:start, :until)
         WHERE id = :id"""
    db.session.execute(text(statement), {"id": visit_id, "start": began, "until": began + HALF_HOUR})
    db.session.commit()
    return began
