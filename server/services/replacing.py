"""Where the visits could go that a closure is in the way of: proposals that never collide with one another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import cast
from uuid import UUID

from sqlalchemy.dialects.postgresql import Range

from server.models import Appointment, HealthcareService
from server.services import availability, occupancy
from server.services.availability import FreeTime
from server.utils import clock
from server.utils.spans import Span, overlap

PROPOSALS = 3  # for each visit
LOOK_AHEAD = timedelta(days=30)  # after the end of the closure
CANDIDATES = 300


@dataclass(frozen=True)
class Shut:
    """The time that is to be closed, of a practitioner and at a location (None: of all)."""

    during: Range[datetime]
    practitioner_id: UUID | None
    location_id: UUID | None

    @property
    def end(self) -> datetime:
        return cast(datetime, self.during.upper)

    def covers(self, time: FreeTime) -> bool:
        """Whether a free time would be closed by this."""
        return (
            self.practitioner_id in (None, time.practitioner_id)
            and self.location_id in (None, time.location_id)
            and self.during.overlaps(Range(time.start, time.end, bounds="[)"))
        )


@dataclass(frozen=True)
class Proposal:
    """One visit in the way, where it could go (best first), and what we would do."""

    appointment: Appointment
    proposals: list[FreeTime] = field(default_factory=list)

    @property
    def suggested(self) -> str:
        return "move" if self.proposals else "cancel"


def propose(found: Sequence[Appointment], shut: Shut) -> list[Proposal]:
    """A plan for these visits, in their order: first the same day with a colleague, else the same practitioner later.

    Each visit gets its best time before any gets a second one, and no time is proposed twice.
    """
    proposals = [Proposal(each) for each in found]
    book = _SetAside()
    candidates = _Candidates(shut)
    rest = {each.id: candidates.of(each) for each in found if not each.is_session}
    for _ in range(PROPOSALS):
        for proposal in proposals:
            left = rest.get(proposal.appointment.id, [])
            while left:
                time = left.pop(0)
                if book.take(time, proposal.appointment):
                    proposal.proposals.append(time)
                    break
    return proposals


class _SetAside:
    """The times that were proposed already; each practitioner's with their buffers, each patient's without."""

    def __init__(self) -> None:
        self.of_practitioner: dict[UUID, list[Span]] = {}
        self.of_patient: dict[UUID | None, list[tuple[UUID, Span]]] = {}

    def take(self, time: FreeTime, appointment: Appointment) -> bool:
        during, service = (time.start, time.end), appointment.service
        occupied = occupied_by(time.start, service)
        taken = self.of_practitioner.setdefault(time.practitioner_id, [])
        own = self.of_patient.setdefault(appointment.patient_id, [])
        if any(overlap(occupied, span) for span in taken):
            return False
        if any(other_id != appointment.id and overlap(during, span) for other_id, span in own):
            return False
        if appointment.patient_id is not None and occupancy.patient_is_busy(
            appointment.patient_id, Range(*during, bounds="[)"), appointment.id
        ):
            return False
        taken.append(occupied)
        own.append((appointment.id, during))
        return True


class _Candidates:
    """Free times that the closure does not take away, in the order in which a front desk would offer them."""

    def __init__(self, shut: Shut) -> None:
        self.shut = shut
        self.search = cache(self._search)  # most of the visits ask the same

    def of(self, appointment: Appointment) -> list[FreeTime]:
        service_id, location_id = appointment.service_id, appointment.location_id
        zone = appointment.location.time_zone
        day, next_day = clock.day_bounds(clock.local(appointment.start, zone).date(), zone)
        same_day = self.search(service_id, location_id, None, day, next_day)
        colleagues = sorted(
            (time for time in same_day if time.practitioner_id != appointment.practitioner_id),
            key=lambda time: (abs(time.start - appointment.start), time.start, str(time.practitioner_id)),
        )
        after = self.shut.end + LOOK_AHEAD
        later = self.search(service_id, location_id, appointment.practitioner_id, self.shut.end, after)
        return [*colleagues, *later]

    def _search(
        self, service_id: UUID, location_id: UUID, practitioner_id: UUID | None, from_at: datetime, to_at: datetime
    ) -> list[FreeTime]:
        found = availability.search(
            service_id,
            from_at=from_at,
            to_at=to_at,
            practitioner_id=practitioner_id,
            location_id=location_id,
            limit=CANDIDATES,
            as_staff=True,
        )
        return [time for time in found if not self.shut.covers(time)]


def occupied_by(start: datetime, service: HealthcareService) -> Span:
    """What a visit of this service would take of a practitioner, buffers included."""
    return (
        start - timedelta(minutes=service.buffer_before_minutes),
        start + timedelta(minutes=service.duration_minutes + service.buffer_after_minutes),
    )


def collisions(moves: Iterable[tuple[Appointment, datetime, UUID]]) -> list[UUID]:
    """The visits of a plan that are to be moved onto a time that another one of it is moved to."""
    taken: dict[UUID, list[Span]] = {}
    colliding = []
    for appointment, start, practitioner_id in moves:
        span = occupied_by(start, appointment.service)
        others = taken.setdefault(practitioner_id, [])
        if any(overlap(span, other) for other in others):
            colliding.append(appointment.id)
        others.append(span)
    return colliding
