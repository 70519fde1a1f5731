"""Anybody reads what the clinic offers, from a cache that olga's changes reach at once."""

from typing import Any

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import AuditEvent
from tests.cast import Cast, Person
from tests.counting import counted
from tests.factories import create_location, create_practitioner, create_schedule, create_service
from tests.resources.asking import Api


def names(answer: Any) -> list[str]:
    return [item["name"] for item in answer.json["items"]]


def test_a_visitor_reads_locations_services_and_practitioners(api_client: Api, cast: Cast) -> None:
    visitor = api_client(None)
    assert names(visitor.get("/locations")) == ["Riverside"]
    assert names(visitor.get("/services")) == ["Check-up", "Physiotherapy"]
    assert names(visitor.get("/practitioners")) == ["Dr Eva Diaz", "Dr Min Cho"]
    assert visitor.get(f"/locations/{cast.location_id}").json["time_zone"] == "America/New_York"
    assert visitor.get(f"/services/{cast.physio_id}").json["buffer_after_minutes"] == 10
    assert visitor.get(f"/practitioners/{cast.dr_cho.practitioner_id}").json["languages"] == ["en"]


def test_practitioners_of_a_service_a_location_or_a_language(api_client: Api, cast: Cast) -> None:
    uptown, vaccination = create_location(name="Uptown"), create_service(name="Vaccination")
    vet = create_practitioner(name="Dr Ida Vet", languages=["en", "pt"])
    create_schedule(vet, uptown, vaccination)
    db.session.commit()
    visitor = api_client(None)
    assert names(visitor.get(f"/practitioners?service_id={vaccination.id}")) == ["Dr Ida Vet"]
    assert names(visitor.get(f"/practitioners?location_id={cast.location_id}")) == ["Dr Eva Diaz", "Dr Min Cho"]
    assert names(visitor.get("/practitioners?language=pt")) == ["Dr Ida Vet"]
    assert names(visitor.get(f"/practitioners?service_id={cast.checkup_id}&language=pt")) == []


@pytest.mark.parametrize("path", ["/locations", "/services", "/practitioners"])
def test_long_lists_come_in_pages_that_lose_and_repeat_nothing(api_client: Api, cast: Cast, path: str) -> None:
    for number in range(5):
        create_location(name=f"Location of pages {number}")
        create_service(name=f"Service of pages {number}")
        create_practitioner(name="Dr Same Name")
    db.session.commit()
    visitor = api_client(None)
    whole = visitor.get(path).json["items"]
    pages, cursor = [], ""
    while True:
        page = visitor.get(f"{path}?limit=2{cursor}").json
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        assert len(page["items"]) == 2
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == whole
    assert len(whole) >= 6


def test_a_cursor_belongs_to_its_list(api_client: Api, cast: Cast) -> None:
    cursor = api_client(None).get("/services?limit=1").json["next_cursor"]
    assert api_client(None).get(f"/practitioners?limit=1&cursor={cursor}").status_code == 400
    assert api_client(None).get(f"/services?limit=1&cursor={cursor}x").status_code == 400


@pytest.mark.parametrize("path", ["/locations", "/services", "/practitioners"])
def test_the_directory_may_be_kept_and_is_not_sent_twice(api_client: Api, cast: Cast, path: str) -> None:
    first = api_client(None).get(path)
    assert first.headers["Cache-Control"].startswith("public")
    again = api_client(None).get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    assert api_client(None).get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_one_service_is_not_sent_twice_either(api_client: Api, cast: Cast) -> None:
    path = f"/services/{cast.checkup_id}"
    first = api_client(None).get(path)
    assert api_client(None).get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_the_second_reader_is_served_from_the_cache(api_client: Api, cast: Cast) -> None:
    first = api_client(None).get("/services")
    with counted() as statements:
        second = api_client(None).get("/services")
    assert (statements, second.get_data()) == ([], first.get_data())


