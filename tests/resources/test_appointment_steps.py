"""Visits are moved, cancelled, confirmed, and taken through the day by the front desk."""

from datetime import datetime
from uuid import uuid4

import pytest

from server.extensions import db
from tests.cast import Cast
from tests.resources.asking import Api, book

# --- moving, cancelling, confirming ---


def test_ana_moves_her_visit_and_the_old_time_is_free(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    moved = api_client(cast.ana).post(f"/appointments/{visit['id']}/reschedule", {"start": cast.at(14).isoformat()})
    assert (moved.status_code, moved.headers["ETag"]) == (200, '"v2"')
    assert datetime.fromisoformat(moved.json["start"]) == cast.at(14)
    assert (moved.json["id"], moved.json["practitioner_id"]) == (visit["id"], visit["practitioner_id"])
    assert book(api_client, cast, cast.bea)["status"] == "booked"


def test_ana_moves_to_another_practitioner_at_the_same_time(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    body = {"start": visit["start"], "practitioner_id": str(cast.dr_diaz.practitioner_id)}
    moved = api_client(cast.ana).post(f"/appointments/{visit['id']}/reschedule", body)
    assert (moved.status_code, moved.json["practitioner_id"]) == (200, body["practitioner_id"])


def test_a_move_onto_a_taken_time_keeps_the_old_one(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    book(api_client, cast, cast.bea, hour=14)
    ana = api_client(cast.ana)
    answer = ana.post(f"/appointments/{visit['id']}/reschedule", {"start": cast.at(14).isoformat()})
    assert (answer.status_code, answer.json["type"], len(answer.json["alternatives"])) == (409, "slot-taken", 3)
    assert ana.get(f"/appointments/{visit['id']}").json == visit


def test_a_move_needs_a_time_that_the_rules_allow(api_client: Api, cast: Cast) -> None:
    path = f"/appointments/{book(api_client, cast)['id']}/reschedule"
    ana = api_client(cast.ana)
    assert ana.post(path, {}).json["errors"] == {"start": ["Missing data for required field."]}
    assert ana.post(path, {"start": cast.at(7).isoformat()}).json["type"] == "not-bookable"
    assert ana.post(path, {"start": cast.at(10).isoformat(), "service_id": str(cast.physio_id)}).status_code == 422
    assert ana.post(path, {"start": cast.at(10).isoformat(), "practitioner_id": str(uuid4())}).status_code == 404


def test_ana_cancels_with_or_without_a_reason(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    first, second = book(api_client, cast), book(api_client, cast, hour=10)
    cancelled = ana.post(f"/appointments/{first['id']}/cancel", {"reason": "I have a cold."})
    assert (cancelled.json["status"], cancelled.json["cancel_reason"]) == ("cancelled", "I have a cold.")
    assert ana.post(f"/appointments/{second['id']}/cancel").json["cancel_reason"] == ""
    again = ana.post(f"/appointments/{first['id']}/cancel")
    assert (again.status_code, again.json["type"], again.json["state"]) == (409, "wrong-state", "cancelled")


def test_the_cut_off_binds_ana_and_not_dana(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    cast.checkup.cancel_cutoff_minutes = 30 * 1440
    db.session.commit()
    for step, body in (("cancel", {}), ("reschedule", {"start": cast.at(14).isoformat()})):
        refused = api_client(cast.ana).post(f"/appointments/{visit['id']}/{step}", body)
        assert (refused.status_code, refused.json["reasons"][0]["code"]) == (422, "notice")
    assert api_client(cast.dana).post(f"/appointments/{visit['id']}/cancel").status_code == 200


def test_ana_confirms_that_she_will_come(api_client: Api, cast: Cast) -> None:
    path = f"/appointments/{book(api_client, cast)['id']}/confirm"
    confirmed = api_client(cast.ana).post(path)
    assert confirmed.json["confirmed_at"].endswith("Z")
    again = api_client(cast.carl).post(path)
    assert (again.status_code, again.json) == (200, confirmed.json)


# --- the front desk's day ---


def test_dana_takes_a_visit_through_the_day_and_back(api_client: Api, cast: Cast) -> None:
    visit, dana = book(api_client, cast), api_client(cast.dana)
    answers = [
        dana.post(f"/appointments/{visit['id']}/{step}")
        for step in ("arrive", "complete", "undo", "undo", "no-show", "undo")
    ]
    assert [answer.json["status"] for answer in answers] == [
        "arrived", "fulfilled", "arrived", "booked", "noshow", "booked",
    ]  # fmt: skip
    assert [answer.headers["ETag"] for answer in answers] == [f'"v{version}"' for version in range(2, 8)]


@pytest.mark.parametrize("step", ["complete", "undo"])
def test_a_step_that_the_state_forbids_is_a_conflict(api_client: Api, cast: Cast, step: str) -> None:
    answer = api_client(cast.dana).post(f"/appointments/{book(api_client, cast)['id']}/{step}")
    assert (answer.status_code, answer.json["type"], answer.json["state"]) == (409, "wrong-state", "booked")


def test_only_staff_take_steps_and_practitioners_their_own(api_client: Api, cast: Cast) -> None:
    path = f"/appointments/{book(api_client, cast)['id']}/arrive"
    answers = {
        name: api_client(getattr(cast, name)).post(path).status_code for name in ("ana", "carl", "dr_diaz", "dr_cho")
    }
    assert answers == {"ana": 403, "carl": 403, "dr_diaz": 404, "dr_cho": 200}


def test_a_no_show_is_not_taken_back_onto_somebody_else(api_client: Api, cast: Cast) -> None:
    visit, dana = book(api_client, cast), api_client(cast.dana)
    dana.post(f"/appointments/{visit['id']}/no-show")
    book(api_client, cast, cast.bea)
    answer = dana.post(f"/appointments/{visit['id']}/undo")
    assert (answer.status_code, answer.json["type"]) == (409, "slot-taken")


@pytest.mark.parametrize("step", ["arrive", "complete", "no-show", "undo", "confirm", "cancel"])
def test_a_step_takes_an_empty_body_and_nothing_unknown(api_client: Api, cast: Cast, step: str) -> None:
    path = f"/appointments/{book(api_client, cast)['id']}/{step}"
    answer = api_client(cast.dana).post(path, {"status": "fulfilled"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["status"])
    assert api_client(cast.dana).post(path, {}).status_code in (200, 409)


# --- If-Match: nobody's change is lost ---

STEPS = {
    "reschedule": {"start": "later"},
    "cancel": {},
    "confirm": {},
    "arrive": {},
    "no-show": {},
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_may_name_the_version_it_is_based_on(api_client: Api, cast: Cast, step: str) -> None:
    visit, dana = book(api_client, cast), api_client(cast.dana)
    path, body = f"/appointments/{visit['id']}/{step}", dict(STEPS[step])
    if body:
        body = {"start": cast.at(15).isoformat()}
    for stale in ('"v2"', '"v0"', "v1", '"', '""', "W/", '"v99999999999999999999"'):
        refused = dana.post(path, body, headers={"If-Match": stale})
        assert (refused.status_code, refused.json["type"]) == (412, "precondition-failed"), stale
    assert dana.get(f"/appointments/{visit['id']}").headers["ETag"] == '"v1"'
    done = dana.post(path, body, headers={"If-Match": '"v1"'})
    assert (done.status_code, done.headers["ETag"]) == (200, '"v2"')
    assert dana.post(path, body, headers={"If-Match": '"v1"'}).status_code == 412


def test_any_version_will_do_for_a_star(api_client: Api, cast: Cast) -> None:
    path = f"/appointments/{book(api_client, cast)['id']}/confirm"
    assert api_client(cast.ana).post(path, headers={"If-Match": "*"}).status_code == 200
