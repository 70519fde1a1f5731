"""D1: opening hours stay wall time across every clock change, compared with a slow model of our own.

The statement under test is the product's; only its "now" is set back, so that the past can be searched.
Where PostgreSQL's zone data and Python's tzdata disagree about a change, that change is left out and named.
"""

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.range import TimestamptzRange
from sqlalchemy import text

from server.extensions import db
from server.services import availability
from server.services.statements import Statement
from server.utils import clock as our_clock
from server.utils.tokens import new_id
from tests.bars.seeds import dice
from tests.bars.slow_hours import EPOCH, MINUTE, Block, Hours, SlowClock, Visit, free_starts, transitions, zone_of
from tests.factories import create_location, create_patient, create_practitioner, create_schedule, create_service

FIRST_YEAR, LAST_YEAR = 2024, 2035
# Half an hour, three quarters, midnight, the day before, two hours, winter as the summer time of the year,
# once a month, never: each of these has misled somebody.
ODD = (
    "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll", "Africa/Casablanca", "Europe/Dublin",
    "America/St_Johns", "Asia/Kathmandu", "America/New_York", "Europe/Lisbon", "Pacific/Apia", "America/Santiago",
    "Africa/Cairo", "America/Nuuk",
)  # fmt: skip
MORE = (
    "America/Scoresbysund", "Asia/Gaza", "Asia/Hebron", "Asia/Beirut", "Asia/Jerusalem", "Europe/Berlin",
    "Europe/London", "Atlantic/Azores", "America/Havana", "Pacific/Easter", "Australia/Adelaide", "Australia/Sydney",
    "Pacific/Auckland", "Pacific/Norfolk", "Europe/Chisinau", "America/Asuncion", "Africa/El_Aaiun", "Europe/Kyiv",
    "America/Toronto", "America/Mexico_City", "America/Los_Angeles", "America/Anchorage", "America/Adak",
    "America/Miquelon", "Asia/Almaty", "Pacific/Kiritimati", "Asia/Tokyo",
)  # fmt: skip
ZONES = [*ODD, *(pytest.param(name, marks=pytest.mark.nightly) for name in MORE)]

VISITS = (
    Visit(duration=30, step=30),
    Visit(duration=45, step=15, before=5, after=10),
    Visit(duration=50, step=20, before=10),
)
EVERY_DAY = range(1, 8)
LONG_AGO = (r"statement_timestamp\(\)", "TIMESTAMPTZ '2000-01-01 UTC'")
NEAR = (-90, -60, -45, -30, -15, 0, 15, 30, 45, 60, 75, 90, 120, 180)


@dataclass
class Change:
    """A clinic that exists to be open around one change of the clocks."""

    at: datetime
    clock: SlowClock
    location_id: UUID
    hours: list[Hours]
    closures: list[Block]
    busy: list[Block]
    from_at: datetime
    to_at: datetime
    nine_to_five: UUID
    all_day: UUID


