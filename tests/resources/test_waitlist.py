"""The waitlist over REST: join, leave, answer; the desk reads stories and figures."""

from collections.abc import Callable
from datetime import time
from typing import Any

import pytest

from server.extensions import db
from server.models import ClinicSettings
from server.services import offers, sessions
from tests.cast import Cast, Person
from tests.clients import ApiClient
from tests.factories import create_patient, create_schedule, create_service
from tests.resources.asking import book

Api = Callable[[Person | None], ApiClient]


@pytest.fixture(autouse=True)
def _day(cast: Cast) -> None:
    """Whatever hour it is, it is not a quiet one."""
    settings = db.session.get_one(ClinicSettings, True)
    settings.quiet_from = settings.quiet_until = time(0)
    db.session.commit()


def joined(api_client: Api, cast: Cast, who: Person, **over: Any) -> dict[str, Any]:
    body = {"service_id": str(cast.checkup_id), "notice_minutes": 60, **over}
    answer = api_client(who).post("/waitlist", body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].endswith(f"/api/v1/waitlist/{answer.json['id']}")
    return answer.json


def offered(api_client: Api, cast: Cast) -> dict[str, Any]:
    """dana cancels bea's ten o'clock, and ana is asked."""
    visit = book(api_client, cast, cast.bea, hour=10)
    assert api_client(cast.dana).post(f"/appointments/{visit['id']}/cancel").status_code == 200
    offers.offer_freed_times()
    (offer,) = api_client(cast.ana).get("/waitlist-offers?status=open").json["items"]
    return offer


def test_ana_joins_with_wishes_reads_them_and_leaves(api_client: Api, cast: Cast) -> None:
    wishes = {"weekdays": [2, 4], "from_time": "09:00", "until_time": "12:30", "until_on": "2199-01-01"}
    entry = joined(api_client, cast, cast.ana, **wishes)
    assert {name: entry[name] for name in wishes} == wishes
    assert (entry["status"], entry["appointment_id"], entry["open_offer_id"]) == ("waiting", None, None)
    ana = api_client(cast.ana)
    assert ana.get(f"/waitlist/{entry['id']}").json == entry
    assert ana.get("/waitlist?status=waiting").json == {"items": [entry], "next_cursor": None}
    assert ana.delete(f"/waitlist/{entry['id']}").status_code == 204
    assert ana.get("/waitlist?status=waiting").json["items"] == []


def test_joining_twice_is_409_and_the_same_key_is_the_same_answer(api_client: Api, cast: Cast) -> None:
    body = {"service_id": str(cast.checkup_id)}
    ana = api_client(cast.ana)
    first, again = (ana.post("/waitlist", body, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, again.data, again.headers["Idempotent-Replayed"]) == (201, first.data, "true")
    other = ana.post("/waitlist", body)
    assert (other.status_code, other.json["type"]) == (409, "already-waiting")


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"weekdays": [0]}, "weekdays"),
        ({"weekdays": "2"}, "weekdays"),
        ({"from_time": "9:00"}, "from_time"),
        ({"from_time": "09:00"}, "until_time"),
        ({"from_time": "12:00", "until_time": "09:00"}, "until_time"),
        ({"until_on": "2020-01-01"}, "until_on"),
        ({"notice_minutes": -5}, "notice_minutes"),
        ({"notice_minutes": "60"}, "notice_minutes"),
        ({"earliest": "now"}, "earliest"),
    ],
)
def test_a_wish_that_is_wrong_is_422_at_its_field(
    api_client: Api, cast: Cast, over: dict[str, Any], field: str
) -> None:
    answer = api_client(cast.ana).post("/waitlist", {"service_id": str(cast.checkup_id), **over})
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]


def test_without_a_service_or_a_visit_it_says_which_to_give(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.ana).post("/waitlist", {})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["service_id"])


def test_bea_sees_nothing_of_anas_waiting(api_client: Api, cast: Cast) -> None:
    entry, offer = joined(api_client, cast, cast.ana), offered(api_client, cast)
    bea = api_client(cast.bea)
    assert bea.get(f"/waitlist/{entry['id']}").status_code == 404
    assert bea.delete(f"/waitlist/{entry['id']}").status_code == 404
    assert bea.get(f"/waitlist-offers/{offer['id']}").status_code == 404
    assert bea.post(f"/waitlist-offers/{offer['id']}/accept").status_code == 404
    assert bea.post(f"/waitlist-offers/{offer['id']}/decline").status_code == 404
    assert bea.get("/waitlist").json["items"] == bea.get("/waitlist-offers").json["items"] == []
    patient = str(cast.ana.patient_id)
    assert bea.post("/waitlist", {"service_id": str(cast.checkup_id), "patient_id": patient}).status_code == 404


