"""The day as a grid: which card stands in which row of which column. Pure arithmetic on instants.

A row is five minutes of elapsed time, so that a day of 23 or 25 hours has as many rows as it lasts, and an
hour that the clocks repeat appears twice.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from server.admin.words import CLOSURES, state_of
from server.models import OCCUPYING, Appointment, Status
from server.services.visits import Closed, DayOf
from server.utils import clock

ROW = timedelta(minutes=5)
SHORTEST_LINK = timedelta(minutes=10)  # less free time than this is added to the next link
LINK_MINUTES = 30
SHORT, MEDIUM = 15, 25  # minutes up to which a card has room for one line, for two

Span = tuple[datetime, datetime]


@dataclass
class Item:
    """Something in a column: a visit, opening hours, a closure, free or buffer time; [start, end)."""

    kind: str
    start: datetime
    end: datetime
    place: str = ""  # class that puts it into its rows
    label: str = ""
    lane: int = 0  # beside another card at the same time
    size: str = ""  # "short" has room for one line, "medium" for two
    visit: Appointment | None = None
    word: str = ""
    next_step: str = ""
    seats: int = 0  # of a group session, those that are taken


@dataclass
class Column:
    practitioner_id: UUID
    name: str
    specialty: str
    items: list[Item]
    lanes: int = 1


@dataclass
class Board:
    """`marks`: (class, "09:00") of each hour. `rules`: {class: "first row / last row"} for the style block."""

    start: datetime
    end: datetime
    rows: int
    marks: list[tuple[str, str]]
    columns: list[Column]
    not_in: list[str]  # names of practitioners without hours and visits on this day
    rules: dict[str, str] = field(default_factory=dict)

    def row(self, instant: datetime) -> int:
        """The grid line of an instant, from 1; what lies outside is put at the edge."""
        return min(max(round((instant - self.start) / ROW), 0), self.rows) + 1

    def place(self, start: datetime, end: datetime) -> str:
        """The class for [start, end), one row at least."""
        first = min(self.row(start), self.rows)
        last = max(self.row(end), first + 1)
        name = f"r{first}-{last}"
        self.rules[name] = f"{first} / {last}"
        return name


def lay_out(
    visits: Sequence[Appointment],
    days: Sequence[DayOf],
    *,
    bounds: Span,
    zone: str,
    now: datetime,
    may_book: bool,
) -> Board | None:
    """The board of one day at one location; None when nobody has hours, visits or leave on it."""
    span = _span(visits, days, bounds=bounds, zone=zone)
    if span is None:
        return None
    board = Board(*span, rows=round((span[1] - span[0]) / ROW), marks=[], columns=[], not_in=[])
    board.marks = _marks(board, zone)
    is_today = bounds[0] <= now < bounds[1]
    seats = Counter(visit.session_id for visit in visits if visit.lane > 0)
    of: dict[UUID, list[Appointment]] = {day.practitioner_id: [] for day in days}
    for visit in visits:
        if visit.lane <= 0:  # a seat is part of its session's card
            of[visit.practitioner_id].append(visit)
    for day in days:
        own = of[day.practitioner_id]
        if not (day.hours or own):
            board.not_in.append(day.name)
            continue
        items = [Item("hours", start, end, label="Open") for start, end in day.hours]
        items += [Item("closure", shut.start, shut.end, label=_why(shut)) for shut in day.closures]
        items += [Item("elsewhere", start, end, label="At another location") for start, end in day.elsewhere]
        items += [_card(visit, seats, now=now, is_today=is_today) for visit in own]
        items += [buffer for visit in own for buffer in _buffers(visit)]
        if may_book:
            items += [Item("free", *piece) for piece in _pieces(_free(day, own, now=now), zone)]
        items = [item for item in items if item.start < board.end and item.end > board.start]
        for item in items:
            item.place = board.place(item.start, item.end)
        items.sort(key=lambda item: (item.start, item.kind != "hours", item.end))
        board.columns.append(Column(day.practitioner_id, day.name, day.specialty, items, _share_lanes(board, items)))
    return board


def agenda(visits: Sequence[Appointment], days: Sequence[DayOf], *, now: datetime, bounds: Span) -> list[Item]:
    """The same day as one list by time, for a phone and for paper: visits, holds and closures."""
    is_today = bounds[0] <= now < bounds[1]
    seats = Counter(visit.session_id for visit in visits if visit.lane > 0)
    items = [_card(visit, seats, now=now, is_today=is_today) for visit in visits if visit.lane <= 0]
    shut_for: dict[tuple[datetime, datetime, str], list[str]] = {}  # a holiday of all is one line, not one for each
    for day in days:
        for shut in day.closures if day.hours else ():
            span = max(shut.start, bounds[0]), min(shut.end, bounds[1])
            shut_for.setdefault((*span, _why(shut)), []).append(day.name)
    items += [
        Item("closure", start, end, label=f"{why}: {', '.join(names)}") for (start, end, why), names in shut_for.items()
    ]
    return sorted(items, key=lambda item: item.start)


def count(visits: Iterable[Appointment]) -> dict[str, int]:
    """How many are still expected, here, done, and did not come."""
    counts = {"booked": 0, "arrived": 0, "done": 0, "no-show": 0}
    kinds = {
        Status.PENDING: "booked",
        Status.BOOKED: "booked",
        Status.ARRIVED: "arrived",
        Status.FULFILLED: "done",
        Status.NOSHOW: "no-show",
    }
    for visit in visits:
        if visit.status in kinds and not visit.is_session:
            counts[kinds[Status(visit.status)]] += 1
    return counts


# --- the parts ---


def _span(visits: Sequence[Appointment], days: Sequence[DayOf], *, bounds: Span, zone: str) -> Span | None:
    """From the first opening or visit to the last, out to full hours of the location's clocks."""
    spans = [span for day in days for span in day.hours] + [(visit.start, visit.end) for visit in visits]
    if not spans:
        return None
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    past_hour = clock.local(last, zone).minute
    first -= timedelta(minutes=clock.local(first, zone).minute)
    last += timedelta(minutes=(60 - past_hour) % 60)
    return max(first, bounds[0]), min(last, bounds[1])