@pytest.fixture
def any_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search as it is, at a moment before everything."""
    set_statement(monkeypatch, LONG_AGO)


def set_statement(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> None:
    for name in ("SEARCH", "SEARCH_OF_ONE"):
        statement = getattr(availability, name).text
        for old, new in changes:
            statement, times = re.subn(old, new, statement)
            assert times, f"the statement has no {old} any more"
        monkeypatch.setattr(availability, name, Statement(statement))


@pytest.mark.parametrize("zone", ZONES)
def test_D1_free_times_around_every_clock_change(any_moment: None, context: None, zone: str) -> None:
    changes, services = clinics(zone)
    offered = list(zip(VISITS, services, strict=True))
    compared = 0
    for number, change in enumerate(changes):
        visit, service_id = offered[number % len(offered)]
        found = search(change, service_id)
        assert found == slowly(change, visit), f"{zone} {change.at} {visit}"
        check_goals(change, visit, found, zone)
        compared += len(found)
        if number % 3 == 0:
            alone = search(change, service_id, practitioner_id=change.all_day)
            assert alone == [free for free in found if free[1] == change.all_day]
    assert compared


def test_D1_the_day_of_25_hours_has_its_repeated_hour_twice(any_moment: None, context: None) -> None:
    starts = all_night("America/New_York", date(2026, 11, 1))
    local = [start.astimezone(zone_of("America/New_York")) for start in starts]
    assert len(starts) == 49  # 24 hours and 59 minutes of half hours
    assert [f"{at:%H:%M %Z}" for at in local[1:8]] == [
        "00:30 EDT", "01:00 EDT", "01:30 EDT", "01:00 EST", "01:30 EST", "02:00 EST", "02:30 EST",
    ]  # fmt: skip
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {timedelta(minutes=30)}


def test_D1_the_day_of_23_hours_has_no_start_in_the_gap(any_moment: None, context: None) -> None:
    starts = all_night("America/New_York", date(2027, 3, 14))
    local = [start.astimezone(zone_of("America/New_York")) for start in starts]
    assert len(starts) == 45
    assert [f"{at:%H:%M %Z}" for at in local[2:6]] == ["01:00 EST", "01:30 EST", "03:00 EDT", "03:30 EDT"]


@pytest.mark.parametrize("zone", ZONES)
def test_D1_python_and_postgresql_read_a_wall_time_alike(context: None, zone: str) -> None:
    """`clock.to_instant`, the search and the slow clock have one rule for skipped and repeated readings."""
    for at in agreed(zone):
        slow = SlowClock(zone, at, at, margin=timedelta(hours=8))
        nearby = [at + timedelta(minutes=15 * quarter) for quarter in range(-32, 33)]
        machine_agrees = all(our_clock.local(one, zone).replace(tzinfo=None) == reading(one, zone) for one in nearby)
        walls = [reading(at, zone) + timedelta(minutes=15 * quarter) for quarter in range(-14, 15)]
        for wall, instant in zip(walls, as_postgresql_reads("timestamp", walls, zone), strict=True):
            assert instant == EPOCH + slow.minute(wall) * MINUTE, f"{zone} {wall}"
            if machine_agrees:
                assert our_clock.to_instant(wall, zone) == instant, f"{zone} {wall}"


MISTAKES = {
    "hours counted from midnight": (
        "America/New_York",
        (r"\(on_date \+ (.)\.starts_at\) AT TIME ZONE", r"\1.starts_at + on_date::timestamp AT TIME ZONE"),
    ),
    "one offset for every day of the span": (
        "Australia/Lord_Howe",
        (
            r"\(on_date \+ (.)\.ends_at\) AT TIME ZONE (.)\.time_zone",
            r"chunk_lo + (on_date + \1.ends_at - chunk_lo AT TIME ZONE \2.time_zone)",
        ),
    ),
    "UTC days for local days": ("Pacific/Chatham", ("::date - 1,", "::date,"), (r"::date \+ 1,", "::date,")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_D1_control_a_wrong_rule_is_noticed(monkeypatch: pytest.MonkeyPatch, context: None, mistake: str) -> None:
    zone, *changes_of_the_statement = MISTAKES[mistake]
    set_statement(monkeypatch, LONG_AGO, *changes_of_the_statement)
    changes, services = clinics(zone, last_year=2025)
    assert any(search(change, services[0]) != slowly(change, VISITS[0]) for change in changes)


# --- the parts ---


def check_goals(change: Change, visit: Visit, found: list[tuple[datetime, UUID]], zone: str) -> None:
    """What a person would say of the answer, whatever the model says."""
    assert len(set(found)) == len(found), "a time is offered twice"
    here = zone_of(zone)
    for start, practitioner_id in found:
        wall = start.astimezone(here)
        assert wall.replace(tzinfo=None) in change.clock.readings, "a start in a gap"
        if practitioner_id == change.nine_to_five:
            end = (start + timedelta(minutes=visit.duration)).astimezone(here)
            assert time(9) <= wall.time() < end.time() <= time(17), f"{wall} is outside of nine to five"


def slowly(change: Change, visit: Visit) -> list[tuple[datetime, UUID]]:
    return free_starts(
        change.clock,
        change.hours,
        visit,
        closures=change.closures,
        busy=change.busy,
        from_at=change.from_at,
        to_at=change.to_at,
    )


def search(change: Change, service_id: UUID, **over: Any) -> list[tuple[datetime, UUID]]:
    found = availability.search(
        service_id,
        from_at=change.from_at,
        to_at=change.to_at,
        location_id=change.location_id,
        limit=100_000,
        as_staff=True,
        **over,
    )
    return [(free.start, free.practitioner_id) for free in found]


def agreed(zone: str, last_year: int = LAST_YEAR) -> list[datetime]:
    """The changes (or, where nothing ever changes, two quiet moments a year) about which both data sets agree."""
    moments = transitions(zone, FIRST_YEAR, last_year) or [
        datetime(year, month, 1, 1, tzinfo=UTC) for year in range(FIRST_YEAR, last_year + 1) for month in (3, 10)
    ]
    kept = []
    for moment in moments:
        instants = [moment + timedelta(hours=hours) for hours in range(-120, 121, 6)] + [moment - MINUTE]
        if as_postgresql_reads("timestamptz", instants, zone) == [reading(at, zone) for at in instants]:
            kept.append(moment)
        else:
            print(f"{zone}: PostgreSQL and tzdata disagree about {moment}, left out")  # noqa: T201
    if not kept:
        pytest.skip(f"PostgreSQL and tzdata disagree about every change of {zone}")
    return kept


def as_postgresql_reads(kind: str, moments: list[datetime], zone: str) -> list[datetime]:
    """Wall times as instants, or instants as wall times, by PostgreSQL's zone data."""
    query = text(
        f"SELECT m AT TIME ZONE :zone FROM unnest(CAST(:moments AS {kind}[])) WITH ORDINALITY AS t(m, n) ORDER BY n"
    )
    return list(db.session.execute(query, {"zone": zone, "moments": moments}).scalars())


