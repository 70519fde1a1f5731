"""A practitioner's own calendar elsewhere: its secret address, what was read from it last, and how fresh that is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import case, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import Range

from server.errors import Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import Closure, ExternalCalendar, Location, Practitioner, Schedule
from server.services import access, audit, openings
from server.services.access import Actor
from server.services.booking import lock_practitioners
from server.services.transaction import after_commit, atomic, retried
from server.utils import busy_times, clock, outside
from server.utils.spans import Span
from server.utils.tokens import new_id

EVERY = timedelta(minutes=10)
AHEAD = timedelta(days=180)

# How to hurry the workers after an address was entered; the factory sets it.
wake: Callable[[], object] | None = None


@dataclass(frozen=True)
class Freshness:
    """What may be told about somebody's own calendar: the host only, never the address."""

    practitioner_id: UUID
    host: str | None  # None: there is none
    fetched_at: datetime | None
    failed_at: datetime | None
    error: str
    busy_times: int
    version: int


def read_calendar(practitioner_id: UUID, *, actor: Actor) -> Freshness:
    """How fresh it is; for those with hours to keep, and the practitioner. Raises NotVisible, NotAllowed."""
    _demand(practitioner_id, actor)
    return _freshness(practitioner_id)


@retried
def set_calendar(
    practitioner_id: UUID, *, url: str, if_version: int | None, private_urls: bool, actor: Actor
) -> Freshness:
    """Enter or replace the address; it is read soon. Version 0 means that there was none. Raises Stale, Invalid."""
    url = _checked(url, private_urls)
    with atomic():
        _demand(practitioner_id, actor)
        found = _locked(practitioner_id, if_version)
        if found is None:
            db.session.add(ExternalCalendar(practitioner_id=practitioner_id, url=url))
        else:
            found.url, found.etag, found.error = url, "", ""
            found.attempted_at = found.failed_at = None
            found.version += 1
        db.session.flush()
        audit.record("external-calendar.set", actor=actor, object_type="Practitioner", object_id=practitioner_id)
        if wake is not None:
            after_commit(wake)
        return _freshness(practitioner_id)


@retried
def remove_calendar(practitioner_id: UUID, *, if_version: int | None = None, actor: Actor) -> None:
    """Forget the address and what was read from it; the time is free again. Raises Stale, NotVisible."""
    with atomic():
        _demand(practitioner_id, actor)
        found = _locked(practitioner_id, if_version)
        if found is None:
            raise NotVisible("There is no such calendar.")
        replace_busy_times(found, set())
        db.session.delete(found)
        audit.record("external-calendar.removed", actor=actor, object_type="Practitioner", object_id=practitioner_id)


def fetch_one_due(*, private_urls: bool) -> bool | None:
    """Lease the calendar that was not looked at for the longest time and read it; None when none is due.

    Answers whether it changed. What cannot be read leaves what was read before, and the sentence why.
    """
    leased = _lease()
    if leased is None:
        return None
    calendar_id, url, etag, version, zone = leased
    try:
        answer = outside.read(
            url,
            headers={"If-None-Match": etag} if etag else {},
            may_connect=outside.anywhere if private_urls else outside.is_public,
            plain_http=private_urls,
        )
        spans = None if answer.status == 304 else _busy(answer.body, zone)
    except (outside.CannotRead, busy_times.NotACalendar) as error:
        _note(calendar_id, version, error=str(error))
        return False
    return _note(calendar_id, version, spans=spans, etag=answer.etag)


def _busy(feed: bytes, zone: str) -> set[Span]:
    now = clock.now()
    return busy_times.busy_times(feed, from_at=now, to_at=now + AHEAD, zone=zone)


def _lease() -> tuple[UUID, str, str, int, str] | None:
    """One calendar that is due, marked as attempted, so that no other worker reads it too; with its own clocks."""
    zone = (
        select(Location.time_zone)
        .join(Schedule, Schedule.location_id == Location.id)
        .where(Schedule.practitioner_id == ExternalCalendar.practitioner_id)
        .order_by(Schedule.id)
        .limit(1)
        .scalar_subquery()
    )
    now = func.clock_timestamp()
    # The first look of a day is at the whole feed, although it may not have changed: another day came into sight.
    etag = case((ExternalCalendar.attempted_at >= func.date_trunc("day", now), ExternalCalendar.etag), else_="")
    due = (
        select(ExternalCalendar.id, ExternalCalendar.url, etag, ExternalCalendar.version, func.coalesce(zone, "UTC"))
        .where(or_(ExternalCalendar.attempted_at.is_(None), ExternalCalendar.attempted_at < now - EVERY))
        .order_by(ExternalCalendar.attempted_at.nulls_first())
        .limit(1)
        .with_for_update(of=ExternalCalendar, skip_locked=True)
    )
    with atomic():
        row = db.session.execute(due).one_or_none()
        if row is None:
            return None
        leased = update(ExternalCalendar).where(ExternalCalendar.id == row[0]).values(attempted_at=now)
        db.session.execute(leased.execution_options(synchronize_session=False))
        return row[0], row[1], row[2], row[3], row[4]


