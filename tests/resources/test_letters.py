"""Appearance and own words over REST: read, changed with the version that was read, taken back."""

from base64 import b64encode
from typing import Any

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import AuditEvent
from tests.cast import Cast
from tests.pictures import SVG, picture
from tests.resources.asking import Api

LOOK, TEXT = "/settings/appearance", "/letters/appointment-booked/texts/de"


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def test_olga_changes_how_the_clinic_appears(api_client: Api, cast: Cast) -> None:
    olga = api_client(cast.olga)
    before = olga.get(LOOK)
    assert before.json == {
        "clinic_name": "",
        "shown_name": "Frontdesk",
        "accent_colour": "",
        "signature": "",
        "logo_url": None,
    }
    changes = {"clinic_name": "Harbour Health", "logo": base64(picture()), "signature": "1 Quay Street\nHarbour"}
    assert olga.patch(LOOK, changes).status_code == 428
    changed = olga.patch(LOOK, changes, headers={"If-Match": before.headers["ETag"]})
    assert changed.status_code == 200
    assert (changed.json["shown_name"], changed.json["signature"]) == ("Harbour Health", "1 Quay Street\nHarbour")
    assert olga.patch(LOOK, changes, headers={"If-Match": before.headers["ETag"]}).status_code == 412
    logo = api_client(None)._client.get(changed.json["logo_url"])
    assert (logo.status_code, logo.mimetype) == (200, "image/png")
    assert olga.get(LOOK, headers={"If-None-Match": changed.headers["ETag"]}).status_code == 304
    gone = olga.patch(LOOK, {"logo": None}, headers={"If-Match": changed.headers["ETag"]})
    assert (gone.json["logo_url"], gone.json["clinic_name"]) == (None, "Harbour Health")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logo", base64(SVG)),
        ("logo", "not base64!"),
        ("logo", "é"),
        ("accent_colour", "#ffcc00"),
        ("accent_colour", "red"),
        ("clinic_name", "x" * 81),
        ("colour", "#0b5394"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    api_client: Api, cast: Cast, field: str, value: Any
) -> None:
    answer = api_client(cast.olga).patch(LOOK, {field: value}, headers={"If-Match": "*"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])


def test_olga_writes_own_words_and_takes_them_back(api_client: Api, cast: Cast) -> None:
    olga = api_client(cast.olga)
    before = olga.get(TEXT)
    assert (before.json["is_own"], before.headers["ETag"]) == (False, '"v0"')
    body = {"subject": "Bis {day}", "introduction": "Zeile\nfür Zeile"}
    assert olga.request("PUT", TEXT, body).status_code == 428
    written = olga.request("PUT", TEXT, body, headers={"If-Match": '"v0"'})
    assert written.json == {**body, "closing": "", "is_own": True}
    assert olga.request("PUT", TEXT, body, headers={"If-Match": '"v0"'}).status_code == 412
    listed = {letter["name"]: letter for letter in olga.get("/letters").json["items"]}
    assert listed["appointment-booked"]["languages"] == ["de"]
    assert "day" in listed["appointment-booked"]["placeholders"]
    assert olga.delete(TEXT, headers={"If-Match": '"v0"'}).status_code == 412
    assert olga.delete(TEXT).status_code == 204
    assert olga.get(TEXT).json["is_own"] is False
    actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.object_type == "LetterText")).all()
    assert sorted(actions) == [
        "letter-text.introduction-changed",
        "letter-text.introduction-reset",
        "letter-text.subject-changed",
        "letter-text.subject-reset",
    ]


def test_a_placeholder_that_does_not_exist_is_named(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.olga).request("PUT", TEXT, {"closing": "{dya}"}, headers={"If-Match": '"v0"'})
    assert answer.status_code == 422
    assert answer.json["errors"]["closing"][0].startswith("There is no {dya} in this letter.")


def test_everybody_reads_how_the_clinic_appears_and_only_olga_changes_it(api_client: Api, cast: Cast) -> None:
    for person in (cast.ana, cast.dr_cho, cast.dana):
        client = api_client(person)
        assert client.get(LOOK).status_code == 200
        assert client.patch(LOOK, {"signature": "Mine"}, headers={"If-Match": "*"}).status_code == 403
        for answer in (
            client.get("/letters"),
            client.get(TEXT),
            client.request("PUT", TEXT, {"subject": "Mine"}, headers={"If-Match": "*"}),
            client.delete(TEXT),
        ):
            assert answer.status_code == 403
    assert api_client(None).get(LOOK).status_code == 401
    assert api_client(cast.olga).get("/letters/appointment-lost/texts/de").status_code == 404
    assert api_client(cast.olga).get("/letters/appointment-booked/texts/tlh").status_code == 404