def reading(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(zone_of(zone)).replace(tzinfo=None)


def clinics(zone: str, last_year: int = LAST_YEAR) -> tuple[list[Change], list[UUID]]:
    """For each change a clinic with people, hours near the change, closures and visits; and the services."""
    services = [
        create_service(
            duration_minutes=visit.duration,
            step_minutes=visit.step,
            buffer_before_minutes=visit.before,
            buffer_after_minutes=visit.after,
        ).id
        for visit in VISITS
    ]
    changes = [clinic_around(at, zone, dice("D1", zone, at.date())) for at in agreed(zone, last_year)]
    write(changes, zone, services)
    return changes, services


def clinic_around(at: datetime, zone: str, rng: Random) -> Change:
    around = timedelta(hours=20, minutes=rng.randrange(300))
    from_at, to_at = at - around, at + around
    walls = [reading(at - MINUTE, zone) + MINUTE, reading(at, zone)]
    day = walls[0].date()
    nine_to_five, all_day, in_a_room, *others = (new_id() for _ in range(8))
    hours = [Hours(practitioner_id=nine_to_five, weekday=n, opens=time(9), closes=time(17)) for n in EVERY_DAY]
    hours += [Hours(practitioner_id=all_day, weekday=n, opens=time(0), closes=time(23, 59)) for n in EVERY_DAY]
    for number, practitioner_id in enumerate(others):
        # Around the change, adjoining in the middle: on every day, or now and then within some weeks.
        opens, middle, closes = near(walls, rng)
        weeks = rng.choice([1, 2, 3]) if number % 2 else 1
        valid_from = day - timedelta(days=rng.randrange(0, 30))
        valid_until = rng.choice([None, day, day + timedelta(days=1), max(day - timedelta(days=1), valid_from)])
        for n in EVERY_DAY:
            for lo, hi in ((opens, middle), (middle, closes)):
                row = {"practitioner_id": practitioner_id, "weekday": n, "opens": lo, "closes": hi}
                hours.append(Hours(**row, valid_from=valid_from, valid_until=valid_until, every_n_weeks=weeks))
    room_id = new_id()
    hours += [
        Hours(practitioner_id=in_a_room, weekday=n, opens=time(0, 10), closes=time(23, 50), room_id=room_id)
        for n in EVERY_DAY
    ]
    visit_at = at + rng.randrange(-120, 90) * MINUTE
    busy = [
        Block(start=visit_at, end=visit_at + 40 * MINUTE, practitioner_id=all_day),
        Block(start=visit_at + 40 * MINUTE, end=visit_at + 85 * MINUTE, practitioner_id=nine_to_five, room_id=room_id),
    ]
    shut = at + rng.randrange(-300, 200) * MINUTE
    closures = [
        Block(start=shut, end=shut + rng.randrange(10, 200) * MINUTE, practitioner_id=all_day),
        Block(start=shut + timedelta(hours=14), end=shut + timedelta(hours=15)),
    ]
    return Change(
        at, SlowClock(zone, from_at, to_at), new_id(), hours, closures, busy, from_at, to_at, nine_to_five, all_day
    )


def near(walls: list[datetime], rng: Random) -> tuple[time, time, time]:
    """Three wall times near the change, in order; of one day, as the hours of a schedule are."""
    while True:
        times = {(rng.choice(walls) + rng.choice(NEAR) * MINUTE).time() for _ in range(3)}
        if len(times) == 3:
            opens, middle, closes = sorted(times)
            return opens, middle, closes


def write(changes: list[Change], zone: str, services: list[UUID]) -> None:
    """The clinics as rows of the database."""
    patient_id = create_patient().id
    places, people, rooms, rows, offered, closures, visits = ([] for _ in range(7))
    for change in changes:
        places.append((change.location_id, str(change.location_id), zone))
        people += [(one, "Dr Who", []) for one in {row.practitioner_id for row in change.hours}]
        rooms += [(one, change.location_id, str(one)) for one in {row.room_id for row in change.hours if row.room_id}]
        for row in change.hours:
            row_id = new_id()
            when = (row.weekday, row.opens, row.closes, row.valid_from, row.valid_until, row.every_n_weeks)
            rows.append((row_id, row.practitioner_id, change.location_id, row.room_id, *when))
            offered += [(row_id, service_id) for service_id in services]
        for one in change.closures:
            closures.append((new_id(), one.practitioner_id, change.location_id, TimestamptzRange(one.start, one.end)))
        for one in change.busy:
            span = TimestamptzRange(one.start, one.end)
            who = (one.practitioner_id, change.location_id, one.room_id, patient_id)
            visits.append((new_id(), services[0], *who, "booked", span, span))
    copy("locations (id, name, time_zone)", places)
    copy("practitioners (id, name, languages)", people)
    copy("rooms (id, location_id, name)", rooms)
    when = "weekday, starts_at, ends_at, valid_from, valid_until, every_n_weeks"
    copy(f"schedules (id, practitioner_id, location_id, room_id, {when})", rows)
    copy("schedule_services (schedule_id, service_id)", offered)
    copy("closures (id, practitioner_id, location_id, during)", closures)
    who = "practitioner_id, location_id, room_id, patient_id"
    copy(f"appointments (id, service_id, {who}, status, during, occupied)", visits)


def copy(into: str, rows: list[Any]) -> None:
    with db.session.connection().connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as target:
        for row in rows:
            target.write_row(row)


def all_night(zone: str, day: date) -> list[datetime]:
    """Free half hours of somebody who is there from midnight to a minute before the next."""
    location, practitioner = create_location(time_zone=zone), create_practitioner()
    service = create_service()
    create_schedule(practitioner, location, service, weekdays=EVERY_DAY, starts_at=time(0), ends_at=time(23, 59))
    from_at, to_at = our_clock.day_bounds(day, zone)
    found = availability.search(service.id, from_at=from_at, to_at=to_at, limit=100, as_staff=True)
    return [free.start for free in found]
