"""Free times as the pages show them: by day and place, with filters and a way to later and earlier ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

from server.models import Appointment, HealthcareService, Location, Practitioner
from server.services import availability, directory
from server.services.access import Actor
from server.services.availability import FreeTime
from server.utils import clock
from server.web.forms import read_date, read_uuid

AT_ONCE = 240  # times of one page
DAYS_AT_ONCE = 7  # days with free times of one page
FIRST_OF_A_DAY = 6  # shown before "more on this day"


@dataclass(frozen=True)
class Offer:
    """A service with those who offer it and where."""

    service: HealthcareService
    locations: Sequence[Location]
    practitioners: Sequence[Practitioner]

    @property
    def is_bookable_here(self) -> bool:
        return self.service.self_bookable and self.service.capacity == 1

    @property
    def is_for_groups(self) -> bool:
        return self.service.self_bookable and self.service.capacity > 1


@dataclass(frozen=True)
class Wish:
    """What somebody looks for; what was sent and fits nothing is left out."""

    location: Location | None = None
    practitioner: Practitioner | None = None
    from_on: date | None = None

    def as_query(self, **other: object) -> dict[str, str]:
        """The query of a link that keeps the filters; empty ones say that anywhere or anyone is wished for."""
        values = {
            "location": self.location.id if self.location else "",
            "practitioner": self.practitioner.id if self.practitioner else "",
            "from": self.from_on,
            **other,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class PlaceOnDay:
    """Free times at one place on one day of its calendar."""

    location: Location
    times: list[FreeTime] = field(default_factory=list)


@dataclass(frozen=True)
class FreeTimes:
    """One page of free times. `earlier` and `later`: the dates from which the neighbouring pages start."""

    days: dict[date, list[PlaceOnDay]]
    names: Mapping[UUID, str]  # of practitioners
    earlier: date | None
    later: date | None
    today: date
    is_cut: bool  # a single day with more times than fit


def offer_of(service_id: UUID) -> Offer:
    """Raises NotVisible."""
    return Offer(
        directory.service(service_id),
        directory.places_of_services().get(service_id, []),
        directory.practitioners(service_id=service_id),
    )


def read_wish(sent: Mapping[str, str], offer: Offer, *, moving: Appointment | None = None) -> Wish:
    """The filters of a request; for an appointment that is to be moved, at first the same person and place."""
    location_id, practitioner_id = read_uuid(sent.get("location")), read_uuid(sent.get("practitioner"))
    if moving and "location" not in sent and "practitioner" not in sent:
        location_id, practitioner_id = moving.location_id, moving.practitioner_id
    return Wish(
        next((place for place in offer.locations if place.id == location_id), None),
        next((person for person in offer.practitioners if person.id == practitioner_id), None),
        read_date(sent.get("from")),
    )


def find_free_times(offer: Offer, wish: Wish, *, actor: Actor, moving: Appointment | None = None) -> FreeTimes:
    """The first free times that fit the wish; for an appointment that is to be moved, others than its own."""
    places = {place.id: place for place in ([wish.location] if wish.location else offer.locations)}
    zones = {place.time_zone for place in places.values()} or {"UTC"}
    today = min(clock.today(zone) for zone in zones)
    from_on = max(wish.from_on or today, today)
    from_at = min(clock.start_of_day(from_on, zone) for zone in zones)
    found = availability.search(
        offer.service.id,
        from_at=from_at,
        to_at=from_at + timedelta(days=availability.MAX_DAYS),
        practitioner_id=wish.practitioner.id if wish.practitioner else None,
        location_id=wish.location.id if wish.location else None,
        limit=AT_ONCE,
        as_staff=actor.may("book"),
        ignore_id=moving.id if moving else None,
    )
    is_full = len(found) == AT_ONCE
    if moving:
        found = [free for free in found if (free.start, free.practitioner_id) != (moving.start, moving.practitioner_id)]
    days = _by_day(found, places, from_on)
    is_cut = False
    later: date | None = None
    if is_full:  # the last day may be incomplete
        is_cut = len(days) == 1
        later = max(days) + timedelta(days=1) if is_cut else max(days)
    elif from_on + timedelta(days=availability.MAX_DAYS) < today + timedelta(days=offer.service.horizon_days):
        later = from_on + timedelta(days=availability.MAX_DAYS)
    shown = sorted(days)[:DAYS_AT_ONCE]
    if len(days) > len(shown):
        later = sorted(days)[DAYS_AT_ONCE]
    return FreeTimes(
        {day: days[day] for day in shown if is_cut or day != later},
        {person.id: person.name for person in offer.practitioners},
        max(today, from_on - timedelta(days=DAYS_AT_ONCE)) if from_on > today else None,
        later,
        today,
        is_cut,
    )


def _by_day(found: Sequence[FreeTime], places: Mapping[UUID, Location], from_on: date) -> dict[date, list[PlaceOnDay]]:
    days: dict[date, dict[UUID, PlaceOnDay]] = {}
    for free in found:
        place = places.get(free.location_id)
        if place is None:
            continue
        day = clock.local(free.start, place.time_zone).date()
        if day >= from_on:
            days.setdefault(day, {}).setdefault(place.id, PlaceOnDay(place)).times.append(free)
    return {day: sorted(by_place.values(), key=lambda each: each.location.name) for day, by_place in days.items()}