@pytest.mark.parametrize("path", ["/locations/{}", "/services/{}", "/practitioners/{}"])
def test_what_is_not_there_is_not_found(api_client: Api, cast: Cast, path: str) -> None:
    answer = api_client(None).get(path.format("00000000-0000-0000-0000-000000000000"))
    assert (answer.status_code, answer.json["type"]) == (404, "not-found")


def test_what_is_no_longer_offered_is_gone(api_client: Api, cast: Cast) -> None:
    cast.physio.is_active = False
    db.session.commit()
    assert names(api_client(None).get("/services")) == ["Check-up"]
    assert api_client(None).get(f"/services/{cast.physio_id}").status_code == 404


# --- olga changes a service ---


def change(api_client: Api, who: Person, cast: Cast, changes: dict[str, Any], if_match: str | None = '"v1"') -> Any:
    headers = {"If-Match": if_match} if if_match else {}
    return api_client(who).patch(f"/services/{cast.checkup_id}", changes, headers=headers)


def test_olgas_change_is_seen_at_once_by_everybody(api_client: Api, cast: Cast) -> None:
    before = api_client(None).get("/services")
    changed = change(api_client, cast.olga, cast, {"name": "Long check-up", "duration_minutes": 60})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"v2"')
    after = api_client(None).get("/services", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert names(after) == ["Long check-up", "Physiotherapy"]
    one = api_client(None).get(f"/services/{cast.checkup_id}")
    assert (one.headers["ETag"], one.json["duration_minutes"]) == ('"v2"', 60)
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "service.changed")).one()
    assert event.user_id == cast.olga.user_id


def test_olga_says_which_version_she_read(api_client: Api, cast: Cast) -> None:
    missing = change(api_client, cast.olga, cast, {"name": "x"}, if_match=None)
    assert (missing.status_code, missing.json["type"]) == (428, "precondition-required")
    assert change(api_client, cast.olga, cast, {"name": "First"}).status_code == 200
    late = change(api_client, cast.olga, cast, {"name": "Second"})
    assert (late.status_code, late.json["type"]) == (412, "precondition-failed")
    assert change(api_client, cast.olga, cast, {"name": "x"}, if_match="v2").status_code == 412
    assert change(api_client, cast.olga, cast, {"name": "Whatever it was"}, if_match="*").status_code == 200
    assert cast.checkup.name == "Whatever it was"


def test_only_administrators_change_services(api_client: Api, cast: Cast) -> None:
    for person in (cast.ana, cast.carl, cast.dr_cho, cast.dana):
        assert change(api_client, person, cast, {"name": "Mine"}).status_code == 403
    assert api_client(None).patch(f"/services/{cast.checkup_id}", {"name": "Mine"}).status_code == 401


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"duration_minutes": 0}, "duration_minutes"),
        ({"duration_minutes": 1441}, "duration_minutes"),
        ({"duration_minutes": "30"}, "duration_minutes"),
        ({"duration_minutes": 30.5}, "duration_minutes"),
        ({"duration_minutes": True}, "duration_minutes"),
        ({"duration_minutes": 10**400}, "duration_minutes"),
        ({"self_bookable": 1}, "self_bookable"),
        ({"self_bookable": "yes"}, "self_bookable"),
        ({"name": ""}, "name"),
        ({"name": "\u202e \x00"}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "Physiotherapy"}, "service"),
        ({"horizon_days": 1, "minimum_notice_minutes": 1440}, "service"),
        ({"version": 7}, "version"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, "id"),
        ({"is_active": False}, "is_active"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_with_a_change_is_said_and_nothing_is_changed(
    api_client: Api, cast: Cast, changes: dict[str, Any], field: str
) -> None:
    answer = change(api_client, cast.olga, cast, changes)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert (cast.checkup.name, cast.checkup.version) == ("Check-up", 1)


def test_two_changes_at_once_and_one_is_lost_to_nobody(api_client: Api, cast: Cast) -> None:
    statuses = [change(api_client, cast.olga, cast, {"description": text}).status_code for text in ("one", "two")]
    assert statuses == [200, 412]
    assert cast.checkup.description == "one"
