"""The model of the waitlist: who waits, what became free, and what was offered to whom.

Which free time the engine proposes to whom, and in what order, is its own business: a model of that would be the
engine written twice. So here it is a relation: what was offered must be something that this patient could have booked
and would have liked, and afterwards nobody may be left whom a freed time would have suited.
"""

from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from uuid import UUID

from server.services.booking import PatientBusy, RulesForbid, WrongState
from server.services.offers import OfferOver
from server.services.waitlist import AlreadyWaiting
from server.utils import clock
from tests.bars.small_clinic import HALF_HOUR, OPEN, Model, Row, SmallClinic, Verdict
from tests.cast import ZONE

OFFERS_A_WEEK = 4
Freed = tuple[UUID, datetime, datetime]  # of which doctor, from, to


@dataclass(frozen=True, kw_only=True)
class Entry:
    id: UUID
    patient: UUID
    service: UUID
    doctor: UUID | None
    appointment: UUID | None
    window: tuple[time, time] | None
    status: str = "waiting"


@dataclass(frozen=True, kw_only=True)
class Offer:
    id: UUID
    entry: UUID
    freed_time: UUID
    hold: UUID
    doctor: UUID
    start: datetime
    status: str = "open"
    is_due: bool = False  # its time is over, and the clock has not looked yet