@retried
def _note(calendar_id: UUID, version: int, *, spans: set[Span] | None = None, etag: str = "", error: str = "") -> bool:
    """Write down what came of it, unless the address was changed meanwhile; whether busy times changed."""
    with atomic():
        practitioner_id = db.session.scalar(
            select(ExternalCalendar.practitioner_id).where(ExternalCalendar.id == calendar_id)
        )
        found = _locked(practitioner_id, None) if practitioner_id else None
        if found is None or found.version != version:
            return False
        if error:
            found.error = error[:200]
            found.failed_at = found.failed_at or clock.now()  # since when
            return False
        found.error, found.failed_at, found.fetched_at = "", None, clock.now()
        if spans is None:
            return False
        found.etag = etag[:200]
        return replace_busy_times(found, spans)


def replace_busy_times(calendar: ExternalCalendar, spans: set[Span]) -> bool:
    """Make the closures of this calendar those of `spans`; rows that stay the same are not touched."""
    rows = db.session.execute(
        select(Closure.id, Closure.during).where(Closure.external_calendar_id == calendar.id)
    ).all()
    there: dict[Span, UUID] = {(row.during.lower, row.during.upper): row.id for row in rows}
    gone, come = set(there) - spans, spans - set(there)
    if gone:
        db.session.execute(delete(Closure).where(Closure.id.in_([there[span] for span in gone])))
    if come:
        db.session.execute(insert(Closure), [_row(calendar, span) for span in sorted(come)])
    openings.tell(openings.openings(practitioner_id=calendar.practitioner_id, spans=sorted(gone)))
    return bool(gone or come)


def _row(calendar: ExternalCalendar, span: Span) -> dict[str, Any]:
    return {
        "id": new_id(),
        "practitioner_id": calendar.practitioner_id,
        "external_calendar_id": calendar.id,
        "during": Range(*span, bounds="[)"),
        "kind": "external",
    }


def _checked(url: str, private_urls: bool) -> str:
    """The address as it will be read; subscriptions of calendar programs begin with webcal://. Raises Invalid."""
    url = "https://" + url[len("webcal://") :] if url.lower().startswith("webcal://") else url
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in (("https", "http") if private_urls else ("https",)) and bool(parts.hostname)
    except ValueError:
        is_good = False
    if not is_good:
        sentence = "The address of the calendar must begin with https://."
        raise Invalid(sentence, errors={"url": [sentence]})
    return url


def _demand(practitioner_id: UUID, actor: Actor) -> None:
    """Raises NotVisible, or NotAllowed unless the actor keeps hours or is this practitioner."""
    if not actor.is_staff:
        raise NotAllowed("This is for the staff of the clinic.")
    if db.session.scalar(select(Practitioner.id).where(Practitioner.id == practitioner_id)) is None:
        raise NotVisible("There is no such practitioner.")
    if not (access.PRACTITIONER in actor.roles and actor.practitioner_id == practitioner_id):
        access.demand("hours", actor=actor)


def _locked(practitioner_id: UUID, if_version: int | None) -> ExternalCalendar | None:
    lock_practitioners(practitioner_id)
    query = select(ExternalCalendar).where(ExternalCalendar.practitioner_id == practitioner_id).with_for_update()
    found = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if if_version is not None and if_version != (found.version if found else 0):
        raise Stale("The calendar has changed since you read it. Read it again, then decide.")
    return found


def _freshness(practitioner_id: UUID) -> Freshness:
    query = select(ExternalCalendar).where(ExternalCalendar.practitioner_id == practitioner_id)
    found = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        return Freshness(practitioner_id, None, None, None, "", 0, 0)
    count = db.session.scalar(select(func.count()).where(Closure.external_calendar_id == found.id)) or 0
    host = urlsplit(found.url).hostname
    return Freshness(practitioner_id, host, found.fetched_at, found.failed_at, found.error, count, found.version)