def _marks(board: Board, zone: str) -> list[tuple[str, str]]:
    """The full hours; with their offset on a day when the clocks change, because one may appear twice."""
    changes = clock.local(board.start, zone).utcoffset() != clock.local(board.end, zone).utcoffset()
    marks, at = [], board.start
    while at < board.end:
        wall = clock.local(at, zone)
        if wall.minute == 0:
            marks.append((board.place(at, at + ROW), f"{wall:%H:%M}" + (f" {wall:%Z}" if changes else "")))
        at += ROW
    return marks


def _card(visit: Appointment, seats: Counter[UUID | None], *, now: datetime, is_today: bool) -> Item:
    kind, word = state_of(visit)
    is_today = is_today and not visit.is_session
    next_step = {"booked": "arrive", "confirmed": "arrive", "arrived": "complete"}.get(kind, "") if is_today else ""
    minutes = (visit.end - visit.start) / timedelta(minutes=1)
    size = "short" if minutes <= SHORT else "medium" if minutes <= MEDIUM else ""
    return Item(
        kind,
        visit.start,
        visit.end,
        size=size,
        visit=visit,
        word=word,
        next_step=next_step,
        seats=seats[visit.session_id],
    )


def _why(shut: Closed) -> str:
    return shut.reason or CLOSURES[shut.kind]


def _buffers(visit: Appointment) -> list[Item]:
    if visit.status not in OCCUPYING:
        return []
    occupied = _occupied(visit)
    spans = ((occupied[0], visit.start), (visit.end, occupied[1]))
    return [Item("buffer", start, end) for start, end in spans if start < end]


def _occupied(visit: Appointment) -> Span:
    return cast(Span, (visit.occupied.lower, visit.occupied.upper))  # a CHECK says that it is bounded


def _free(day: DayOf, visits: Iterable[Appointment], *, now: datetime) -> list[Span]:
    """Hours without closures, visits with their buffers, times at another location, and the past."""
    taken = [_occupied(visit) for visit in visits if visit.status in OCCUPYING]
    taken += [(shut.start, shut.end) for shut in day.closures] + day.elsewhere
    taken.append((datetime.min.replace(tzinfo=now.tzinfo), now))
    free = list(day.hours)
    for start, end in taken:
        free = [
            piece
            for lower, upper in free
            for piece in ((lower, min(upper, start)), (max(lower, end), upper))
            if piece[0] < piece[1]
        ]
    return free


def _pieces(free: Iterable[Span], zone: str) -> list[Span]:
    """Free time cut at the full and half hours of the wall clock: one link each."""
    pieces = []
    for start, end in free:
        over = clock.local(start, zone)
        # The past ends at any second; people book at minutes that their clock shows in fives.
        at = start + timedelta(minutes=-over.minute % 5, seconds=-over.second, microseconds=-over.microsecond)
        at = at if at >= start else at + timedelta(minutes=5)
        while at < end:
            mark = at + timedelta(minutes=LINK_MINUTES - clock.local(at, zone).minute % LINK_MINUTES)
            if mark - at < SHORTEST_LINK:
                mark += timedelta(minutes=LINK_MINUTES)
            if end - mark < SHORTEST_LINK:
                mark = end
            pieces.append((at, mark))
            at = mark
    return pieces


def _share_lanes(board: Board, items: Iterable[Item]) -> int:
    """Cards of one column at the same time stand side by side; returns how many lanes that takes."""
    lanes: list[int] = []  # the row in which each lane becomes free
    for item in items:
        if item.visit is None:
            continue
        first = board.row(item.start)
        lane = next((number for number, until in enumerate(lanes) if until <= first), len(lanes))
        lanes[lane : lane + 1] = [max(board.row(item.end), first + 1)]
        item.lane = lane
    return max(len(lanes), 1)
