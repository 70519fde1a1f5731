"""Anybody asks for free times, and why a time is not free, and never learns who is in the way."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from server.extensions import db
from server.utils import clock
from tests.cast import ZONE, Cast
from tests.counting import counted
from tests.factories import (
    create_appointment,
    create_closure,
    create_location,
    create_room,
    create_schedule,
    create_service,
)
from tests.resources.asking import Api


def free(api_client: Api, cast: Cast, **query: Any) -> Any:
    query = {"service_id": cast.checkup_id, "from": cast.day(), "to": cast.day(), "limit": 200, **query}
    return api_client(None).get("/availability", query_string={name: str(value) for name, value in query.items()})


def starts(answer: Any) -> list[datetime]:
    return [datetime.fromisoformat(item["start"]) for item in answer.json["items"]]


def test_a_visitor_finds_the_free_times_of_a_day_by_start(api_client: Api, cast: Cast) -> None:
    answer = free(api_client, cast, practitioner_id=cast.dr_cho.practitioner_id)
    assert starts(answer) == [cast.at(9) + timedelta(minutes=30 * step) for step in range(16)]
    assert answer.json["next_from"] is None
    assert answer.json["items"][0] == {
        "start": cast.at(9).isoformat().replace("+00:00", "Z"),
        "end": cast.at(9, 30).isoformat().replace("+00:00", "Z"),
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "location_id": str(cast.location_id),
        "service_id": str(cast.checkup_id),
    }


def test_what_is_taken_is_not_free(api_client: Api, cast: Cast) -> None:
    create_appointment(cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(9))
    db.session.commit()
    assert cast.at(9) not in starts(free(api_client, cast, practitioner_id=cast.dr_cho.practitioner_id))
    assert starts(free(api_client, cast)).count(cast.at(9)) == 1  # with dr_diaz


def test_dates_mean_the_days_of_the_location_and_the_last_is_included(api_client: Api, cast: Cast) -> None:
    found = starts(free(api_client, cast, to=cast.day(weekday=3)))
    assert {clock.local(start, ZONE).date() for start in found} == {cast.day(), cast.day(weekday=3)}
    assert len(found) == 2 * 2 * 16


def test_a_late_evening_belongs_to_its_local_day(api_client: Api, cast: Cast) -> None:
    """At 22:00 in New York it is tomorrow in UTC, and at 01:00 it is still yesterday in California."""
    night = create_service(name="Night watch", duration_minutes=60, step_minutes=60)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, night, starts_at=time(22), ends_at=time(23, 59, 59))
    west = create_location(name="West", time_zone="America/Los_Angeles")
    create_schedule(cast.practitioner(cast.dr_diaz), west, night, starts_at=time(0), ends_at=time(2))
    db.session.commit()
    found = free(api_client, cast, service_id=night.id)
    wanted = [
        clock.to_instant(datetime.combine(cast.day(), time(0)), "America/Los_Angeles"),
        clock.to_instant(datetime.combine(cast.day(), time(1)), "America/Los_Angeles"),
        cast.at(22),
    ]
    assert starts(found) == wanted
    assert starts(free(api_client, cast, service_id=night.id, location_id=west.id)) == wanted[:2]


def test_instants_mean_themselves_in_whatever_offset(api_client: Api, cast: Cast) -> None:
    tokyo = clock.local(cast.at(9, 30), "Asia/Tokyo").isoformat()
    until = cast.at(11).isoformat().replace("+00:00", "Z")
    query = {"practitioner_id": cast.dr_cho.practitioner_id, "from": tokyo, "to": until}
    assert starts(free(api_client, cast, **query)) == [cast.at(9, 30), cast.at(10), cast.at(10, 30)]


def test_a_plus_that_was_not_encoded_is_understood(api_client: Api, cast: Cast) -> None:
    tokyo, day = clock.local(cast.at(9), "Asia/Tokyo").isoformat(), cast.day()
    assert "+" in tokyo
    answer = api_client(None).get(f"/availability?service_id={cast.checkup_id}&from={tokyo}&to={day}")
    assert answer.status_code == 200


def test_pages_lose_and_repeat_nothing(api_client: Api, cast: Cast) -> None:
    whole = free(api_client, cast, to=cast.day(weekday=4)).json["items"]
    assert len(whole) == 96
    for limit in (1, 5, 7, 64):
        pages: list[dict[str, str]] = []
        asked: Any = cast.day()
        while asked is not None:
            answer = free(api_client, cast, **{"from": asked, "to": cast.day(weekday=4), "limit": limit}).json
            pages += answer["items"]
            asked = answer["next_from"]
        assert pages == whole, f"limit {limit}"


@pytest.mark.parametrize(
    ("days", "status"), [(0, 200), (61, 200), (62, 422), (-1, 422)], ids=["one day", "62 days", "63 days", "backwards"]
)
def test_at_most_62_days(api_client: Api, cast: Cast, days: int, status: int) -> None:
    answer = free(api_client, cast, to=cast.day() + timedelta(days=days))
    assert answer.status_code == status
    first = datetime.combine(cast.day(), time(), UTC)
    until = first + timedelta(days=days + 1)
    assert free(api_client, cast, **{"from": first.isoformat(), "to": until.isoformat()}).status_code == status


def test_62_days_may_contain_the_day_of_25_hours(api_client: Api, cast: Cast) -> None:
    assert free(api_client, cast, **{"from": date(2030, 10, 1), "to": date(2030, 12, 1)}).status_code == 200
    create_location(name="Far east", time_zone="Pacific/Kiritimati")
    create_location(name="Far west", time_zone="Pacific/Pago_Pago")
    db.session.commit()
    assert free(api_client, cast, **{"from": date(2030, 10, 1), "to": date(2030, 12, 1)}).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service_id", "x"),
        ("from", "tomorrow"),
        ("from", "2026-12-01T09:00:00"),
        ("from", "2026-W49-2"),
        ("from", "20261201"),
        ("to", "9999-12-31"),
        ("to", "0001-01-01"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "1_0"),
        ("limit", "٣"),
        ("practitioner_id", ""),
        ("doctor", "cho"),
    ],
)
def test_what_cannot_be_understood_is_said(api_client: Api, cast: Cast, name: str, value: str) -> None:
    answer = free(api_client, cast, **{name: value})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [name])


def test_an_unknown_service_is_not_found_but_unknown_filters_find_nothing(api_client: Api, cast: Cast) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    assert free(api_client, cast, service_id=nobody).status_code == 404
    assert free(api_client, cast, practitioner_id=nobody).json == {"items": [], "next_from": None}
    assert free(api_client, cast, location_id=nobody).json == {"items": [], "next_from": None}


def test_free_times_are_never_kept(api_client: Api, cast: Cast) -> None:
    assert free(api_client, cast).headers["Cache-Control"] == "no-store"


def test_a_search_asks_once_whatever_it_finds(api_client: Api, cast: Cast) -> None:
    with counted() as few:
        free(api_client, cast, limit=1, practitioner_id=cast.dr_cho.practitioner_id)
    with counted() as many:
        free(api_client, cast, to=cast.day(weekday=5), limit=200)
    assert len(few) == len(many) == 3  # the service, the locations' zones, the search
    assert sum("generate_series" in statement for statement in many) == 1


# --- why not ---


def why(api_client: Api, cast: Cast, start: Any, **query: Any) -> Any:
    query = {
        "service_id": cast.checkup_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "start": start.isoformat() if isinstance(start, datetime) else start,
        **query,
    }
    answer = api_client(None).get("/availability/why", query_string={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    assert answer.json["free"] == (not answer.json["reasons"])
    assert all(reason["detail"].endswith(".") for reason in answer.json["reasons"])
    return [reason["code"] for reason in answer.json["reasons"]]


def test_a_free_time_has_nothing_against_it(api_client: Api, cast: Cast) -> None:
    assert why(api_client, cast, cast.at(9)) == []


def test_outside_hours(api_client: Api, cast: Cast) -> None:
    assert why(api_client, cast, cast.at(8)) == ["outside-hours"]
    assert why(api_client, cast, cast.at(16, 45)) == ["outside-hours"]


def test_closure(api_client: Api, cast: Cast) -> None:
    create_closure(cast.at(9), cast.at(12), reason="Funeral of an aunt")
    db.session.commit()
    assert why(api_client, cast, cast.at(9)) == ["closure"]


def test_busy_and_buffer(api_client: Api, cast: Cast) -> None:
    rows = [cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup]
    create_appointment(*rows, cast.at(10))
    db.session.commit()
    assert why(api_client, cast, cast.at(10)) == ["busy"]
    assert why(api_client, cast, cast.at(10, 30), service_id=cast.physio_id) == ["buffer"]


def test_staff_read_what_is_in_the_way(api_client: Api, cast: Cast) -> None:
    visit = create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(10)
    )
    create_closure(cast.at(14), cast.at(16), reason="Funeral of an aunt")
    db.session.commit()
    ask = {"service_id": cast.checkup_id, "practitioner_id": cast.dr_cho.practitioner_id}
    for start, kind, state in ((cast.at(10), "Appointment", "booked"), (cast.at(14), "Closure", "block")):
        query = {**ask, "start": start.isoformat()}
        answer = api_client(cast.dana).get("/availability/why", query_string=query)
        assert answer.status_code == 200, answer.text
        (blocking,) = answer.json["reasons"][0]["blocking"]
        assert (blocking["type"], blocking["state"]) == (kind, state)
        assert datetime.fromisoformat(blocking["start"]) == start
        assert kind == "Closure" or blocking["id"] == str(visit.id)
        for person in (cast.ana, None):
            public = api_client(person).get("/availability/why", query_string=query)
            assert "blocking" not in public.text
            assert "Funeral" not in public.text


def test_room(api_client: Api, cast: Cast) -> None:
    room, scan = create_room(cast.location), create_service(name="Scan")
    for person in (cast.dr_cho, cast.dr_diaz):
        create_schedule(cast.practitioner(person), cast.location, scan, room_id=room.id)
    rows = [cast.patient(cast.ana), cast.practitioner(cast.dr_diaz), cast.location, scan]
    create_appointment(*rows, cast.at(10), room_id=room.id)
    db.session.commit()
    assert why(api_client, cast, cast.at(10), service_id=scan.id) == ["room"]


def test_notice_and_horizon(api_client: Api, cast: Cast) -> None:
    cast.checkup.minimum_notice_minutes = 30 * 1440
    db.session.commit()
    assert why(api_client, cast, cast.at(9)) == ["notice"]
    assert why(api_client, cast, cast.at(9, weeks=-2)) == ["notice"]
    assert why(api_client, cast, cast.at(9, weeks=12)) == ["horizon"]


def test_not_offered(api_client: Api, cast: Cast) -> None:
    other = create_service(name="Something else")
    db.session.commit()
    assert why(api_client, cast, cast.at(9), service_id=other.id) == ["not-offered"]
    assert why(api_client, cast, cast.at(9, 10)) == ["not-offered"]
    cast.checkup.self_bookable = False
    db.session.commit()
    assert why(api_client, cast, cast.at(9)) == ["not-offered"]


def test_clock_change(api_client: Api, cast: Cast) -> None:
    """On 10 March 2030 the clocks in New York go from 2:00 to 3:00."""
    assert why(api_client, cast, "2030-03-10T02:30") == ["clock-change"]
    assert "clock-change" not in why(api_client, cast, "2030-03-10T03:30")


def test_a_wall_time_is_the_locations(api_client: Api, cast: Cast) -> None:
    assert why(api_client, cast, f"{cast.day()}T09:00") == []
    assert why(api_client, cast, f"{cast.day()}T08:00:00") == ["outside-hours"]


def test_several_rules_are_all_said(api_client: Api, cast: Cast) -> None:
    assert why(api_client, cast, cast.at(8, weeks=12)) == ["outside-hours", "horizon"]


def test_nobody_learns_who_or_what_is_in_the_way(api_client: Api, cast: Cast) -> None:
    rows = [cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup]
    create_appointment(*rows, cast.at(9), reason="Canary of a reason")
    create_closure(cast.at(10), cast.at(11), practitioner_id=cast.dr_cho.practitioner_id, reason="Canary of a closure")
    db.session.commit()
    for hour in (9, 10):
        query = {"service_id": cast.checkup_id, "practitioner_id": cast.dr_cho.practitioner_id}
        text = (
            api_client(None).get("/availability/why", query_string={**query, "start": cast.at(hour).isoformat()}).text
        )
        assert "free" in text
        assert not any(word in text for word in ("Ana", "Silva", "Canary", "Cho", "leave"))


def test_why_needs_a_service_and_a_practitioner_that_exist(api_client: Api, cast: Cast) -> None:
    query = {"service_id": cast.checkup_id, "practitioner_id": cast.ana.patient_id, "start": cast.at(9).isoformat()}
    assert api_client(None).get("/availability/why", query_string=query).status_code == 404
    query = {"service_id": cast.checkup_id, "practitioner_id": cast.dr_cho.practitioner_id, "start": "nine"}
    assert api_client(None).get("/availability/why", query_string=query).status_code == 422
