"""Appointments: book, read, move, cancel, and the front desk's steps."""

from typing import Any
from uuid import UUID

from flask import Response, current_app, url_for

from server.models import Appointment
from server.resources.schemas.appointments import (
    AppointmentListSchema,
    AppointmentQuerySchema,
    AppointmentSchema,
    BookingRequestSchema,
    CancelSchema,
    RescheduleSchema,
    VisitRoomSchema,
)
from server.resources.schemas.fields import NothingSchema
from server.services import booking, sessions, steps, visits
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import booking_limit
from server.web.paging import decode_cursor, encode_cursor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

appointments = Blueprint("appointments", __name__, url_prefix="/api/v1/appointments", description="Appointments")
guard(appointments, account_by_api)


def _answer(appointment: Appointment, **headers: str) -> tuple[Appointment, dict[str, str]]:
    return appointment, {"ETag": etag(appointment.version), **headers}


@appointments.route("")
class Appointments(MethodView):
    @appointments.arguments(AppointmentQuerySchema, location="query")
    @appointments.response(200, AppointmentListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Appointments visible to me, by start"""
        after = decode_cursor(query.pop("cursor", None))
        found, position = visits.list_visits(**query, after=after, actor=current_actor())
        return {"items": found, "next_cursor": encode_cursor(position) if position else None}

    @booking_limit
    @idempotent
    @appointments.doc(refusals=[403, 404, 409, 429], shows=["ETag", "Location"])
    @appointments.arguments(BookingRequestSchema)
    @appointments.response(201, AppointmentSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Book a time

        409 `slot-taken` comes with `alternatives`, 422 `not-bookable` with `reasons`.
        """
        reasons = {f"{name}_reason": body.pop(name, {}).get("reason", "") for name in ("override", "overbook")}
        if session_id := body.pop("group_session_id", None):
            reasons.pop("overbook_reason")
            booked = sessions.book_seat(session_id, **body, **reasons, actor=current_actor())
        else:
            booked = booking.book_appointment(**body, **reasons, actor=current_actor())
        return _answer(booked, Location=url_for("appointments.AppointmentById", appointment_id=booked.id))


@appointments.route("/<uuid:appointment_id>")
class AppointmentById(MethodView):
    @appointments.doc(refusals=[403, 404], shows=["ETag"], cacheable=True)
    @appointments.response(200, AppointmentSchema)
    def get(self, appointment_id: UUID) -> Any:
        """One appointment; its ETag is what the steps may name in If-Match"""
        return _answer(visits.read_visit(appointment_id, actor=current_actor()))


@appointments.route("/<uuid:appointment_id>/reschedule")
class Reschedule(MethodView):
    decorators = [idempotent, booking_limit]

    @appointments.doc(refusals=[403, 404, 409, 412, 429], shows=["ETag"])
    @appointments.arguments(RescheduleSchema)
    @appointments.response(200, AppointmentSchema)
    def post(self, body: dict[str, Any], appointment_id: UUID) -> Any:
        """Move it: the old time is kept until the new one is taken"""
        version = version_from_if_match(required=False)
        override = body.pop("override", {})
        return _answer(
            booking.reschedule_appointment(
                appointment_id,
                **body,
                override_reason=override.get("reason", ""),
                if_version=version,
                actor=current_actor(),
            )
        )


@appointments.route("/<uuid:appointment_id>/cancel")
class Cancel(MethodView):
    decorators = [idempotent]

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(CancelSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, body: dict[str, Any], appointment_id: UUID) -> Any:
        """Cancel it; the service's cut-off applies to patients, not to staff"""
        version = version_from_if_match(required=False)
        return _answer(
            booking.cancel_appointment(
                appointment_id, reason=body.get("reason", ""), if_version=version, actor=current_actor()
            )
        )


@appointments.route("/<uuid:appointment_id>/confirm")
class Confirm(MethodView):
    decorators = [idempotent]

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """The patient will come"""
        version = version_from_if_match(required=False)
        return _answer(booking.confirm_appointment(appointment_id, if_version=version, actor=current_actor()))


class _Step(MethodView):
    """A step of the front desk; its name is the last part of the address."""

    decorators = [idempotent]
    step = ""

    def _take(self, appointment_id: UUID) -> Any:
        version = version_from_if_match(required=False)
        return _answer(steps.take_step(appointment_id, step=self.step, if_version=version, actor=current_actor()))


@appointments.route("/<uuid:appointment_id>/arrive")
class Arrive(_Step):
    step = "arrive"

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """The patient has arrived (staff)"""
        return self._take(appointment_id)


@appointments.route("/<uuid:appointment_id>/start")
class Start(_Step):
    step = "start"

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """The practitioner begins (staff); the state stays `arrived`"""
        return self._take(appointment_id)


@appointments.route("/<uuid:appointment_id>/complete")
class Complete(_Step):
    step = "complete"

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """The visit has taken place (staff)"""
        return self._take(appointment_id)


@appointments.route("/<uuid:appointment_id>/no-show")
class NoShow(_Step):
    step = "no-show"

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """The patient did not come (staff)"""
        return self._take(appointment_id)


@appointments.route("/<uuid:appointment_id>/undo")
class Undo(_Step):
    step = "undo"

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """Take the last step back (staff)"""
        return self._take(appointment_id)


@appointments.route("/<uuid:appointment_id>/approve")
class Approve(MethodView):
    decorators = [idempotent]

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(NothingSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, _body: dict[str, Any], appointment_id: UUID) -> Any:
        """A request becomes a booking (staff)"""
        version = version_from_if_match(required=False)
        return _answer(steps.approve_request(appointment_id, if_version=version, actor=current_actor()))


@appointments.route("/<uuid:appointment_id>/decline")
class Decline(MethodView):
    decorators = [idempotent]

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(CancelSchema, required=False)
    @appointments.response(200, AppointmentSchema)
    def post(self, body: dict[str, Any], appointment_id: UUID) -> Any:
        """A request is turned down (staff); its time is free"""
        version = version_from_if_match(required=False)
        return _answer(
            steps.decline_request(
                appointment_id, reason=body.get("reason", ""), if_version=version, actor=current_actor()
            )
        )


@appointments.route("/<uuid:appointment_id>/room")
class ChangeRoom(MethodView):
    decorators = [idempotent]

    @appointments.doc(refusals=[403, 404, 409, 412], shows=["ETag"])
    @appointments.arguments(VisitRoomSchema)
    @appointments.response(200, AppointmentSchema)
    def post(self, body: dict[str, Any], appointment_id: UUID) -> Any:
        """Another room or device of its location (staff)"""
        version = version_from_if_match(required=False)
        return _answer(booking.change_room(appointment_id, **body, if_version=version, actor=current_actor()))


@appointments.route("/<uuid:appointment_id>/calendar.ics")
class Calendar(MethodView):
    @appointments.doc(refusals=[403, 404])
    @appointments.response(
        200,
        {"type": "string", "example": "BEGIN:VCALENDAR\r\n..."},
        content_type="text/calendar",
        description="RFC 5545; the UID never changes, SEQUENCE grows",
    )
    def get(self, appointment_id: UUID) -> Response:
        """The visit for a calendar"""
        text = visits.calendar(appointment_id, settings=current_app.config["FRONTDESK"], actor=current_actor())
        return Response(text, content_type="text/calendar; charset=utf-8")
