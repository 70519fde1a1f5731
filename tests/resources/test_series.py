"""POST /appointment-series and what can be done with a series."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cast import Cast, Person
from tests.clients import ApiClient
from tests.factories import create_appointment
from tests.resources.asking import wanted

Api = Callable[[Person | None], ApiClient]
PATH = "/appointment-series"


def weekly(cast: Cast, **over: Any) -> dict[str, Any]:
    """Four check-ups with dr_cho, Tuesdays at 9."""
    return wanted(cast, **{"count": 4, "every_n_weeks": 1, **over})


def make(client: ApiClient, cast: Cast, **over: Any) -> dict[str, Any]:
    answer = client.post(PATH, weekly(cast, **over))
    assert answer.status_code == 201, answer.text
    return answer.json


def visits(series: dict[str, Any]) -> list[str]:
    return [each["appointment_id"] for each in series["occurrences"]]


def instant(start: Any) -> str:
    return f"{start:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def bea_has_the_second_tuesday(cast: Cast) -> None:
    from server.extensions import db

    doctor = cast.practitioner(cast.dr_cho)
    create_appointment(cast.patient(cast.bea), doctor, cast.location, cast.checkup, cast.at(9, weeks=2))
    db.session.commit()


def test_ana_books_a_series_and_reads_it(cast: Cast, api_client: Api) -> None:
    ana = api_client(cast.ana)
    answer = ana.post(PATH, weekly(cast))
    assert answer.status_code == 201
    booked = answer.json
    assert answer.headers["Location"] == f"/api/v1{PATH}/{booked['id']}"
    assert [each["start"] for each in booked["occurrences"]] == [instant(cast.at(9, weeks=n)) for n in range(1, 5)]
    assert booked["time_zone"] == "America/New_York"
    read = ana.get(f"{PATH}/{booked['id']}").json
    assert [each["id"] for each in read["appointments"]] == visits(booked)
    assert {each["series_id"] for each in read["appointments"]} == {booked["id"]}


@pytest.mark.usefixtures("bea_has_the_second_tuesday")
def test_plan_then_book_with_what_was_proposed(cast: Cast, api_client: Api) -> None:
    ana = api_client(cast.ana)
    answer = ana.post(PATH, weekly(cast, dry_run=True))
    assert (answer.status_code, answer.json["id"], answer.json["is_free"]) == (200, None, False)
    second = answer.json["occurrences"][1]
    assert [reason["code"] for reason in second["reasons"]] == ["busy"]
    assert second["proposal"]["start"] == instant(cast.at(9, 30, weeks=2))
    assert ana.get("/appointments").json["items"] == []
    replacements = [{"number": 2, "start": second["proposal"]["start"]}]
    booked = make(ana, cast, replacements=replacements)
    assert booked["occurrences"][1]["start"] == second["proposal"]["start"]
    assert None not in visits(booked)


@pytest.mark.usefixtures("bea_has_the_second_tuesday")
def test_all_or_nothing_answers_the_plan(cast: Cast, api_client: Api) -> None:
    ana = api_client(cast.ana)
    answer = ana.post(PATH, weekly(cast))
    assert (answer.status_code, answer.json["type"]) == (409, "series-conflict")
    assert [each["is_free"] for each in answer.json["plan"]] == [True, False, True, True]
    assert answer.json["plan"][1]["proposal"] is not None
    assert ana.get("/appointments").json["items"] == []
    assert [bool(visit) for visit in visits(make(ana, cast, skip_conflicts=True))] == [True, False, True, True]


def test_the_same_key_books_once(cast: Cast, api_client: Api) -> None:
    ana, key = api_client(cast.ana), {"Idempotency-Key": "eight-weeks"}
    first = ana.post(PATH, weekly(cast), headers=key)
    again = ana.post(PATH, weekly(cast), headers=key)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(ana.get("/appointments").json["items"]) == 4
    cancel = {"scope": "all"}, {"Idempotency-Key": "all"}
    path = f"{PATH}/{first.json['id']}/cancel"
    assert [ana.post(path, cancel[0], headers=cancel[1]).status_code for _ in range(2)] == [200, 200]


@pytest.mark.usefixtures("bea_has_the_second_tuesday")
def test_a_refusal_with_a_key_is_remembered_and_leaves_nothing(cast: Cast, api_client: Api) -> None:
    ana, key = api_client(cast.ana), {"Idempotency-Key": "eight-weeks"}
    answers = [ana.post(PATH, weekly(cast), headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert ana.get("/appointments").json["items"] == []


@pytest.mark.parametrize(
    ("scope", "states"),
    [
        ("this", ["booked", "cancelled", "booked", "booked"]),
        ("following", ["booked", "cancelled", "cancelled", "cancelled"]),
        ("all", ["cancelled"] * 4),
    ],
)
def test_ana_cancels(cast: Cast, api_client: Api, scope: str, states: list[str]) -> None:
    ana = api_client(cast.ana)
    series = make(ana, cast)
    body = {"scope": scope, "appointment_id": visits(series)[1], "reason": "Better"}
    answer = ana.post(f"{PATH}/{series['id']}/cancel", body)
    assert answer.status_code == 200
    assert [each["status"] for each in answer.json["appointments"]] == states
    again = ana.post(f"{PATH}/{series['id']}/cancel", body)
    assert (again.status_code, again.json["type"]) == (409, "wrong-state")


def test_dana_moves_all_by_a_week_after_a_look_at_the_plan(cast: Cast, api_client: Api) -> None:
    dana = api_client(cast.dana)
    series = make(dana, cast, patient_id=str(cast.ana.patient_id))
    body = {"scope": "all", "appointment_id": visits(series)[0], "start": instant(cast.at(9, weeks=2))}
    plan = dana.post(f"{PATH}/{series['id']}/reschedule", {**body, "dry_run": True})
    assert (plan.status_code, plan.json["is_free"]) == (200, True)
    assert dana.get(f"/appointments/{visits(series)[0]}").json["start"] == instant(cast.at(9))
    moved = dana.post(f"{PATH}/{series['id']}/reschedule", body)
    assert [each["start"] for each in moved.json["occurrences"]] == [instant(cast.at(9, weeks=n)) for n in range(2, 6)]
    assert dana.get(f"/appointments/{visits(series)[0]}").json["start"] == instant(cast.at(9, weeks=2))


def test_anas_series_is_not_beas(cast: Cast, api_client: Api) -> None:
    bea, series = api_client(cast.bea), make(api_client(cast.ana), cast)
    path, visit = f"{PATH}/{series['id']}", visits(series)[0]
    move = {"scope": "all", "appointment_id": visit, "start": instant(cast.at(10))}
    assert bea.get(path).status_code == 404
    assert bea.post(f"{path}/cancel", {"scope": "all"}).status_code == 404
    assert bea.post(f"{path}/reschedule", move).status_code == 404
    assert bea.post(PATH, weekly(cast, patient_id=str(cast.ana.patient_id))).status_code == 404
    assert api_client(None).get(path).status_code == 401


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"count": 53}, "count"),
        ({"count": 0}, "count"),
        ({"every_n_weeks": 0}, "every_n_weeks"),
        ({"every_n_weeks": "2"}, "every_n_weeks"),
        ({"skip_conflicts": "yes"}, "skip_conflicts"),
        ({"replacements": [{"number": 9, "start": "2026-12-15T15:00:00Z"}]}, "replacements"),
        ({"replacements": [{"number": 1, "start": "2026-12-15T15:00:00Z"}] * 2}, "replacements"),
        ({"weekday": 2}, "weekday"),
    ],
)
def test_what_is_no_series_is_refused_by_name(cast: Cast, api_client: Api, over: dict[str, Any], field: str) -> None:
    answer = api_client(cast.ana).post(PATH, {**weekly(cast), **over})
    assert answer.status_code == 422
    assert field in answer.json["errors"]


def test_this_and_following_need_a_visit(cast: Cast, api_client: Api) -> None:
    ana = api_client(cast.ana)
    series = make(ana, cast)
    answer = ana.post(f"{PATH}/{series['id']}/cancel", {"scope": "following"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["appointment_id"])
    assert ana.post(f"{PATH}/{series['id']}/cancel", {"scope": "some"}).status_code == 422


def test_a_year_of_weeks_in_one_request(cast: Cast, api_client: Api) -> None:
    dana = api_client(cast.dana)
    series = make(dana, cast, count=52, patient_id=str(cast.ana.patient_id))
    assert len(set(visits(series))) == 52
