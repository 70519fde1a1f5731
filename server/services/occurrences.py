"""The visits of a series, one by one: when each is to be, whether that can be had, and what could be had instead.

A plan is not worked out beside the rules: it is the booking itself, which is undone again. So a plan cannot promise
what the booking would refuse, and the limits of a patient count the visits of the series itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from server.errors import Conflict, Invalid
from server.models import Appointment
from server.services import availability
from server.services.access import Actor
from server.services.availability import FreeTime, Reason
from server.services.occupancy import PatientBusy, SlotTaken
from server.services.rules import RulesForbid
from server.utils import clock

MAX_COUNT, MAX_WEEKS = 52, 52
DAYS_AROUND = 3  # how far from its day another time for a visit is proposed
PROPOSALS_TRIED = 8


class SeriesConflict(Conflict):
    """Not every visit can be had; `plan` has all of them, with the reasons and what could be had instead."""

    slug, title = "series-conflict", "Not every visit is possible"

    def __init__(self, plan: "Plan") -> None:
        refused = sum(not each.is_free for each in plan.occurrences)
        super().__init__(
            f"{refused} of {len(plan.occurrences)} visits are not possible at the wanted time. Nothing was changed.",
            plan=[each.as_json() for each in plan.occurrences],
        )
        self.plan = plan


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One visit of a series as it is wanted."""

    number: int
    start: datetime
    duration: timedelta
    service_id: UUID
    practitioner_id: UUID
    location_id: UUID | None
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """What became of a wish. `proposal`: a time that could be had instead, when the wanted one is not free."""

    number: int
    start: datetime
    end: datetime
    reasons: Sequence[Reason] = ()
    proposal: FreeTime | None = None
    appointment_id: UUID | None = None

    @property
    def is_free(self) -> bool:
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """The contract's shape."""
        return {
            "number": self.number,
            "start": availability.as_instant(self.start),
            "end": availability.as_instant(self.end),
            "is_free": self.is_free,
            "reasons": [reason.as_json() for reason in self.reasons],
            "proposal": self.proposal and self.proposal.as_json(),
            "appointment_id": self.appointment_id and str(self.appointment_id),
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A series, or a change of one, visit by visit in the order of their numbers; without an id it is not booked."""

    id: UUID | None
    patient_id: UUID
    service_id: UUID
    every_n_weeks: int
    time_zone: str
    occurrences: Sequence[Occurrence]

    @property
    def is_free(self) -> bool:
        return all(each.is_free for each in self.occurrences)


Take = Callable[[Wish, datetime], Appointment]


def settle(wishes: Iterable[Wish], take: Take, *, actor: Actor, propose: bool) -> list[Occurrence]:
    """Take the time of each wish that can be had, in order of time, so that two series never wait crosswise.

    With `propose` a time near by is taken for each of the others, too: whoever proposes has to undo all of it.
    """
    in_order = sorted(wishes, key=lambda wish: wish.start)
    taken: dict[int, UUID] = {}
    refused: dict[int, list[Reason]] = {}
    for wish in in_order:
        try:
            taken[wish.number] = take(wish, wish.start).id
        except (RulesForbid, SlotTaken, PatientBusy) as refusal:
            refused[wish.number] = _reasons(refusal, wish, actor=actor)
    return [
        Occurrence(
            number=wish.number,
            start=clock.local(wish.start, "UTC"),
            end=clock.local(wish.start + wish.duration, "UTC"),
            reasons=refused.get(wish.number, ()),
            proposal=_propose(wish, take, actor=actor) if propose and wish.number in refused else None,
            appointment_id=taken.get(wish.number),
        )
        for wish in sorted(in_order, key=lambda wish: wish.number)
    ]


def _reasons(refusal: RulesForbid | SlotTaken | PatientBusy, wish: Wish, *, actor: Actor) -> list[Reason]:
    if isinstance(refusal, RulesForbid):
        return refusal.reasons
    if isinstance(refusal, PatientBusy):
        return [Reason("patient-busy", refusal.detail)]
    found = availability.facts(
        wish.service_id,
        practitioner_id=wish.practitioner_id,
        start=wish.start,
        location_id=wish.location_id,
    )
    taken = availability.reasons(found, start=wish.start, actor=actor)
    return taken or [Reason("busy", "This time is taken.")]


def _propose(wish: Wish, take: Take, *, actor: Actor) -> FreeTime | None:
    """The nearest time with the same practitioner that can be had, on the same local day if there is one."""
    day = clock.local(wish.start, wish.time_zone).date()
    free = availability.search(
        wish.service_id,
        from_at=clock.start_of_day(day - timedelta(days=DAYS_AROUND), wish.time_zone),
        to_at=clock.start_of_day(day + timedelta(days=DAYS_AROUND + 1), wish.time_zone),
        practitioner_id=wish.practitioner_id,
        location_id=wish.location_id,
        limit=500,
        as_staff=actor.may("book"),
    )

    def distance(time: FreeTime) -> tuple[bool, timedelta]:
        return clock.local(time.start, wish.time_zone).date() != day, abs(time.start - wish.start)

    for time in sorted(free, key=distance)[:PROPOSALS_TRIED]:
        try:
            take(wish, time.start)
        except (SlotTaken, PatientBusy):
            continue
        except RulesForbid:  # a limit, or who may come: another time does not help
            return None
        return time
    return None


def with_replacements(
    starts: Mapping[int, datetime], replacements: Mapping[int, datetime] | None
) -> Mapping[int, datetime]:
    """The starts, some of them replaced by what was proposed. Raises Invalid for a number that there is not."""
    unknown = sorted(set(replacements or ()) - set(starts))
    if unknown:
        raise Invalid(
            "A replacement is for no visit of this series.",
            errors={"replacements": [f"There is no visit number {number}." for number in unknown]},
        )
    return {**starts, **(replacements or {})}
