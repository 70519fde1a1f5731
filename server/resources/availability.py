"""Free times, for everybody, never from a cache."""

from datetime import date, datetime, timedelta
from typing import Any

from server.errors import Invalid
from server.resources.schemas.availability import (
    AvailabilityQuerySchema,
    AvailabilitySchema,
    WhyQuerySchema,
    WhySchema,
)
from server.services import availability as engine
from server.services import directory, why
from server.services.availability import MAX_DAYS, FreeTime
from server.utils import clock
from server.web.guards import anyone_or_account_by_api, guard
from server.web.identity import current_actor
from server.web.rest import Blueprint, MethodView

availability = Blueprint("availability", __name__, url_prefix="/api/v1/availability", description="Free times")
guard(availability, anyone_or_account_by_api)


@availability.route("")
class Availability(MethodView):
    @availability.doc(refusals=[404])
    @availability.arguments(AvailabilityQuerySchema, location="query")
    @availability.response(200, AvailabilitySchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Free times of a service, by start

        `from` and `to` are instants, or dates that mean the location's days (`to` included). 62 days at most.
        """
        directory.service(query["service_id"])  # 404 rather than an empty answer
        after, before, limit = query.pop("from_"), query.pop("to"), query.pop("limit")
        asked = query.get("location_id")
        zones = {place.id: place.time_zone for place in directory.locations() if asked in (None, place.id)}
        from_at, to_at = _span(after, before, list(zones.values()))
        found = engine.search(**query, from_at=from_at, to_at=to_at, limit=limit + 1)
        items, next_from = _page(found, limit, query, to_at)
        return {
            "items": [free for free in items if _on_day(free, after, before, zones)],
            "next_from": next_from,
        }


@availability.route("/why")
class Why(MethodView):
    @availability.doc(refusals=[404])
    @availability.arguments(WhyQuerySchema, location="query")
    @availability.response(200, WhySchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Why a time is not free: which rule; to staff also what is in the way"""
        reasons = why.explain(**query, actor=current_actor())
        return {"free": not reasons, "reasons": reasons}


def _span(after: datetime | date, before: datetime | date, zones: list[str]) -> tuple[datetime, datetime]:
    """The instants that cover what was asked, in every zone of the clinic. Raises Invalid."""
    zones = zones or ["UTC"]
    from_at = after if isinstance(after, datetime) else min(clock.start_of_day(after, zone) for zone in zones)
    to_at = before if isinstance(before, datetime) else max(clock.day_bounds(before, zone)[1] for zone in zones)
    if to_at <= from_at:
        raise Invalid("`to` must be after `from`.", errors={"to": ["It must be after `from`."]})
    if isinstance(before, datetime):
        too_long = to_at - from_at > timedelta(days=MAX_DAYS)
    else:  # whole days, of which a clock change makes one longer
        first = after if not isinstance(after, datetime) else max(clock.local(after, zone).date() for zone in zones)
        too_long = (before - first).days >= MAX_DAYS
    if too_long:
        raise Invalid(
            f"Ask for at most {MAX_DAYS} days at once.", errors={"to": [f"At most {MAX_DAYS} days after `from`."]}
        )
    return from_at, to_at


def _page(
    found: list[FreeTime], limit: int, query: dict[str, Any], to_at: datetime
) -> tuple[list[FreeTime], datetime | None]:
    """What fits the limit, and where to ask on; times that start together are never torn apart."""
    if len(found) <= limit:
        return found, None
    cut = found[limit].start
    items = [free for free in found[:limit] if free.start < cut]
    if items:
        return items, cut
    together = engine.search(**query, from_at=cut, to_at=cut + timedelta(microseconds=1), limit=10_000)
    return together, cut + timedelta(microseconds=1)


def _on_day(free: FreeTime, after: datetime | date, before: datetime | date, zones: dict[Any, str]) -> bool:
    day = clock.local(free.start, zones[free.location_id]).date()
    return (isinstance(after, datetime) or day >= after) and (isinstance(before, datetime) or day <= before)
