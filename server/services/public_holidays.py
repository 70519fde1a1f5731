"""Public holidays of a location's country and region, proposed to be entered as closures."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import holidays
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range

from server.errors import Invalid
from server.extensions import db
from server.models import Closure, Location
from server.services import access, directory
from server.services.access import Actor
from server.utils import clock


@dataclass(frozen=True)
class Holiday:
    """One holiday as it could be entered: the whole local day of a location."""

    on: date
    name: str
    start: datetime
    end: datetime
    location_id: UUID


def propose_holidays(location_id: UUID, *, year: int, actor: Actor) -> list[Holiday]:
    """What is not entered yet and not over, by date. Raises Invalid when the location's country is not known."""
    access.demand("hours", actor=actor)
    location = directory.location(location_id)
    found = []
    for on, name in sorted(_of(location, year).items()):
        start, end = clock.day_bounds(on, location.time_zone)
        if end > clock.now():
            found.append(Holiday(on, name, start, end, location.id))
    entered = _entered(location, found)
    return [each for each in found if not any(span.contains(Range(each.start, each.end)) for span in entered)]


def _of(location: Location, year: int) -> dict[date, str]:
    if not location.country:
        sentence = "Say first in which country this location lies."
        raise Invalid(sentence, errors={"location_id": [sentence]})
    try:
        return dict(
            holidays.country_holidays(
                location.country, subdiv=location.region or None, years=year, language="en_US"
            ).items()
        )
    except NotImplementedError:
        sentence = "The holidays of this country or region are not known."
        raise Invalid(sentence, errors={"location_id": [sentence]}) from None


def _entered(location: Location, found: list[Holiday]) -> list[Range[datetime]]:
    """Closures of the whole location (or of all) in the time of these holidays."""
    if not found:
        return []
    query = select(Closure.during).where(
        Closure.practitioner_id.is_(None),
        Closure.location_id.is_(None) | (Closure.location_id == location.id),
        Closure.during.overlaps(Range(found[0].start, found[-1].end, bounds="[)")),
    )
    return list(db.session.scalars(query))