def test_accepting_moves_the_later_visit(api_client: Api, cast: Cast) -> None:
    later = book(api_client, cast, start=cast.at(9, weeks=3).isoformat())
    answer = api_client(cast.ana).post("/waitlist", {"appointment_id": later["id"], "notice_minutes": 0})
    assert answer.status_code == 201, answer.text
    offer = offered(api_client, cast)
    assert (offer["appointment_id"], offer["patient_id"]) == (later["id"], later["patient_id"])
    ana = api_client(cast.ana)
    first = ana.post(f"/waitlist-offers/{offer['id']}/accept", headers={"Idempotency-Key": "yes"})
    again = ana.post(f"/waitlist-offers/{offer['id']}/accept", headers={"Idempotency-Key": "yes"})
    assert (first.status_code, again.data) == (200, first.data)
    accepted = first.json
    assert (accepted["status"], accepted["days_gained"]) == ("accepted", 14)
    moved = ana.get(f"/appointments/{later['id']}").json
    assert (moved["start"], moved["status"]) == (offer["start"], "booked")
    assert len(ana.get("/appointments?status=booked").json["items"]) == 1
    late = ana.post(f"/waitlist-offers/{offer['id']}/accept")
    assert (late.status_code, late.json["type"], late.json["state"]) == (409, "offer-over", "accepted")


def test_declining_is_final_and_says_so(api_client: Api, cast: Cast) -> None:
    joined(api_client, cast, cast.ana)
    offer = offered(api_client, cast)
    ana = api_client(cast.ana)
    assert ana.post(f"/waitlist-offers/{offer['id']}/decline").json["status"] == "declined"
    for step in ("accept", "decline"):
        late = ana.post(f"/waitlist-offers/{offer['id']}/{step}")
        assert (late.status_code, late.json["state"]) == (409, "declined")
        assert "went on to others" in late.json["detail"]


def test_dana_reads_stories_and_figures_and_patients_do_not(api_client: Api, cast: Cast) -> None:
    joined(api_client, cast, cast.ana)
    offer = offered(api_client, cast)
    api_client(cast.ana).post(f"/waitlist-offers/{offer['id']}/accept")
    offers.offer_freed_times()
    dana = api_client(cast.dana)
    (story,) = dana.get("/freed-times?outcome=taken").json["items"]
    assert (story["cause"], [each["status"] for each in story["offers"]]) == ("cancelled", ["accepted"])
    assert dana.get("/freed-times?outcome=open").json["items"] == []
    report = dana.get("/reports/waitlist").json
    assert (report["in_all"]["offers"], report["in_all"]["accepted_share"]) == (1, 1.0)
    assert report["yardstick"] == {"accepted_share": 0.11, "median_days_gained": 14.0}
    before = dana.get("/reports/waitlist?to=2020-01-01T00:00:00Z").json
    assert (before["in_all"]["offers"], before["in_all"]["accepted_share"]) == (0, None)
    for path in ("/freed-times", "/reports/waitlist"):
        assert api_client(cast.ana).get(path).status_code == 403
        assert api_client(None).get(path).status_code == 401


def test_lists_go_on_from_page_to_page(api_client: Api, cast: Cast) -> None:
    for person in (cast.ana, cast.bea):
        joined(api_client, cast, person)
    dana = api_client(cast.dana)
    first = dana.get("/waitlist?limit=1").json
    second = dana.get(f"/waitlist?limit=1&cursor={first['next_cursor']}").json
    assert [page["items"][0]["patient_id"] for page in (first, second)] == [
        str(cast.ana.patient_id),
        str(cast.bea.patient_id),
    ]
    assert second["next_cursor"] is None


def test_a_full_class_names_the_next_one_and_ana_may_wait_for_a_seat(api_client: Api, cast: Cast) -> None:
    service = create_service(name="Back school", capacity=2)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    db.session.commit()
    when = {"service_id": service.id, "practitioner_id": cast.dr_cho.practitioner_id, "actor": cast.dana.actor}
    full, later = (sessions.create_session(start=cast.at(hour), **when) for hour in (10, 14))
    for _ in range(2):
        sessions.book_seat(full.id, actor=cast.dana.actor, patient_id=create_patient().id)
    answer = api_client(cast.ana).post("/appointments", {"group_session_id": str(full.id)})
    assert (answer.status_code, answer.json["type"]) == (409, "session-full")
    assert [each["id"] for each in answer.json["alternatives"]] == [str(later.id)]
    assert joined(api_client, cast, cast.ana, service_id=str(service.id))["status"] == "waiting"
