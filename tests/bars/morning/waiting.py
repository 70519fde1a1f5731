"""The waitlist: joining and leaving, what the engine offers, and the answers."""

from datetime import time
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy import select, text

from server.extensions import db
from server.models import Appointment, WaitlistEntry, WaitlistOffer
from server.services import waitlist
from server.services.occupancy import free_expired_holds
from server.services.offers import OfferOver, accept_offer, decline_offer, expire_offers, offer_freed_times
from tests.bars.morning.base import expire, patients, pick, picks
from tests.bars.morning.booking import Booking
from tests.bars.small_clinic import Row
from tests.bars.waiting_model import Entry, Offer

windows = st.sampled_from([None, None, None, (time(9), time(10, 30))])
answers = st.sampled_from(["accept", "accept", "decline", "none"])
wishes = st.sampled_from([None, None, 0, 1])  # with which doctor


class Waiting(Booking):
    @initialize(patient=patients, service=st.integers(0, 2))
    def somebody_waits(self, patient: int, service: int) -> None:
        """From the beginning, so that what becomes free is wanted."""
        self.join(patient=patient, service=service, doctor=None, window=None, by_dana=True)

    @rule(
        patient=patients,
        service=st.integers(0, 2),
        doctor=wishes,
        window=windows,
        by_dana=st.booleans(),
    )
    def join(
        self, patient: int, service: int, doctor: int | None, window: tuple[time, time] | None, by_dana: bool
    ) -> None:
        patient_id = self.actors[patient].own_patient_id
        assert patient_id is not None
        self.joins(patient_id, self.clinic.services[service], None, doctor, window, by_dana)

    @rule(number=picks, doctor=wishes, window=windows, by_dana=st.booleans())
    @precondition(lambda self: self.visits())
    def join_for_an_earlier_time(
        self, number: int, doctor: int | None, window: tuple[time, time] | None, by_dana: bool
    ) -> None:
        visit = pick(number, self.visits())
        assert visit.patient is not None
        self.joins(visit.patient, visit.service, visit, doctor, window, by_dana)

    def joins(
        self,
        patient_id: UUID,
        service: UUID,
        visit: Row | None,
        doctor: int | None,
        window: tuple[time, time] | None,
        by_dana: bool,
    ) -> None:
        about: dict[str, Any] = {"patient_id": patient_id, "service_id": service}
        if visit:
            about = {"appointment_id": visit.id}
        who = None if doctor is None else self.clinic.doctors[doctor]
        from_time, until_time = window or (None, None)

        def joined(entry: WaitlistEntry) -> None:
            self.model.entries[entry.id] = Entry(
                id=entry.id,
                patient=patient_id,
                service=service,
                doctor=who,
                appointment=visit and visit.id,
                window=window,
            )

        self.expect(
            self.model.joining(patient_id, service, visit),
            lambda: waitlist.join(
                **about,
                practitioner_id=who,
                from_time=from_time,
                until_time=until_time,
                notice_minutes=60,
                actor=self.either(patient_id, by_dana=by_dana),
            ),
            joined,
        )

    @rule(number=picks, by_dana=st.booleans())
    @precondition(lambda self: self.model.waiting())
    def leave_the_list(self, number: int, by_dana: bool) -> None:
        entry = pick(number, self.model.waiting())
        waitlist.leave(entry.id, actor=self.either(entry.patient, by_dana=by_dana))
        self.events += 1
        self.model.end(entry, "left")

    def the_engine_offers_what_is_free(self) -> None:
        free_expired_holds()  # the clock does both; until then, a seat held before is not offered
        looked_at = set(db.session.scalars(text("SELECT id FROM freed_times WHERE outcome IS NULL")))
        db.session.commit()
        made = offer_freed_times()
        known = list(self.model.offers)
        new = db.session.scalars(
            select(WaitlistOffer).where(WaitlistOffer.id.not_in(known)).order_by(WaitlistOffer.id)
        ).all()
        assert len(new) == made
        for offer in new:
            self.adopt(offer)
        self.events += 2 * made  # the hold and the offer
        query = text(
            "SELECT id, practitioner_id, lower(during), upper(during) FROM freed_times WHERE outcome <> 'over'"
        )
        every = text(f"{query.text} OR outcome IS NULL")
        for freed_id, doctor, begin, end in db.session.execute(every).all():
            if freed_id in looked_at:
                assert self.model.passed_over(freed_id, (doctor, begin, end)) == []
        db.session.commit()

    def adopt(self, offer: WaitlistOffer) -> None:
        hold = db.session.get_one(Appointment, offer.hold_id, populate_existing=True)
        entry = self.model.entries[offer.entry_id]
        assert self.model.may_be_asked(entry)
        assert self.model.could_use(entry, offer.start, offer.practitioner_id, hold.session_id)
        assert (hold.status, hold.start, hold.hold_owner_id) == ("proposed", offer.start, offer.id)
        assert hold.hold_expires_at == offer.expires_at
        row = self.model.wanted(
            hold.id,
            doctor=offer.practitioner_id,
            service=entry.service,
            start=offer.start,
            status="proposed",
            holder=offer.id,
            lane=hold.lane,
            session=hold.session_id,
        )
        self.model.rows[row.id] = row
        self.model.offers[offer.id] = Offer(
            id=offer.id,
            entry=entry.id,
            freed_time=offer.freed_time_id,
            hold=row.id,
            doctor=offer.practitioner_id,
            start=offer.start,
        )

    @rule(number=picks, by_dana=st.booleans(), answer=answers, again=answers)
    @precondition(lambda self: self.rows("pending", "booked") and self.model.waiting())
    def a_time_goes_round(self, number: int, by_dana: bool, answer: str, again: str) -> None:
        """Given up, offered, answered, and passed on: in one go, for each of these alone comes by too seldom."""
        visit = pick(number, self.rows("pending", "booked"))
        if not visit.is_session:
            self.cancel(number=self.visits().index(visit), by_dana=by_dana)
        for each in (answer, again):
            self.the_engine_offers_what_is_free()
            if self.model.open_offers():
                self.an_offer_is_answered(number=number * 4 + 1, answer=each, by_dana=by_dana)

    @rule(number=picks, answer=answers, by_dana=st.booleans())
    @precondition(lambda self: self.model.offers)
    def an_offer_is_answered(self, number: int, answer: str, by_dana: bool) -> None:
        """Mostly one that is open; `none`: not in time."""
        is_open = self.model.open_offers() and number % 4
        offer = pick(number, self.model.open_offers() if is_open else list(self.model.offers.values()))
        actor = self.either(self.model.entries[offer.entry].patient, by_dana=by_dana)
        if answer == "accept":
            self.expect(
                self.model.accepting(offer),
                lambda: accept_offer(offer.id, actor=actor),
                lambda _: self.model.accept(offer, by_clinic=by_dana),
                events=2,
            )
        elif answer == "decline":
            self.expect(
                None if offer.status == "open" and not offer.is_due else OfferOver,
                lambda: decline_offer(offer.id, actor=actor),
                lambda _: self.model.take_back(offer, "declined"),
            )
        elif offer.status == "open":
            expire(offer.hold)
            self.model.expire(offer)

    def the_clock_ends_what_is_over(self) -> None:
        ended = self.model.end_what_is_over()
        assert expire_offers() == ended
        self.events += ended
