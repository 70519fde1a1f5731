"""Appointments over the API: booked, read, moved, cancelled, and taken through the day by the front desk."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from server.extensions import db
from server.models import Appointment, AuditEvent, OutboxMessage
from tests.cast import Cast
from tests.factories import create_patient
from tests.resources.asking import Api, book, wanted

FIELDS = {
    "id", "status", "start", "end", "service_id", "practitioner_id", "location_id", "room_id", "patient_id",
    "reason", "cancel_reason", "confirmed_at", "created_at", "updated_at", "device_id", "group_session_id",
    "series_id", "is_overbooked", "answer_by", "arrived_at", "started_at", "ended_at",
}  # fmt: skip


# --- POST /appointments ---


def test_ana_books_and_is_told_where_it_is(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    answer = ana.post("/appointments", wanted(cast, reason="My knee"))
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"v1"')
    assert answer.headers["Location"] == f"/api/v1/appointments/{answer.json['id']}"
    assert set(answer.json) == FIELDS
    assert (answer.json["status"], answer.json["reason"], answer.json["patient_id"]) == (
        "booked", "My knee", str(cast.ana.patient_id),
    )  # fmt: skip
    assert datetime.fromisoformat(answer.json["start"]) == cast.at(9)
    assert answer.json["start"].endswith("Z")
    read = ana.get(answer.headers["Location"])
    assert (read.json, read.headers["ETag"]) == (answer.json, '"v1"')
    unchanged = ana.get(answer.headers["Location"], headers={"If-None-Match": '"v1"'})
    assert (unchanged.status_code, unchanged.get_data(), unchanged.headers["Cache-Control"]) == (304, b"", "no-store")


def test_a_taken_time_is_answered_with_the_next_three(api_client: Api, cast: Cast) -> None:
    book(api_client, cast)
    answer = api_client(cast.bea).post("/appointments", wanted(cast))
    assert (answer.status_code, answer.json["type"], answer.mimetype) == (409, "slot-taken", "application/problem+json")
    starts = [datetime.fromisoformat(free["start"]) for free in answer.json["alternatives"]]
    assert starts == [cast.at(9, 30), cast.at(10), cast.at(10, 30)]
    again = {key: answer.json["alternatives"][0][key] for key in ("service_id", "practitioner_id", "start")}
    assert api_client(cast.bea).post("/appointments", again).status_code == 201


def test_what_the_rules_forbid_is_answered_with_the_reasons(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.ana).post("/appointments", wanted(cast, 7))
    assert (answer.status_code, answer.json["type"]) == (422, "not-bookable")
    assert [reason["code"] for reason in answer.json["reasons"]] == ["outside-hours"]
    assert answer.json["errors"] == {"start": [answer.json["reasons"][0]["detail"]]}


def test_ana_cannot_be_in_two_places(api_client: Api, cast: Cast) -> None:
    book(api_client, cast)
    there = wanted(cast, practitioner_id=str(cast.dr_diaz.practitioner_id))
    answer = api_client(cast.ana).post("/appointments", there)
    assert (answer.status_code, answer.json["type"]) == (409, "patient-busy")


def test_who_may_book_for_whom(api_client: Api, cast: Cast) -> None:
    for_ana = str(cast.ana.patient_id)
    answers = {
        name: api_client(getattr(cast, name, None))
        .post("/appointments", wanted(cast, hour, patient_id=for_ana))
        .status_code
        for hour, name in enumerate(("ana", "carl", "dana", "olga", "bea", "dr_cho", "visitor"), start=9)
    }
    assert answers == {"ana": 201, "carl": 201, "dana": 201, "olga": 201, "bea": 404, "dr_cho": 404, "visitor": 401}
    assert api_client(cast.dana).post("/appointments", wanted(cast)).status_code == 403  # for whom?
    assert api_client(cast.dana).post("/appointments", wanted(cast, patient_id=str(uuid4()))).status_code == 404


def test_carl_who_may_only_read_is_told_so(api_client: Api, cast: Cast) -> None:
    db.session.execute(text("UPDATE related_persons SET may_book = false"))
    answer = api_client(cast.carl).post("/appointments", wanted(cast, patient_id=str(cast.ana.patient_id)))
    assert (answer.status_code, answer.json["type"]) == (403, "not-allowed")


def test_dana_sets_a_rule_aside_with_a_reason_and_it_is_on_record(api_client: Api, cast: Cast) -> None:
    early = wanted(cast, 8, patient_id=str(cast.ana.patient_id))
    assert api_client(cast.dana).post("/appointments", early).status_code == 422
    assert api_client(cast.dana).post("/appointments", {**early, "override": {"reason": " "}}).status_code == 422
    booked = api_client(cast.dana).post("/appointments", {**early, "override": {"reason": "She flies at noon."}})
    assert booked.status_code == 201
    nowhere = wanted(cast, 8, 30, patient_id=str(cast.ana.patient_id), location_id=str(uuid4()))
    lost = api_client(cast.dana).post("/appointments", {**nowhere, "override": {"reason": "x"}})
    assert (lost.status_code, list(lost.json["errors"])) == (422, ["location_id"])
    actions = select(AuditEvent.action).where(AuditEvent.object_id == booked.json["id"])
    assert db.session.scalars(actions).all() == ["appointment.overridden"]
    assert api_client(cast.ana).post("/appointments", wanted(cast, 7, override={"reason": "x"})).status_code == 403


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"start": "2026-12-01T09:00:00"}, "start"),
        ({"start": "2026-12-01 09:00:00Z"}, "start"),
        ({"start": 1_800_000_000}, "start"),
        ({"start": None}, "start"),
        ({"start": "9999-12-31T23:59:59-14:00"}, "start"),
        ({"service_id": "checkup"}, "service_id"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "\x00" * 501}, "reason"),
        ({"reason": 10**400}, "reason"),
        ({"override": "because"}, "override"),
        ({"override": {"reason": "x", "until": "noon"}}, "override"),
        ({"status": "fulfilled"}, "status"),
        ({"id": "01a20779-95b8-7797-9763-e7d1326dc958"}, "id"),
        ({"booked_by_id": "01a20779-95b8-7797-9763-e7d1326dc958"}, "booked_by_id"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_with_a_request_is_said_beside_its_field(
    api_client: Api, cast: Cast, over: dict[str, Any], field: str
) -> None:
    answer = api_client(cast.ana).post("/appointments", wanted(cast, **over))
    assert (answer.status_code, answer.json["type"], list(answer.json["errors"])) == (422, "invalid", [field])


def test_what_ana_writes_is_kept_clean(api_client: Api, cast: Cast) -> None:
    reason = "My \x00knee\u202e <b>hurts</b>\r\nsince\tMonday  "
    assert book(api_client, cast, reason=reason)["reason"] == "My knee <b>hurts</b>\nsince Monday"


def test_unknown_services_practitioners_and_places_are_not_found(api_client: Api, cast: Cast) -> None:
    ana, nobody = api_client(cast.ana), str(uuid4())
    assert ana.post("/appointments", wanted(cast, service_id=nobody)).status_code == 404
    assert ana.post("/appointments", wanted(cast, practitioner_id=nobody)).status_code == 404
    elsewhere = ana.post("/appointments", wanted(cast, location_id=nobody))
    assert [reason["code"] for reason in elsewhere.json["reasons"]] == ["not-offered"]


# --- who sees what ---


def test_who_sees_anas_visit(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    seen = {
        name: api_client(getattr(cast, name, None)).get(f"/appointments/{visit['id']}").status_code
        for name in ("ana", "bea", "carl", "dr_cho", "dr_diaz", "dana", "olga", "visitor")
    }
    assert seen == {
        "ana": 200, "bea": 404, "carl": 200, "dr_cho": 200, "dr_diaz": 404, "dana": 200, "olga": 200, "visitor": 401,
    }  # fmt: skip


def test_what_is_not_yours_and_what_is_not_there_look_the_same(api_client: Api, cast: Cast) -> None:
    visit, bea = book(api_client, cast), api_client(cast.bea)
    for path in (
        "",
        "/calendar.ics",
        "/cancel",
        "/reschedule",
        "/confirm",
        "/arrive",
        "/complete",
        "/no-show",
        "/undo",
    ):
        method, body = ("POST", {}) if path and path != "/calendar.ics" else ("GET", None)
        body = {"start": cast.at(11).isoformat()} if path == "/reschedule" else body
        foreign, missing = (bea.request(method, f"/appointments/{key}{path}", body) for key in (visit["id"], uuid4()))
        assert foreign.status_code == missing.status_code == 404, path
        assert foreign.json["detail"] == missing.json["detail"]
    assert api_client(cast.ana).get(f"/appointments/{visit['id']}").json == visit


def test_reading_a_visit_goes_on_record(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    answer = api_client(cast.dana).get(f"/appointments/{visit['id']}")
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "appointment.read")).one()
    assert (event.user_id, event.patient_id, event.role) == (cast.dana.user_id, cast.ana.patient_id, "front-desk")
    assert event.request_id == answer.headers["X-Request-ID"]


# --- letters and record of it all ---


def test_each_change_is_on_record_and_in_a_letter(api_client: Api, cast: Cast) -> None:
    visit, ana = book(api_client, cast), api_client(cast.ana)
    ana.post(f"/appointments/{visit['id']}/reschedule", {"start": cast.at(14).isoformat()})
    ana.post(f"/appointments/{visit['id']}/confirm")
    ana.post(f"/appointments/{visit['id']}/cancel")
    about = AuditEvent.object_id == visit["id"]
    assert db.session.scalars(select(AuditEvent.action).where(about).order_by(AuditEvent.id)).all() == [
        "appointment.booked",
        "appointment.rescheduled",
        "appointment.confirmed",
        "appointment.cancelled",
    ]
    posted = db.session.execute(select(OutboxMessage.letter, OutboxMessage.sequence).order_by(OutboxMessage.id)).all()
    assert [tuple(row) for row in posted] == [
        ("appointment-booked", 0),
        ("appointment-moved", 1),
        ("appointment-cancelled", 2),
    ]


def test_a_patient_of_somebody_else_is_never_mentioned(api_client: Api, cast: Cast) -> None:
    """G2 in small: bea's requests around ana's visit never bring back a word of it."""
    create_patient(given_name="Canary", family_name="Canaria")
    visit, bea = book(api_client, cast, reason="canary of a reason"), api_client(cast.bea)
    answers = [
        bea.get("/appointments"),
        bea.get(f"/appointments?patient_id={cast.ana.patient_id}"),
        bea.get(f"/appointments/{visit['id']}"),
        bea.post("/appointments", wanted(cast)),
        bea.post("/appointments", wanted(cast, patient_id=str(cast.ana.patient_id))),
        bea.post(f"/appointments/{visit['id']}/cancel"),
    ]
    for answer in answers:
        assert not any(word in answer.text for word in ("Ana", "Silva", "canary", str(cast.ana.patient_id)))
    assert db.session.get_one(Appointment, visit["id"]).status == "booked"
