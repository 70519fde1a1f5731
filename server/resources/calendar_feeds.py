"""Calendar feeds: secret addresses that a calendar program reads; see /calendars for what is behind them."""

from typing import Any
from uuid import UUID

from flask import current_app

from server.resources.schemas.calendar_feeds import (
    CalendarFeedListSchema,
    CalendarFeedRequestSchema,
    NewCalendarFeedSchema,
)
from server.services import calendar_feeds as feeds
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import new_feed_limit
from server.web.rest import Blueprint, MethodView

calendar_feeds = Blueprint(
    "calendar_feeds", __name__, url_prefix="/api/v1/calendar-feeds", description="Calendar feeds"
)
guard(calendar_feeds, account_by_api)


@calendar_feeds.route("")
class CalendarFeeds(MethodView):
    @calendar_feeds.response(200, CalendarFeedListSchema)
    def get(self) -> dict[str, Any]:
        """My feeds, without their addresses"""
        return {"items": feeds.list_feeds(actor=current_actor())}

    @new_feed_limit
    @idempotent  # whoever sends a key has the address remembered with the answer, for two days
    @calendar_feeds.doc(refusals=[404, 429])
    @calendar_feeds.arguments(CalendarFeedRequestSchema)
    @calendar_feeds.response(201, NewCalendarFeedSchema)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """A feed of my visits, or of somebody's whom I may read; its address is shown this once"""
        created, secret = feeds.create_feed(**body, actor=current_actor())
        return {
            "id": created.id,
            "patient_id": created.patient_id,
            "practitioner_id": created.practitioner_id,
            "shows_names": created.shows_names,
            "created_at": created.created_at,
            "last_read_at": None,
            "url": feeds.address(secret, settings=current_app.config["FRONTDESK"]),
        }


@calendar_feeds.route("/<uuid:feed_id>")
class CalendarFeedById(MethodView):
    @calendar_feeds.doc(refusals=[404])
    @calendar_feeds.response(204)
    def delete(self, feed_id: UUID) -> None:
        """Its address leads nowhere from now on"""
        feeds.revoke_feed(feed_id, actor=current_actor())
