"""The waitlist: join, leave, answer offers; for staff what became of freed time."""

from typing import Any
from uuid import UUID

from flask import url_for

from server.resources.schemas.fields import NothingSchema
from server.resources.schemas.waitlist import (
    EntryListSchema,
    EntryQuerySchema,
    EntryRequestSchema,
    EntrySchema,
    FreedTimeListSchema,
    FreedTimeQuerySchema,
    OfferListSchema,
    OfferQuerySchema,
    OfferSchema,
    WaitlistReportQuerySchema,
    WaitlistReportSchema,
)
from server.services import offers as answers
from server.services import waitlist as service
from server.services import waitlist_figures
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import booking_limit
from server.web.paging import decode_cursor, encode_cursor
from server.web.rest import Blueprint, MethodView

waitlist = Blueprint("waitlist", __name__, url_prefix="/api/v1/waitlist", description="Waitlist")
waitlist_offers = Blueprint(
    "waitlist_offers", __name__, url_prefix="/api/v1/waitlist-offers", description="Offers to the waitlist"
)
freed_times = Blueprint("freed_times", __name__, url_prefix="/api/v1/freed-times", description="Freed times (staff)")
waitlist_report = Blueprint(
    "waitlist_report", __name__, url_prefix="/api/v1/reports/waitlist", description="Figures of the waitlist (staff)"
)
for blueprint in (waitlist, waitlist_offers, freed_times, waitlist_report):
    guard(blueprint, account_by_api)


def _page(read: Any, query: dict[str, Any]) -> dict[str, Any]:
    after = decode_cursor(query.pop("cursor", None))
    found, position = read(**query, after=after, actor=current_actor())
    return {"items": found, "next_cursor": encode_cursor(position) if position else None}


@waitlist.route("")
class Waitlist(MethodView):
    @waitlist.arguments(EntryQuerySchema, location="query")
    @waitlist.response(200, EntryListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Who waits, longest first; to patients their own"""
        return _page(service.list_entries, query)

    @booking_limit
    @idempotent
    @waitlist.doc(refusals=[403, 404, 409, 429], shows=["Location"])
    @waitlist.arguments(EntryRequestSchema)
    @waitlist.response(201, EntrySchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Wait for a time, or for an earlier one than that of a visit

        What becomes free and fits is offered for a while, by a letter and here.
        """
        entry = service.join(**body, actor=current_actor())
        return entry, {"Location": url_for("waitlist.EntryById", entry_id=entry.id)}


@waitlist.route("/<uuid:entry_id>")
class EntryById(MethodView):
    @waitlist.doc(refusals=[404])
    @waitlist.response(200, EntrySchema)
    def get(self, entry_id: UUID) -> Any:
        """One entry of the waitlist"""
        return service.read(entry_id, actor=current_actor())

    @waitlist.doc(refusals=[404])
    @waitlist.response(204)
    def delete(self, entry_id: UUID) -> None:
        """Wait no more; what is offered is given back"""
        service.leave(entry_id, actor=current_actor())


@waitlist_offers.route("")
class Offers(MethodView):
    @waitlist_offers.arguments(OfferQuerySchema, location="query")
    @waitlist_offers.response(200, OfferListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Offers, newest first; to patients their own"""
        return _page(answers.list_offers, query)


@waitlist_offers.route("/<uuid:offer_id>")
class OfferById(MethodView):
    @waitlist_offers.doc(refusals=[404])
    @waitlist_offers.response(200, OfferSchema)
    def get(self, offer_id: UUID) -> Any:
        """One offer, with its deadline"""
        return answers.read_offer(offer_id, actor=current_actor())


@waitlist_offers.route("/<uuid:offer_id>/accept")
class Accept(MethodView):
    decorators = [idempotent, booking_limit]

    @waitlist_offers.doc(refusals=[404, 409, 429])
    @waitlist_offers.arguments(NothingSchema, required=False)
    @waitlist_offers.response(200, OfferSchema)
    def post(self, _body: dict[str, Any], offer_id: UUID) -> Any:
        """Take the time: the later visit is moved to it, or a visit is booked

        409 `offer-over` with `state` says what became of an offer that is not open any more.
        """
        return answers.accept_offer(offer_id, actor=current_actor())


@waitlist_offers.route("/<uuid:offer_id>/decline")
class Decline(MethodView):
    decorators = [idempotent]

    @waitlist_offers.doc(refusals=[404, 409])
    @waitlist_offers.arguments(NothingSchema, required=False)
    @waitlist_offers.response(200, OfferSchema)
    def post(self, _body: dict[str, Any], offer_id: UUID) -> Any:
        """Say no: the time goes on to the next, and the patient stays on the list"""
        return answers.decline_offer(offer_id, actor=current_actor())


@freed_times.route("")
class FreedTimes(MethodView):
    @freed_times.doc(refusals=[403])
    @freed_times.arguments(FreedTimeQuerySchema, location="query")
    @freed_times.response(200, FreedTimeListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """What became free while somebody waited, and its story, newest first (staff)"""
        return _page(waitlist_figures.freed_times, query)


@waitlist_report.route("")
class WaitlistReport(MethodView):
    @waitlist_report.doc(refusals=[403])
    @waitlist_report.arguments(WaitlistReportQuerySchema, location="query")
    @waitlist_report.response(200, WaitlistReportSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Offers, how many were accepted, days gained; in all and by service (staff)"""
        return waitlist_figures.figures(from_at=query.get("from_"), to_at=query.get("to"), actor=current_actor())
