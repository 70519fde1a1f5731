"""Feeds over REST, and their addresses as a calendar program reads them."""

import re
from typing import Any

import pytest
from flask import Flask
from icalendar import Calendar

from tests.cast import Cast
from tests.clients import Client
from tests.resources.asking import Api, book


def ask(app: Flask, url: str, **headers: str) -> Any:
    path = re.sub(r"^https?://[^/]+", "", url)
    return Client(app, app.response_class).get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_ana_makes_a_feed_reads_it_and_revokes_it(app: Flask, api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    visit_id = book(api_client, cast)["id"]
    made = ana.post("/calendar-feeds", {})
    assert made.status_code == 201
    assert made.json["patient_id"] == str(cast.ana.patient_id)
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/calendars/[\w-]{22}\.ics", made.json["url"])
    read = ask(app, made.json["url"])
    assert (read.status_code, read.content_type) == (200, "text/calendar; charset=utf-8")
    assert read.headers["Cache-Control"] == "private, no-cache"
    assert "Set-Cookie" not in read.headers
    assert [event["UID"] for event in Calendar.from_ical(read.text).events] == [f"{visit_id}@frontdesk"]
    (listed,) = ana.get("/calendar-feeds").json["items"]
    assert "url" not in listed
    assert listed["last_read_at"]
    assert api_client(cast.bea).delete(f"/calendar-feeds/{listed['id']}").status_code == 404
    assert ana.delete(f"/calendar-feeds/{listed['id']}").status_code == 204
    assert ask(app, made.json["url"]).status_code == 404


def test_nothing_new_is_304_until_something_is(app: Flask, api_client: Api, cast: Cast) -> None:
    visit_id = book(api_client, cast)["id"]
    url = api_client(cast.ana).post("/calendar-feeds", {}).json["url"]
    first = ask(app, url)
    again = ask(app, url, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert api_client(cast.ana).post(f"/appointments/{visit_id}/cancel", {}).status_code == 200
    changed = ask(app, url, If_None_Match=first.headers["ETag"])
    assert (changed.status_code, "STATUS:CANCELLED" in changed.text) == (200, True)


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("carl", {"patient_id": "ana"}, 201),
        ("carl", {}, 422),
        ("bea", {"patient_id": "ana"}, 404),
        ("dana", {"patient_id": "ana"}, 404),
        ("dr_cho", {"practitioner_id": "dr_cho", "shows_names": True}, 201),
        ("dr_diaz", {"practitioner_id": "dr_cho"}, 404),
        ("ana", {"shows_names": True}, 422),
        ("ana", {"patient_id": "ana", "practitioner_id": "dr_cho"}, 422),
        ("ana", {"secret": "mine"}, 422),
    ],
)
def test_who_may_make_which_feed(api_client: Api, cast: Cast, who: str, body: dict[str, Any], status: int) -> None:
    ids = {"ana": cast.ana.patient_id, "dr_cho": cast.dr_cho.practitioner_id}
    sent = {name: str(ids[value]) if value in ids else value for name, value in body.items()}
    assert api_client(getattr(cast, who)).post("/calendar-feeds", sent).status_code == status


@pytest.mark.parametrize("secret", ["x", "%00", "a" * 3000, "../visits", "%F0%9F%98%80"])
def test_an_address_that_was_guessed_is_not_found(app: Flask, cast: Cast, secret: str) -> None:
    assert ask(app, f"/calendars/{secret}.ics").status_code == 404


def test_whoever_asks_too_often_waits(app: Flask, cast: Cast) -> None:
    answers = [ask(app, "/calendars/guess.ics").status_code for _ in range(121)]
    assert (set(answers[:120]), answers[120]) == ({404}, 429)
