"""The public directory: locations, services, practitioners."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_

from server.errors import NotVisible
from server.extensions import db
from server.models import HealthcareService, Location, Practitioner, Schedule, schedule_services

# How to drop the directory from the cache after a change; the factory sets it.
forget: Callable[[], object] | None = None


@dataclass(frozen=True)
class Page:
    """At most `limit` rows, those after a position {name, id} of the list by name."""

    limit: int
    after: Mapping[str, str] | None = None


def locations(*, page: Page | None = None) -> Sequence[Location]:
    """Active locations by name."""
    return _by_name(Location, select(Location), page)


def services(
    *, practitioner_id: UUID | None = None, location_id: UUID | None = None, page: Page | None = None
) -> Sequence[HealthcareService]:
    """Active services by name, of one practitioner or location."""
    query = select(HealthcareService)
    if practitioner_id is not None or location_id is not None:
        offered = select(schedule_services.c.service_id).join(Schedule, Schedule.id == schedule_services.c.schedule_id)
        if practitioner_id is not None:
            offered = offered.where(Schedule.practitioner_id == practitioner_id)
        if location_id is not None:
            offered = offered.where(Schedule.location_id == location_id)
        query = query.where(HealthcareService.id.in_(offered))
    return _by_name(HealthcareService, query, page)


def practitioners(
    *,
    service_id: UUID | None = None,
    location_id: UUID | None = None,
    language: str | None = None,
    page: Page | None = None,
) -> Sequence[Practitioner]:
    """Active practitioners by name, of one service, location or language."""
    query = select(Practitioner)
    if language is not None:
        query = query.where(Practitioner.languages.contains([language]))
    if service_id is not None or location_id is not None:
        hours = select(Schedule.practitioner_id).outerjoin(
            schedule_services, schedule_services.c.schedule_id == Schedule.id
        )
        if service_id is not None:
            hours = hours.where(schedule_services.c.service_id == service_id)
        if location_id is not None:
            hours = hours.where(Schedule.location_id == location_id)
        query = query.where(Practitioner.id.in_(hours))
    return _by_name(Practitioner, query, page)


def places_of_services() -> dict[UUID, list[Location]]:
    """For each service the active locations, by name, where somebody has hours for it."""
    rows = db.session.execute(
        select(schedule_services.c.service_id, Location)
        .join(Schedule, Schedule.id == schedule_services.c.schedule_id)
        .join(Location, (Location.id == Schedule.location_id) & Location.is_active)
        .join(Practitioner, (Practitioner.id == Schedule.practitioner_id) & Practitioner.is_active)
        .where((Schedule.valid_until.is_(None)) | (Schedule.valid_until >= func.current_date()))
        .distinct()
        .order_by(Location.name)
    )
    places: dict[UUID, list[Location]] = {}
    for service_id, place in rows:
        places.setdefault(service_id, []).append(place)
    return places


def location(location_id: UUID) -> Location:
    """One active location. Raises NotVisible."""
    return _one(Location, location_id)


def service(service_id: UUID) -> HealthcareService:
    """One active service. Raises NotVisible."""
    return _one(HealthcareService, service_id)


def practitioner(practitioner_id: UUID) -> Practitioner:
    """One active practitioner. Raises NotVisible."""
    return _one(Practitioner, practitioner_id)


def _by_name(table: Any, query: Select[Any], page: Page | None) -> Any:
    query = query.where(table.is_active).order_by(table.name, table.id)
    if page is not None:
        query = query.limit(page.limit)
        if page.after is not None:
            query = query.where(tuple_(table.name, table.id) > (page.after["name"], UUID(page.after["id"])))
    return db.session.scalars(query).all()


def _one(table: Any, key: UUID) -> Any:
    found = db.session.scalars(select(table).where(table.id == key, table.is_active)).one_or_none()
    if found is None:
        raise NotVisible("There is nothing here with this id.")
    return found
