"""Hours, leave and practitioners' own calendars over the API."""

from typing import Any

from server.extensions import db
from server.models import Location
from server.services import carrying_out
from server.utils import clock
from tests.cast import ZONE, Cast
from tests.resources.asking import Api, book


def tuesday(cast: Cast, **over: Any) -> dict[str, Any]:
    start, end = clock.day_bounds(cast.day(), ZONE)
    whose = {"practitioner_id": str(cast.dr_cho.practitioner_id)}
    return {**whose, "start": start.isoformat(), "end": end.isoformat(), **over}


def test_dana_plans_leave_saves_it_and_reads_how_far_it_is(api_client: Api, cast: Cast) -> None:
    visit = book(api_client, cast)
    dana = api_client(cast.dana)
    preview = dana.post("/closures", tuesday(cast, dry_run=True))
    assert preview.status_code == 200
    [proposal] = preview.json["appointments"]
    assert (proposal["appointment"]["id"], proposal["suggested"]) == (visit["id"], "move")
    best = proposal["proposals"][0]
    refused = dana.post("/closures", tuesday(cast))
    assert (refused.status_code, refused.json["type"], refused.json["missing"]) == (
        409,
        "plan-incomplete",
        [visit["id"]],
    )
    item = {"appointment_id": visit["id"], "action": "move", **{k: best[k] for k in ("start", "practitioner_id")}}
    made = dana.post("/closures", tuesday(cast, plan=[item], reason="Annual leave"))
    assert made.status_code == 201, made.text
    before = dana.get(made.headers["Location"])
    assert (before.json["planned"], before.json["done"], before.json["waiting"]) == (1, 0, 1)
    carrying_out.carry_out_due()
    after = dana.get(made.headers["Location"], headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json["done"], after.json["in_the_way"]) == (200, 1, [])
    assert api_client(cast.ana).get(f"/appointments/{visit['id']}").json["practitioner_id"] == best["practitioner_id"]


