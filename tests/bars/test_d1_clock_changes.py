"""D1: opening hours stay wall time across every clock change, compared with a slow model of our own.

The statement under test is the product's; only its "now" is set back, so that the past can be searched.
Where PostgreSQL's zone data and Python's tzdata disagree about a change, that change is left out and named.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.models import Appointment, Closure, Location, Practitioner, Room, Schedule, schedule_services
from server.services import availability
from server.utils import clock as our_clock
from server.utils.tokens import new_id
from tests.bars.seeds import dice
from tests.bars.slow_hours import MINUTE, Block, Hours, SlowClock, Visit, free_starts, transitions, zone_of
from tests.factories import create_location, create_patient, create_practitioner, create_schedule, create_service

FIRST_YEAR, LAST_YEAR = 2024, 2035
# Half an hour, three quarters, midnight, the day before, two hours, winter as the summer time of the year,
# once a month, never: each of these has misled somebody.
ODD = """
    Australia/Lord_Howe Pacific/Chatham Antarctica/Troll Africa/Casablanca Europe/Dublin America/St_Johns
    Asia/Kathmandu America/New_York Europe/Lisbon Pacific/Apia America/Santiago Africa/Cairo America/Nuuk
""".split()
MORE = """
    America/Scoresbysund Asia/Gaza Asia/Hebron Asia/Beirut Asia/Jerusalem Europe/Berlin Europe/London Atlantic/Azores
    America/Havana Pacific/Easter Australia/Adelaide Australia/Sydney Pacific/Auckland Pacific/Norfolk Europe/Chisinau
    America/Asuncion Africa/El_Aaiun Europe/Kyiv America/Toronto America/Mexico_City America/Los_Angeles
    America/Anchorage America/Adak America/Miquelon Asia/Almaty Pacific/Kiritimati Asia/Tokyo
