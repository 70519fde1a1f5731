"""Appointment series: plan, book, read, cancel and move visits that repeat."""

from typing import Any
from uuid import UUID

from flask import url_for

from server.resources.schemas.series import (
    SeriesCancelSchema,
    SeriesPlanSchema,
    SeriesRequestSchema,
    SeriesRescheduleSchema,
    SeriesSchema,
)
from server.services import series as services
from server.services import series_moves
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import booking_limit
from server.web.rest import Blueprint, MethodView

series = Blueprint("series", __name__, url_prefix="/api/v1/appointment-series", description="Appointment series")
guard(series, account_by_api)


@series.route("")
class AllSeries(MethodView):
    decorators = [idempotent, booking_limit]

    @series.doc(refusals=[403, 404, 409, 429], shows=["Location"])
    @series.arguments(SeriesRequestSchema)
    @series.response(201, SeriesPlanSchema)
    @series.alt_response(200, schema=SeriesPlanSchema, description="The plan of a dry run")
    def post(self, body: dict[str, Any]) -> Any:
        """Book visits every n weeks at the same local time

        All or nothing: 409 `series-conflict` comes with the `plan`, which proposes another time for each visit that is
        not possible. Send it back in `replacements`, or leave such visits out with `skip_conflicts`.
        """
        plan = services.book_series(**body, actor=current_actor())
        if body["dry_run"]:
            return plan, 200
        return plan, 201, {"Location": url_for("series.SeriesById", series_id=plan.id)}


@series.route("/<uuid:series_id>")
class SeriesById(MethodView):
    @series.doc(refusals=[403, 404])
    @series.response(200, SeriesSchema)
    def get(self, series_id: UUID) -> Any:
        """One series with its appointments, by start"""
        return services.read_series(series_id, actor=current_actor())


@series.route("/<uuid:series_id>/cancel")
class CancelSeries(MethodView):
    decorators = [idempotent, booking_limit]

    @series.doc(refusals=[403, 404, 409, 429])
    @series.arguments(SeriesCancelSchema)
    @series.response(200, SeriesSchema)
    def post(self, body: dict[str, Any], series_id: UUID) -> Any:
        """Cancel one visit, it and the later ones, or all that are to come"""
        return services.cancel_series(series_id, **body, actor=current_actor())


@series.route("/<uuid:series_id>/reschedule")
class RescheduleSeries(MethodView):
    decorators = [idempotent, booking_limit]

    @series.doc(refusals=[403, 404, 409, 429])
    @series.arguments(SeriesRescheduleSchema)
    @series.response(200, SeriesPlanSchema)
    def post(self, body: dict[str, Any], series_id: UUID) -> Any:
        """Move one visit, it and the later ones, or all that are to come

        409 `series-conflict` comes with the `plan`; nothing has moved then.
        """
        return series_moves.move_series(series_id, **body, actor=current_actor())