def test_changes_say_on_what_they_are_based(api_client: Api, cast: Cast) -> None:
    dana = api_client(cast.dana)
    made = dana.post("/closures", tuesday(cast))
    where = made.headers["Location"]
    assert dana.patch(where, {"reason": "Course"}).status_code == 428
    changed = dana.patch(where, {"reason": "Course"}, headers={"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.json["reason"]) == (200, "Course")
    assert dana.patch(where, {"reason": "x"}, headers={"If-Match": made.headers["ETag"]}).status_code == 412
    visit = book(api_client, cast, start=cast.at(9, weekday=3).isoformat())
    longer = {"end": clock.day_bounds(cast.day(weekday=3), ZONE)[1].isoformat()}
    preview = dana.post(f"{where}/preview", longer)
    assert [each["appointment"]["id"] for each in preview.json["appointments"]] == [visit["id"]]
    refused = dana.patch(where, longer, headers={"If-Match": "*"})
    assert refused.json["type"] == "plan-incomplete"
    assert dana.delete(where).status_code == 204
    assert dana.get(where).status_code == 404


def test_a_plan_is_read_strictly(api_client: Api, cast: Cast) -> None:
    dana, some_id = api_client(cast.dana), str(cast.ana.patient_id)
    for item in (
        {"appointment_id": some_id, "action": "move"},
        {"appointment_id": some_id, "action": "keep", "start": "2027-01-01T09:00:00Z"},
        {"appointment_id": some_id, "action": "forget"},
        {"action": "keep"},
    ):
        assert dana.post("/closures", tuesday(cast, plan=[item])).status_code == 422, item


def test_the_list_of_closures_in_pages(api_client: Api, cast: Cast) -> None:
    dana = api_client(cast.dana)
    ids = [dana.post("/closures", tuesday(cast, kind=kind)).json["id"] for kind in ("leave", "block", "holiday")]
    first = dana.get("/closures?limit=2")
    rest = dana.get(f"/closures?limit=2&cursor={first.json['next_cursor']}")
    assert [each["id"] for each in first.json["items"] + rest.json["items"]] == ids
    assert [each["kind"] for each in dana.get("/closures?kind=block").json["items"]] == ["block"]
    assert dana.get("/closures?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z").json["items"] == []
    assert api_client(cast.ana).get("/closures").status_code == 403
    assert api_client(cast.dr_cho).post("/closures", tuesday(cast)).status_code == 403


def test_hours_and_who_is_outside_of_them(api_client: Api, cast: Cast) -> None:
    dana = api_client(cast.dana)
    wanted = {
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "location_id": str(cast.location_id),
        "on": cast.day(weekday=6).isoformat(),
        "starts_at": "09:00",
        "ends_at": "12:00",
        "service_ids": [str(cast.checkup_id)],
    }
    made = dana.post("/schedules", wanted)
    assert (made.status_code, made.json["weekday"], made.json["valid_until"]) == (201, 6, wanted["on"])
    visit = book(api_client, cast, start=cast.at(11, weekday=6).isoformat())
    where = made.headers["Location"]
    assert dana.patch(where, {"ends_at": "10:00"}).status_code == 428
    changed = dana.patch(where, {"ends_at": "10:00"}, headers={"If-Match": made.headers["ETag"]})
    assert [each["id"] for each in changed.json["outside_hours"]] == [visit["id"]]
    stranded = dana.get("/stranded-appointments").json["items"]
    assert [(each["appointment"]["id"], each["cause"]) for each in stranded] == [(visit["id"], "hours")]
    assert dana.delete(where).json["outside_hours"] == []
    assert dana.get("/stranded-appointments").json["items"] == stranded
    for body in ({**wanted, "weekday": 6}, {**wanted, "starts_at": "9:00"}, {**wanted, "service_ids": []}):
        assert dana.post("/schedules", body).status_code == 422
    listed = dana.get(f"/schedules?practitioner_id={cast.dr_cho.practitioner_id}")
    assert [each["weekday"] for each in listed.json["items"]] == [1, 2, 3, 4, 5]


def test_holidays_over_the_api(api_client: Api, cast: Cast) -> None:
    dana, year = api_client(cast.dana), clock.today(ZONE).year + 1
    path = f"/closures/holidays?location_id={cast.location_id}&year={year}"
    assert dana.get(path).status_code == 422
    db.session.get_one(Location, cast.location_id).country = "US"
    db.session.commit()
    [first, *_] = dana.get(path).json["items"]
    assert (first["on"], first["name"]) == (f"{year}-01-01", "New Year's Day")
    body = {name: first[name] for name in ("start", "end", "location_id")}
    assert dana.post("/closures", {**body, "kind": "holiday", "reason": first["name"]}).status_code == 201
    assert dana.get(path).json["items"][0]["on"] != first["on"]


def test_an_external_calendars_address_is_never_told(api_client: Api, cast: Cast) -> None:
    path = f"/practitioners/{cast.dr_cho.practitioner_id}/external-calendar"
    cho = api_client(cast.dr_cho)
    empty = cho.get(path)
    assert (empty.json["host"], empty.headers["ETag"]) == (None, '"v0"')
    url = "https://calendar.example.com/private-0123/basic.ics"
    assert cho.request("PUT", path, {"url": url}).status_code == 428
    entered = cho.request("PUT", path, {"url": url}, headers={"If-Match": '"v0"'})
    assert (entered.status_code, entered.json["host"]) == (200, "calendar.example.com")
    assert "private-0123" not in entered.text + cho.get(path).text
    refused = cho.request("PUT", path, {"url": "file:///etc/passwd"}, headers={"If-Match": "*"})
    assert refused.status_code == 422
    assert "passwd" not in refused.text
    assert api_client(cast.dr_diaz).get(path).status_code == 403
    assert cho.delete(path).status_code == 204
    assert cho.delete(path).status_code == 404