class WaitingModel(Model):
    def __init__(self, clinic: SmallClinic) -> None:
        super().__init__(clinic)
        self.entries: dict[UUID, Entry] = {}
        self.offers: dict[UUID, Offer] = {}
        self.freed: Counter[Freed] = Counter()

    def without(self, *row_ids: UUID) -> "WaitingModel":
        tried = super().without(*row_ids)
        tried.freed = copy(self.freed)
        return tried

    def waiting(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.status == "waiting"]

    def open_offers(self, entry: UUID | None = None) -> list[Offer]:
        return [o for o in self.offers.values() if o.status == "open" and entry in (None, o.entry)]

    # --- what changes ---

    def frees(self, row: Row, *, since: datetime | None = None) -> None:
        """A visit gives up its time (the rest of it), and somebody waits."""
        if row.lane >= 0 and self.waiting():
            self.freed[row.doctor, since or row.start, row.end + row.buffer] += 1

    def cancel(self, row: Row, *, by_clinic: bool, frees: bool = True) -> None:
        """A patient who gives up the visit gives up the wish to have it earlier; the clinic's doing leaves it."""
        self.rows[row.id] = replace(row, status="cancelled")
        for entry in self.waiting():
            if entry.appointment == row.id and by_clinic:
                self.entries[entry.id] = replace(entry, appointment=None)
            elif entry.appointment == row.id:
                self.end(entry, "over")
        if frees:
            self.frees(row)

    def cancel_session(self, timing: Row) -> int:
        """With every seat in it, and what was offered of them; how many were told."""
        for offer in self.open_offers():
            if offer.hold in self.rows and self.rows[offer.hold].session == timing.session:
                self.take_back(offer, "withdrawn")
        seats = self.seats_of(timing.session)  # type: ignore[arg-type]
        for each in [*seats, timing]:
            self.cancel(each, by_clinic=True, frees=each.is_session)
        return len(seats) + 1

    def end(self, entry: Entry, status: str) -> None:
        self.entries[entry.id] = replace(entry, status=status)
        for offer in self.open_offers(entry.id):
            self.take_back(offer, "withdrawn")

    def take_back(self, offer: Offer, status: str) -> None:
        self.offers[offer.id] = replace(offer, status=status)
        self.rows.pop(offer.hold, None)

    def expire(self, offer: Offer) -> None:
        self.offers[offer.id] = replace(offer, is_due=True)
        self.rows.pop(offer.hold, None)

    def end_what_is_over(self) -> int:
        """What the clock does; how many offers it ends by themselves."""
        due = [offer for offer in self.open_offers() if offer.is_due]
        for offer in due:
            self.take_back(offer, "expired")
        for entry in self.waiting():
            later = self.rows[entry.appointment] if entry.appointment else None
            if later and (later.status in ("arrived", "fulfilled", "noshow") or later.has_begun):
                self.end(entry, "over")
        return len(due)

    def accept(self, offer: Offer, *, by_clinic: bool) -> None:
        """One visit, at the offered time: the later one moved there, or a new one."""
        entry, hold = self.entries[offer.entry], self.rows.pop(offer.hold)
        self.offers[offer.id] = replace(offer, status="accepted")
        if entry.appointment is None:
            status = "pending" if hold.service == self.clinic.scan and not by_clinic else "booked"
            visit = replace(hold, status=status, patient=entry.patient, holder=None)
        else:
            later = self.rows[entry.appointment]
            visit = replace(hold, id=later.id, status=later.status, patient=later.patient, holder=None)
            visit = replace(visit, series=later.series, on_purpose=later.on_purpose)
        self.entries[entry.id] = replace(entry, status="booked", appointment=visit.id)
        if entry.appointment is not None:
            self.frees(self.rows[entry.appointment])
        self.rows[visit.id] = visit

    # --- verdicts ---

    def joining(self, patient: UUID, service: UUID, visit: Row | None) -> Verdict:
        if visit and (visit.status not in OPEN or visit.has_begun):
            return WrongState
        twice = any((entry.patient, entry.service) == (patient, service) for entry in self.waiting())
        return AlreadyWaiting if twice else None

    def accepting(self, offer: Offer) -> Verdict:
        entry = self.entries[offer.entry]
        if offer.status != "open" or offer.is_due:
            return OfferOver
        later, hold = self.rows.get(entry.appointment) if entry.appointment else None, self.rows[offer.hold]
        if later and later.status not in OPEN:
            return WrongState
        if later and later.start <= offer.start:
            return OfferOver
        is_away = any(shut.covers(hold) for shut in self.closures.values())
        if is_away and not hold.session:
            return OfferOver
        want = replace(hold, patient=entry.patient)
        if self.is_over_limit(want, ignore=entry.appointment):
            return RulesForbid
        return PatientBusy if self.is_patient_busy(want, ignore=entry.appointment) else None

    # --- the relation ---

    def could_use(self, entry: Entry, start: datetime, doctor: UUID, session: UUID | None) -> bool:
        """Whether this patient could have this time by the rules, wishes it, and was not offered it before."""
        later = self.rows[entry.appointment] if entry.appointment else None
        if later and (later.status not in OPEN or later.start <= start):
            return False
        if entry.doctor not in (None, doctor) or not self.is_wished(entry, start):
            return False
        if any((o.entry, o.doctor, o.start) == (entry.id, doctor, start) for o in self.offers.values()):
            return False
        if (session is not None) != (entry.service == self.clinic.group):
            return False
        want = self.wanted(entry.id, doctor=doctor, service=entry.service, start=start, patient=entry.patient)
        if self.is_patient_busy(want, ignore=entry.appointment) or self.is_over_limit(want, ignore=entry.appointment):
            return False
        if session is not None:
            time_of = self.time_of(session)
            is_there = (time_of.start, time_of.doctor, time_of.status) == (start, doctor, "booked")
            return is_there and len(self.seats_of(session)) < self.capacities[session]
        return self.in_the_way(want) is None

    @staticmethod
    def is_wished(entry: Entry, start: datetime) -> bool:
        return not entry.window or entry.window[0] <= clock.local(start, ZONE).time() < entry.window[1]

    def may_be_asked(self, entry: Entry) -> bool:
        asked = [offer for offer in self.offers.values() if self.entries[offer.entry].patient == entry.patient]
        return entry.status == "waiting" and not self.open_offers(entry.id) and len(asked) < OFFERS_A_WEEK

    def passed_over(self, freed_time: UUID, freed: Freed) -> list[tuple[Entry, datetime]]:
        """Whom a freed time would suit that was not offered to them."""
        asked = {offer.entry for offer in self.offers.values() if offer.freed_time == freed_time}
        return [
            (entry, start)
            for entry in self.entries.values()
            if entry.id not in asked and self.may_be_asked(entry)
            for start, session in self.starts_in(freed)
            if self.could_use(entry, start, freed[0], session)
        ]

    def starts_in(self, freed: Freed) -> Iterator[tuple[datetime, UUID | None]]:
        doctor, begin, end = freed
        start = clock.local(begin, "UTC").replace(minute=0, second=0, microsecond=0)
        while start < end:
            if start >= begin and start > clock.now() + timedelta(hours=3):
                yield start, None
            start += HALF_HOUR
        for row in self.rows.values():
            if row.is_session and row.doctor == doctor and begin <= row.start < end:
                yield row.start, row.session
