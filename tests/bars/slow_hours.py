"""Opening hours to free starts, slowly and by other means than the product.

A zone is nothing but the list of readings that its clock shows, one a minute. Nothing here asks PostgreSQL
or server.utils.clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from uuid import UUID
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone as the tzdata package has it, whatever the machine has."""
    *folders, leaf = name.split("/")
    package = ".".join(["tzdata", "zoneinfo", *folders])
    with resources.files(package).joinpath(leaf).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def transitions(name: str, first_year: int, last_year: int) -> list[datetime]:
    """The instants, to the minute, at which the zone's offset from UTC changes."""
    zone = zone_of(name)
    found = []
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        following = day + timedelta(days=1)
        if (offset := day.astimezone(zone).utcoffset()) != following.astimezone(zone).utcoffset():
            before, after = day, following
            while after - before > MINUTE:
                middle = before + MINUTE * ((after - before) // MINUTE // 2)
                before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
            found.append(after)
        day = following
    return found


@dataclass(frozen=True, kw_only=True)
class Hours:
    """One row of a schedule."""

    practitioner_id: UUID
    weekday: int
    opens: time
    closes: time
    valid_from: date = date(2020, 1, 1)
    valid_until: date | None = None
    every_n_weeks: int = 1
    room_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What is looked for; minutes."""

    duration: int
    step: int
    before: int = 0
    after: int = 0


@dataclass(frozen=True, kw_only=True)
class Block:
    """Time taken away from a practitioner, a room, or (a closure without a practitioner) everybody."""

    start: datetime
    end: datetime
    practitioner_id: UUID | None = None
    room_id: UUID | None = None

    def overlaps(self, lo: int, hi: int) -> bool:
        return minute_of(self.start) < hi and lo < minute_of(self.end)


def minute_of(instant: datetime) -> int:
    return (instant - EPOCH) // MINUTE


class SlowClock:
    """What the clocks of a zone show in each minute of the days around a span."""

    def __init__(self, name: str, from_at: datetime, to_at: datetime, margin: timedelta = timedelta(days=2)) -> None:
        zone, at, end = zone_of(name), from_at - margin, to_at + margin
        self.readings: dict[datetime, list[int]] = {}
        for minute in range(minute_of(at), minute_of(end)):
            self.readings.setdefault(at.astimezone(zone).replace(tzinfo=None), []).append(minute)
            at += MINUTE
        self.first_day, self.last_day = min(self.readings).date(), max(self.readings).date()

    def minute(self, wall: datetime) -> int:
        """Shown twice: the second time. Never shown: counted on from the last minute that was."""
        if wall in self.readings:
            return max(self.readings[wall])
        last, skipped = wall, 0
        while last not in self.readings:
            last, skipped = last - MINUTE, skipped + 1
        return max(self.readings[last]) + skipped

    def days(self) -> Iterable[date]:
        day = self.first_day + timedelta(days=1)  # the outermost days are not complete
        while day < self.last_day:
            yield day
            day += timedelta(days=1)


def free_starts(
    clock: SlowClock,
    hours: Iterable[Hours],
    visit: Visit,
    *,
    closures: Iterable[Block] = (),
    busy: Iterable[Block] = (),
    from_at: datetime,
    to_at: datetime,
) -> list[tuple[datetime, UUID]]:
    """Every free (start, practitioner) with start in [from_at, to_at), sorted."""
    opened: dict[tuple[UUID, UUID | None], list[tuple[int, int]]] = {}
    for row in hours:
        for day in clock.days():
            if is_open_on(row, day):
                lo, hi = clock.minute(datetime.combine(day, row.opens)), clock.minute(datetime.combine(day, row.closes))
                opened.setdefault((row.practitioner_id, row.room_id), []).append((lo, hi))
    closures, busy = list(closures), list(busy)
    first, end = minute_of(from_at), minute_of(to_at)
    found = []
    for (practitioner_id, room_id), spans in opened.items():
        closed = [c for c in closures if c.practitioner_id in (None, practitioner_id)]
        taken = [b for b in busy if b.practitioner_id == practitioner_id or (room_id and b.room_id == room_id)]
        for opens, closes in joined(spans):
            for start in range(opens, closes - visit.duration + 1, visit.step):
                free_from, free_until = start - visit.before, start + visit.duration + visit.after
                if (
                    first <= start < end
                    and not any(c.overlaps(start, start + visit.duration) for c in closed)
                    and not any(b.overlaps(free_from, free_until) for b in taken)
                ):
                    found.append((EPOCH + start * MINUTE, practitioner_id))
    return sorted(found, key=lambda one: (one[0], one[1].int))


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch or overlap as one; empty and inverted ones left out."""
    out: list[tuple[int, int]] = []
    for lo, hi in sorted(span for span in spans if span[0] < span[1]):
        if out and lo <= out[-1][1]:
            out[-1] = (out[-1][0], max(hi, out[-1][1]))
        else:
            out.append((lo, hi))
    return out


def is_open_on(row: Hours, day: date) -> bool:
    """Whether the row applies on this local date."""
    if day.isoweekday() != row.weekday or day < row.valid_from or (row.valid_until and day > row.valid_until):
        return False
    weeks = (monday(day) - monday(row.valid_from)).days // 7
    return weeks % row.every_n_weeks == 0


def monday(day: date) -> date:
    return day - timedelta(days=day.isoweekday() - 1)
