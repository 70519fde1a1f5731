"""Lists of appointments: what is visible to whom, filtered, in pages that lose and repeat nothing."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from server.extensions import db
from tests.cast import Cast
from tests.clients import ApiClient
from tests.counting import counted
from tests.factories import create_appointment, create_room
from tests.resources.asking import Api


@pytest.fixture
def week(cast: Cast) -> dict[str, str]:
    """Visits of ana and bea with both practitioners; the ids by name."""
    rows = {
        "ana_tuesday": (cast.ana, cast.dr_cho, cast.at(9), {}),
        "bea_tuesday": (cast.bea, cast.dr_diaz, cast.at(9), {}),
        "ana_wednesday": (cast.ana, cast.dr_diaz, cast.at(10, weekday=3), {}),
        "bea_cancelled": (cast.bea, cast.dr_cho, cast.at(11), {"status": "cancelled"}),
        "ana_fulfilled": (cast.ana, cast.dr_cho, cast.at(9, weeks=-1), {"status": "fulfilled"}),
    }
    ids = {}
    for name, (who, practitioner, start, over) in rows.items():
        patient, doctor = cast.patient(who), cast.practitioner(practitioner)
        ids[name] = str(create_appointment(patient, doctor, cast.location, cast.checkup, start, **over).id)
    db.session.commit()
    return ids


def listed(answer: Any, week: dict[str, str]) -> list[str]:
    assert answer.status_code == 200, answer.text
    names = {key: name for name, key in week.items()}
    return [names[item["id"]] for item in answer.json["items"]]


def test_everybody_sees_their_own_by_start(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    seen = {
        name: listed(api_client(getattr(cast, name)).get("/appointments"), week)
        for name in ("ana", "bea", "carl", "dr_cho", "dr_diaz", "dana", "olga")
    }
    ana = ["ana_fulfilled", "ana_tuesday", "ana_wednesday"]
    all_of_them = ["ana_fulfilled", "ana_tuesday", "bea_tuesday", "bea_cancelled", "ana_wednesday"]
    assert seen == {
        "ana": ana,
        "carl": ana,
        "bea": ["bea_tuesday", "bea_cancelled"],
        "dr_cho": ["ana_fulfilled", "ana_tuesday", "bea_cancelled"],
        "dr_diaz": ["bea_tuesday", "ana_wednesday"],
        "dana": all_of_them,
        "olga": all_of_them,
    }


def test_filters_narrow_what_is_visible_and_never_widen_it(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    dana, bea = api_client(cast.dana), api_client(cast.bea)
    assert listed(dana.get(f"/appointments?patient_id={cast.bea.patient_id}"), week) == ["bea_tuesday", "bea_cancelled"]
    of_diaz = dana.get(f"/appointments?practitioner_id={cast.dr_diaz.practitioner_id}")
    assert listed(of_diaz, week) == ["bea_tuesday", "ana_wednesday"]
    assert listed(dana.get("/appointments?status=cancelled"), week) == ["bea_cancelled"]
    assert listed(bea.get(f"/appointments?patient_id={cast.ana.patient_id}"), week) == []
    assert listed(bea.get(f"/appointments?practitioner_id={cast.dr_cho.practitioner_id}"), week) == ["bea_cancelled"]


def test_from_is_included_and_to_is_not(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    dana = api_client(cast.dana)
    query = {"from": cast.at(9).isoformat(), "to": cast.at(11).isoformat()}
    assert listed(dana.get("/appointments", query_string=query), week) == ["ana_tuesday", "bea_tuesday"]
    query["to"] = cast.at(11, 1).isoformat()
    assert "bea_cancelled" in listed(dana.get("/appointments", query_string=query), week)


def pages(client: ApiClient, *, limit: int, cursor: str | None = "") -> list[str]:
    found: list[str] = []
    while cursor is not None:
        answer = client.get(f"/appointments?limit={limit}" + (f"&cursor={cursor}" if cursor else "")).json
        found += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
    return found


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_pages_lose_and_repeat_nothing(api_client: Api, cast: Cast, week: dict[str, str], limit: int) -> None:
    dana = api_client(cast.dana)
    whole = [item["id"] for item in dana.get("/appointments").json["items"]]
    assert pages(dana, limit=limit) == whole


def test_a_visit_booked_meanwhile_disturbs_no_page(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    dana = api_client(cast.dana)
    whole, first = pages(dana, limit=200), dana.get("/appointments?limit=2").json
    create_appointment(cast.patient(cast.bea), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(8))
    db.session.commit()
    assert pages(dana, limit=2, cursor=first["next_cursor"]) == whole[2:]


def test_a_cursor_is_bound_to_its_reader_and_its_filters(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    dana = api_client(cast.dana)
    cursor = dana.get("/appointments?limit=1").json["next_cursor"]
    assert dana.get(f"/appointments?limit=200&cursor={cursor}").status_code == 200
    refused = [
        api_client(cast.olga).get(f"/appointments?cursor={cursor}"),
        dana.get(f"/appointments?status=booked&cursor={cursor}"),
        dana.get(f"/appointments?cursor={cursor[:-1]}"),
        dana.get(f"/appointments?cursor=x{cursor}"),
        dana.get("/appointments?cursor=%00"),
        dana.get("/appointments?cursor=eyJzdGFydCI6IjIwMjYifQ"),
        dana.get(f"/appointments?cursor={cursor.rpartition('.')[0]}.AAAA"),
    ]
    assert [answer.status_code for answer in refused] == [400] * len(refused)
    assert {answer.mimetype for answer in refused} == {"application/problem+json"}


def test_J4_a_cursor_names_nobody(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    cursor = api_client(cast.dana).get("/appointments?limit=1").json["next_cursor"].rpartition(".")[0]
    plain = base64.urlsafe_b64decode(cursor + "==")
    assert not any(word in plain for word in (b"ana", b"Ana", b"Silva", str(cast.ana.patient_id).encode()))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=two", "limit"),
        ("limit=1&limit=2", "limit"),
        ("patient_id=ana", "patient_id"),
        ("status=free", "status"),
        ("from=2026-12-01", "from"),
        ("to=yesterday", "to"),
        ("sort=-start", "sort"),
        ("cursor=" + "x" * 501, "cursor"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_query_that_is_not_understood_is_refused(api_client: Api, cast: Cast, query: str, field: str) -> None:
    answer = api_client(cast.dana).get(f"/appointments?{query}")
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])


def test_a_list_asks_as_often_for_forty_as_for_four(api_client: Api, cast: Cast, week: dict[str, str]) -> None:
    dana = api_client(cast.dana)
    with counted() as few:
        dana.get("/appointments?limit=4")
    room = create_room(cast.location)
    for step in range(35):
        start = cast.at(9, weeks=2) + timedelta(minutes=30 * step)
        rows = [cast.patient(cast.bea), cast.practitioner(cast.dr_diaz), cast.location, cast.checkup]
        create_appointment(*rows, start, room_id=room.id)
    db.session.commit()
    with counted() as many:
        answer = dana.get("/appointments?limit=200")
    assert len(answer.json["items"]) == 40
    assert len(few) == len(many) == 3  # who asks, the list, the record of it
