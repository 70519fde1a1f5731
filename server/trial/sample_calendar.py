"""The sample clinic's appointments: weeks before and after today, placed by the rules of hours, steps and buffers."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import Range

from server.models import Status
from server.trial import sample_cast as cast
from server.utils import clock
from server.utils.tokens import new_id

REASONS = (
    *("", "", "", "", "Back pain", "Repeat prescription", "Blood pressure", "Cough that stays"),
    *("Results of the last test", "Travel next month", "Headaches", "School form"),
)
CANCEL_REASONS = ("Feeling better", "Cannot get off work", "Found an earlier time", "Travelling")
SERVICES: dict[str, dict[str, Any]] = {str(row["name"]): row for row in cast.SERVICES}


@dataclass(frozen=True)
class Visit:
    """A time that fits the service's steps, with its buffers."""

    blocked_from: datetime
    start: datetime
    end: datetime
    free_again: datetime


def _place(service: dict[str, Any], opening: datetime, free_from: datetime) -> Visit:
    """The first visit on the service's steps whose buffer begins at `free_from` or later."""
    before, after, step, duration = (
        timedelta(minutes=service[f"{name}_minutes"]) for name in ("buffer_before", "buffer_after", "step", "duration")
    )
    start = opening + step * -(-(free_from + before - opening) // step)
    return Visit(start - before, start, start + duration, start + duration + after)


@dataclass(kw_only=True)
class Diary:
    """Everybody's diary. No practitioner is in two places, no patient has two visits on one day."""

    chance: random.Random
    weeks: int
    locations: dict[Any, UUID]
    rooms: dict[Any, UUID]
    services: dict[Any, UUID]
    practitioners: dict[Any, UUID]
    patients: dict[str, list[UUID]]
    with_account: frozenset[UUID]
    closures: list[dict[str, Any]]
    desk_id: UUID
    now: datetime = field(default_factory=clock.now)

    @staticmethod
    def first_monday(weeks: int) -> date:
        """Where the sample begins: the Monday of the week `weeks` ago."""
        today = clock.today("UTC")
        return today - timedelta(days=today.weekday(), weeks=weeks)

    def appointments(self) -> list[dict[str, Any]]:
        """Rows for `appointments`."""
        first = self.first_monday(self.weeks)
        rows: list[dict[str, Any]] = []
        for location in cast.LOCATIONS:
            zone, people = location["time_zone"], [p for p in cast.PRACTITIONERS if p.location == location["name"]]
            for on in (first + timedelta(days=n) for n in range(14 * self.weeks)):
                waiting = self._patients_of_the_day(location["name"], on, clock.today(zone))
                for person in people:
                    rows += self._day(person, on, zone, waiting)
        return rows

    def _patients_of_the_day(self, location: str, on: date, today: date) -> Iterator[UUID]:
        """Each patient once, in random order; Ana and Bea come one day a month, and not in the next few days."""
        known = self.patients[location]
        with_account = [patient_id for patient_id in known if patient_id in self.with_account]
        others = [patient_id for patient_id in known if patient_id not in self.with_account]
        drawn = self.chance.sample(others, len(others))
        yield from with_account if (on - today).days % 28 == 6 else []
        yield from drawn

    def _day(self, person: cast.Person, on: date, zone: str, waiting: Iterator[UUID]) -> Iterator[dict[str, Any]]:
        for hours in person.hours:
            weeks_on = (on - self.first_monday(self.weeks)).days // 7
            if str(on.isoweekday()) not in hours.weekdays or weeks_on % hours.every_n_weeks:
                continue
            if SERVICES[hours.services[0]]["capacity"] > 1:  # what happens there is arranged at the desk
                continue
            opening = clock.to_instant(datetime.combine(on, hours.starts_at), zone)
            closing = clock.to_instant(datetime.combine(on, hours.ends_at), zone)
            free_from = opening
            share = self._share(person.busy, (on - clock.today(zone)).days)
            while free_from < closing:
                service = SERVICES[self.chance.choice(hours.services)]
                visit = _place(service, opening, free_from)
                if visit.end > closing:
                    break
                free_from = visit.free_again
                if self.chance.random() > share or self._is_closed(person, visit):
                    continue
                patient_id = next(waiting, None)
                if patient_id is None:
                    return
                row = self._row(person, hours, service, visit)
                course = self._course(visit, kept=patient_id in self.with_account)
                yield row | course | {"patient_id": patient_id}

    def _share(self, busy: float, days_ahead: int) -> float:
        """How full a day is: the past and today as usual, then less and less."""
        return busy if days_ahead <= 0 else busy * max(0.12, 0.8 - days_ahead / 40)

    def _is_closed(self, person: cast.Person, visit: Visit) -> bool:
        during = Range(visit.start, visit.end)
        who, where = self.practitioners[person.name], self.locations[person.location]
        return any(
            row["during"].overlaps(during)
            for row in self.closures
            if row["practitioner_id"] in (None, who) and row["location_id"] in (None, where)
        )

    def _row(self, person: cast.Person, hours: cast.Hours, service: dict[str, Any], visit: Visit) -> dict[str, Any]:
        location_id = self.locations[person.location]
        asked_at = visit.start - timedelta(hours=self.chance.randint(30, 600))
        by_desk = not service["self_bookable"] or self.chance.random() < 0.4
        return {
            "id": new_id(),
            "service_id": self.services[service["name"]],
            "practitioner_id": self.practitioners[person.name],
            "location_id": location_id,
            "room_id": self.rooms[location_id, hours.room] if hours.room else None,
            "during": Range(visit.start, visit.end),
            "occupied": Range(visit.blocked_from, visit.free_again),
            "reason": self.chance.choice(REASONS),
            "booked_by_id": self.desk_id if by_desk else None,
            "created_at": min(asked_at, self.now),
        }

    def _course(self, visit: Visit, *, kept: bool) -> dict[str, Any]:
        """How it went, or how far it is: the state by now, and what goes with it. `kept`: they come for sure."""
        status = self._status(visit, 1.0 if kept else self.chance.random())
        cancelled = status == Status.CANCELLED
        soon = visit.start - self.now < timedelta(days=4)
        confirmed = soon and not cancelled and self.chance.random() < 0.6
        return {
            "status": status,
            "cancel_reason": self.chance.choice(CANCEL_REASONS) if cancelled else "",
            "confirmed_at": min(self.now, visit.start - timedelta(hours=20)) if confirmed else None,
            "sequence": 1 if cancelled else 0,
            "version": 2 if cancelled or confirmed else 1,
        }

    def _status(self, visit: Visit, draw: float) -> str:
        if draw < 0.06:
            return Status.CANCELLED
        if visit.end <= self.now:
            return Status.NOSHOW if draw < 0.11 else Status.FULFILLED
        if visit.start <= self.now:
            return Status.ARRIVED
        if visit.start - self.now < timedelta(minutes=45) and draw < 0.4:
            return Status.ARRIVED  # in the waiting room
        return Status.BOOKED