""".split()
ZONES = [*ODD, *(pytest.param(name, marks=pytest.mark.nightly) for name in MORE)]

VISITS = (
    Visit(duration=30, step=30),
    Visit(duration=45, step=15, before=5, after=10),
    Visit(duration=50, step=20, before=10),
)
EVERY_DAY = range(1, 8)
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
    set_statement(monkeypatch, ("statement_timestamp()", "TIMESTAMPTZ '2000-01-01 UTC'"))


def set_statement(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> None:
    statement = availability._SEARCH.text
    for old, new in changes:
        assert old in statement, f"the statement has no {old} any more"
        statement = statement.replace(old, new)
    monkeypatch.setattr(availability, "_SEARCH", text(statement))


@pytest.mark.parametrize("zone", ZONES)
def test_D1_free_times_around_every_clock_change(any_moment: None, context: None, zone: str) -> None:
    compared = 0
    for change, services in clinics(zone):
        for visit, service_id in zip(VISITS, services, strict=True):
            found = search(change, service_id)
            assert found == slowly(change, visit), f"{zone} {change.at} {visit}"
            check_goals(change, visit, found, zone)
            compared += len(found)
        alone = search(change, services[0], practitioner_id=change.all_day)
        assert alone == [free for free in slowly(change, VISITS[0]) if free[1] == change.all_day]
    assert compared


def test_D1_the_day_of_25_hours_has_its_repeated_hour_twice(any_moment: None, context: None) -> None:
    starts = all_night("America/New_York", date(2026, 11, 1))
    local = [start.astimezone(zone_of("America/New_York")) for start in starts]
    assert len(starts) == 49  # 24 hours and 59 minutes of half hours
    assert [f"{at:%H:%M %Z}" for at in local[1:8]] == [
        "00:30 EDT", "01:00 EDT", "01:30 EDT", "01:00 EST", "01:30 EST", "02:00 EST", "02:30 EST",
    ]  # fmt: skip
    assert {later - earlier for earlier, later in zip(starts, starts[1:], strict=False)} == {timedelta(minutes=30)}


def test_D1_the_day_of_23_hours_has_no_start_in_the_gap(any_moment: None, context: None) -> None:
    starts = all_night("America/New_York", date(2027, 3, 14))
    local = [start.astimezone(zone_of("America/New_York")) for start in starts]
    assert len(starts) == 45
    assert [f"{at:%H:%M %Z}" for at in local[2:6]] == ["01:00 EST", "01:30 EST", "03:00 EDT", "03:30 EDT"]


@pytest.mark.parametrize("zone", ZONES)
def test_D1_python_and_postgresql_read_a_wall_time_alike(context: None, zone: str) -> None:
    """`clock.to_instant`, the search and the slow clock have one rule for skipped and repeated readings."""
    for at in agreed(zone):
        slow = SlowClock(zone, at, at)
        change = at.astimezone(zone_of(zone)).replace(tzinfo=None)
        walls = [change + timedelta(minutes=15 * quarter) for quarter in range(-14, 15)]
        rows = db.session.execute(
            text("SELECT wall AT TIME ZONE :zone FROM unnest(CAST(:walls AS timestamp[])) WITH ORDINALITY AS w(wall, n) ORDER BY n"),
            {"zone": zone, "walls": walls},
        )
        for wall, instant in zip(walls, rows.scalars(), strict=True):
            assert instant == datetime(1970, 1, 1, tzinfo=UTC) + slow.minute(wall) * MINUTE, f"{zone} {wall}"
            if our_clock.local(instant, zone).utcoffset() == instant.astimezone(zone_of(zone)).utcoffset():
                assert our_clock.to_instant(wall, zone) == instant, f"{zone} {wall}"


@pytest.mark.parametrize(
    ("mistake", "zone"),
    [
        # Hours counted from midnight: an hour late for the rest of the day.
        ([("(on_date + s.starts_at) AT TIME ZONE l.time_zone", "(CAST(on_date AS timestamp) AT TIME ZONE l.time_zone) + s.starts_at")], "America/New_York"),
        # The offset of one day used for the days that follow it.
        ([("(on_date + s.ends_at) AT TIME ZONE l.time_zone", "(on_date + s.ends_at) - ((CAST(chunk_lo AS timestamptz) AT TIME ZONE l.time_zone) - (chunk_lo AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC'")], "Australia/Lord_Howe"),
        # The local days of a span taken for its UTC days.
        ([("AT TIME ZONE 'UTC')::date - 1", "AT TIME ZONE 'UTC')::date"), ("AT TIME ZONE 'UTC')::date + 1", "AT TIME ZONE 'UTC')::date")], "Pacific/Chatham"),
    ],
    ids=["elapsed-from-midnight", "one-offset-for-all-days", "utc-days"],
)  # fmt: skip
def test_D1_control_a_wrong_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, context: None, mistake: list[tuple[str, str]], zone: str
) -> None:
    set_statement(monkeypatch, ("statement_timestamp()", "TIMESTAMPTZ '2000-01-01 UTC'"), *mistake)
    wrong = [
        search(change, services[0]) != slowly(change, VISITS[0]) for change, services in clinics(zone, last_year=2025)
    ]
    assert any(wrong)


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
    here, kept = zone_of(zone), []
    for moment in moments:
        instants = [moment + timedelta(hours=hours) for hours in range(-120, 121, 6)] + [moment - MINUTE]
        rows = db.session.execute(
            text("SELECT at AT TIME ZONE :zone FROM unnest(CAST(:instants AS timestamptz[])) WITH ORDINALITY AS i(at, n) ORDER BY n"),
            {"zone": zone, "instants": instants},
        )
        if all(at.astimezone(here).replace(tzinfo=None) == wall for at, wall in zip(instants, rows.scalars(), strict=True)):
            kept.append(moment)
        else:
            print(f"{zone}: PostgreSQL and tzdata disagree about {moment}, left out")  # noqa: T201
    if not kept:
        pytest.skip(f"PostgreSQL and tzdata disagree about every change of {zone}")
    return kept


def clinics(zone: str, last_year: int = LAST_YEAR):
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
    patient_id = create_patient().id
    for at in agreed(zone, last_year):
        change = clinic_around(at, zone, dice("D1", zone, at.date()))
        write(change, zone, services, patient_id)
        yield change, services


def clinic_around(at: datetime, zone: str, rng: Random) -> Change:
    around = timedelta(hours=30, minutes=rng.randrange(360))
    from_at, to_at = at - around, at + around
    walls = [(at - MINUTE).astimezone(zone_of(zone)).replace(tzinfo=None) + MINUTE, at.astimezone(zone_of(zone)).replace(tzinfo=None)]
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


def write(change: Change, zone: str, services: list[UUID], patient_id: UUID) -> None:
    """The clinic as rows of the database."""
    run = db.session.execute
    run(insert(Location).values(id=change.location_id, name=str(change.location_id), time_zone=zone))
    people = {row.practitioner_id for row in change.hours}
    run(insert(Practitioner), [{"id": one, "name": "Dr Who", "languages": []} for one in people])
    rooms = {row.room_id for row in change.hours if row.room_id}
    run(insert(Room), [{"id": one, "location_id": change.location_id, "name": str(one)} for one in rooms])
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "practitioner_id": row.practitioner_id,
            "location_id": change.location_id,
            "room_id": row.room_id,
            "weekday": row.weekday,
            "starts_at": row.opens,
            "ends_at": row.closes,
            "valid_from": row.valid_from,
            "valid_until": row.valid_until,
            "every_n_weeks": row.every_n_weeks,
        }
        for row in change.hours
    ]
    run(insert(Schedule), rows)
    run(insert(schedule_services), [{"schedule_id": row["id"], "service_id": one} for row in rows for one in services])
    run(
        insert(Closure),
        [
            {
                "id": new_id(),
                "practitioner_id": one.practitioner_id,
                "location_id": change.location_id,
                "during": Range(one.start, one.end, bounds="[)"),
            }
            for one in change.closures
        ],
    )
    for one in change.busy:
        span = Range(one.start, one.end, bounds="[)")
        run(
            insert(Appointment).values(
                id=new_id(),
                service_id=services[0],
                practitioner_id=one.practitioner_id,
                location_id=change.location_id,
                room_id=one.room_id,
                patient_id=patient_id,
                status="booked",
                during=span,
                occupied=span,
            )
        )


def all_night(zone: str, day: date) -> list[datetime]:
    """Free half hours of somebody who is there from midnight to a minute before the next."""
    location, practitioner = create_location(time_zone=zone), create_practitioner()
    service = create_service()
    create_schedule(practitioner, location, service, weekdays=EVERY_DAY, starts_at=time(0), ends_at=time(23, 59))
    from_at, to_at = our_clock.day_bounds(day, zone)
    found = availability.search(service.id, from_at=from_at, to_at=to_at, limit=100, as_staff=True)
    return [free.start for free in found]
