"""A time is kept for somebody while they decide, two at most, and not for ever."""

from datetime import datetime

from sqlalchemy import text

from server.extensions import db
from server.utils import clock
from tests.cast import Cast
from tests.resources.asking import Api, wanted


def test_ana_holds_a_time_for_five_minutes_and_books_it(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    held = ana.post("/holds", wanted(cast))
    assert held.status_code == 201
    assert held.headers["Location"] == f"/api/v1/holds/{held.json['id']}"
    left = datetime.fromisoformat(held.json["expires_at"]) - clock.now()
    assert 290 < left.total_seconds() < 301
    assert (held.json["service_id"], held.json["location_id"]) == (str(cast.checkup_id), str(cast.location_id))
    booked = ana.post("/appointments", {**wanted(cast), "hold_id": held.json["id"]})
    assert (booked.status_code, booked.json["status"]) == (201, "booked")
    assert ana.delete(f"/holds/{held.json['id']}").status_code == 404


def test_a_held_time_is_not_free_for_bea(api_client: Api, cast: Cast) -> None:
    api_client(cast.ana).post("/holds", wanted(cast))
    bea = api_client(cast.bea)
    for refused in (bea.post("/appointments", wanted(cast)), bea.post("/holds", wanted(cast))):
        assert (refused.status_code, refused.json["type"]) == (409, "slot-taken")
        first = datetime.fromisoformat(refused.json["alternatives"][0]["start"])
        assert first == cast.at(9, 30)


def test_ana_lets_a_time_go_and_bea_has_it(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    held = ana.post("/holds", wanted(cast)).json["id"]
    assert api_client(cast.bea).delete(f"/holds/{held}").status_code == 404
    answer = ana.delete(f"/holds/{held}")
    assert (answer.status_code, answer.get_data()) == (204, b"")
    assert api_client(cast.bea).post("/appointments", wanted(cast)).status_code == 201


def test_ana_holds_two_times_at_most(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    assert [ana.post("/holds", wanted(cast, hour)).status_code for hour in (9, 10, 11)] == [201, 201, 409]
    assert ana.post("/holds", wanted(cast, 11)).json["type"] == "too-many-holds"
    assert api_client(cast.bea).post("/holds", wanted(cast, 11)).status_code == 201


def test_a_hold_that_expired_holds_nothing(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    held = ana.post("/holds", wanted(cast)).json["id"]
    db.session.execute(text("UPDATE appointments SET hold_expires_at = clock_timestamp() - interval '1 second'"))
    assert ana.delete(f"/holds/{held}").status_code == 404
    assert api_client(cast.bea).post("/appointments", wanted(cast)).status_code == 201


def test_a_hold_is_no_appointment(api_client: Api, cast: Cast) -> None:
    held = api_client(cast.ana).post("/holds", wanted(cast)).json["id"]
    for person in (cast.ana, cast.dana):
        assert api_client(person).get(f"/appointments/{held}").status_code == 404
        assert api_client(person).get("/appointments").json["items"] == []


def test_a_hold_is_for_its_own_time_only(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    held = ana.post("/holds", wanted(cast)).json["id"]
    answer = ana.post("/appointments", {**wanted(cast, 14), "hold_id": held})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["hold_id"])
    assert ana.delete(f"/holds/{held}").status_code == 204


def test_the_rules_hold_for_holds(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.ana).post("/holds", wanted(cast, 7))
    assert (answer.status_code, answer.json["type"]) == (422, "not-bookable")
    assert [reason["code"] for reason in answer.json["reasons"]] == ["outside-hours"]


def test_carl_holds_for_ana_and_bea_does_not(api_client: Api, cast: Cast) -> None:
    for_ana = wanted(cast, patient_id=cast.ana.patient_id)
    assert api_client(cast.bea).post("/holds", for_ana).status_code == 404
    assert api_client(cast.carl).post("/holds", for_ana).status_code == 201


def test_a_visitor_holds_nothing_here(api_client: Api, cast: Cast) -> None:
    assert api_client(None).post("/holds", wanted(cast)).status_code == 401
