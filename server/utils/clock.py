"""The one door through which time comes: aware instants in UTC, wall time only together with its zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the door


def today(zone: str) -> date:
    """The calendar date at this moment in an IANA `zone`."""
    return now().astimezone(ZoneInfo(zone)).date()


def is_zone(name: str) -> bool:
    """Whether there is an IANA time zone of this name."""
    return name in available_timezones()


def common_zones() -> list[str]:
    """Zones that are named after a place (Europe/Lisbon), and UTC, by name."""
    areas = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
    return [*sorted(name for name in available_timezones() if name.partition("/")[0] in areas and "/" in name), "UTC"]


def exists(wall: datetime, zone: str) -> bool:
    """False for a naive wall time that a clock change skips in `zone` (02:30 on a spring night)."""
    local = wall.replace(tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall


def to_instant(wall: datetime, zone: str) -> datetime:
    """A naive wall time in an IANA `zone` as an instant in UTC.

    The rule is PostgreSQL's, so that both agree: a wall time that occurs twice means the second
    (standard) one, a skipped one moves forward by the gap.
    """
    aware = wall.replace(tzinfo=ZoneInfo(zone), fold=1)
    if not exists(wall, zone):
        aware = aware.replace(fold=0)
    return aware.astimezone(UTC)


def start_of_day(day: date, zone: str) -> datetime:
    """The first instant of a local calendar day; a day there has 23 to 25 hours."""
    return to_instant(datetime.combine(day, time.min), zone)


def day_bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """First instant of the local `day` and of the next one."""
    return start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)


def local(instant: datetime, zone: str) -> datetime:
    """The same instant, carrying the offset of an IANA `zone`."""
    return instant.astimezone(ZoneInfo(zone))
