"""K1, K2, K5: every door leaves its event, with its change or not at all, and never a word of what it is about."""

import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from server.extensions import db
from server.models import Appointment, AuditEvent
from server.services import booking, visits
from server.services.transaction import atomic
from server.web.audit_words import in_words
from tests import on_record
from tests.cast import Cast, Person
from tests.clients import ApiClient, PageClient
from tests.factories import create_user

Api = Callable[[Person | None], ApiClient]
Pages = Callable[[Person | None], PageClient]
FROM = {"X-Request-ID": "k1-this-request"}


def of_request(request_id: str = FROM["X-Request-ID"]) -> list[AuditEvent]:
    found = select(AuditEvent).where(AuditEvent.request_id == request_id).order_by(AuditEvent.id)
    return list(db.session.scalars(found))


def book(cast: Cast, *, hour: int = 10, person: Person | None = None) -> Appointment:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,  # type: ignore[arg-type]
        start=cast.at(hour),
        actor=(person or cast.ana).actor,
    )


def test_K1_every_door_has_its_place_in_the_table(app: Flask) -> None:
    """A new route without an entry in tests/on_record.py fails here."""
    parts = (set(on_record.RECORDED), on_record.NOTHING_OF_PATIENTS, on_record.NAMES_OF_THEIR_OWN)
    assert on_record.doors(app.url_map) == set().union(*parts)
    assert sum(map(len, parts)) == len(set().union(*parts)), "a door has one place"


def test_K1_the_witness_notices_a_door_that_leaves_nothing(
    app: Flask, api_client: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: were locations to be on record, each test that reads them would fail."""
    missed = app.extensions["witness"].missed
    monkeypatch.setitem(on_record.RECORDED, "GET directory.Locations", {"locations.listed"})
    api_client(cast.ana).get("/locations")
    assert missed == ["GET directory.Locations answered 200 and left nothing"]
    missed.clear()


@pytest.mark.parametrize(
    ("who", "path", "action", "whose"),
    [
        ("ana", "/appointments/{visit}", "appointment.read", "ana"),
        ("carl", "/appointments/{visit}", "appointment.read", "ana"),
        ("dr_cho", "/appointments/{visit}", "appointment.read", "ana"),
        ("dana", "/appointments/{visit}/calendar.ics", "appointment.read", "ana"),
        ("dana", "/appointments?patient_id={ana}", "appointments.listed", "ana"),
        ("dana", "/appointments", "appointments.listed", None),
        ("ana", "/me", "account.read", None),
        ("dana", "/patients/{ana}/reminder-preferences", "patient.preferences-read", "ana"),
        ("dana", "/referrals?patient_id={ana}", "referrals.listed", "ana"),
        ("dana", "/waitlist", "waitlist.listed", None),
        ("dana", "/freed-times", "waitlist.stories-read", None),
        ("dana", "/stranded-appointments", "appointments.listed", None),
        ("dana", "/notifications?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", "messages.listed", None),
        ("ana", "/patients/{ana}/access-log", "access-log.read", "ana"),
        ("olga", "/audit-events?patient_id={ana}", "audit.searched", "ana"),
    ],
)
def test_K1_a_read_leaves_one_event_that_says_everything(
    api_client: Api, cast: Cast, who: str, path: str, action: str, whose: str | None
) -> None:
    person: Person = getattr(cast, who)
    path = path.format(visit=book(cast).id, ana=cast.ana.patient_id)
    assert api_client(person).get(path, headers=FROM).status_code == 200
    (event,) = of_request()
    assert (event.action, event.outcome, event.user_id) == (action, "success", person.user_id)
    assert event.patient_id == (getattr(cast, whose).patient_id if whose else None)
    assert (event.ip, event.role) == ("127.0.0.1", person.actor.role)
    assert event.created_at.tzinfo is not None


@pytest.mark.parametrize(
    ("who", "method", "path", "door"),
    [
        ("bea", "GET", "/appointments/{visit}", "appointments.AppointmentById"),
        ("bea", "POST", "/appointments/{visit}/cancel", "appointments.Cancel"),
        ("bea", "GET", "/patients/{ana}/access-log", "audit_events.AccessLog"),
        ("dr_diaz", "GET", "/appointments/{visit}", "appointments.AppointmentById"),
        ("dana", "GET", "/audit-events", "audit_events.AuditEvents"),
        ("ana", "POST", "/exports", "exports.Exports"),
    ],
)
def test_K1_a_refusal_is_on_record_once(
    api_client: Api, cast: Cast, who: str, method: str, path: str, door: str
) -> None:
    person, visit = getattr(cast, who), book(cast)
    body = {"kind": "patients"} if path == "/exports" else {}
    answer = api_client(person).request(
        method, path.format(visit=visit.id, ana=cast.ana.patient_id), body if method == "POST" else None, headers=FROM
    )
    assert answer.status_code in (403, 404)
    (event,) = of_request()
    assert (event.action, event.outcome, event.object_type) == ("request.refused", "refused", door)
    assert (event.user_id, event.ip) == (person.user_id, "127.0.0.1")
    assert event.object_id == (visit.id if "visit" in path else cast.ana.patient_id if "ana" in path else None)


def test_K1_a_refusal_that_a_key_remembers_is_on_record_once(api_client: Api, cast: Cast) -> None:
    visit, bea = book(cast), api_client(cast.bea)
    for again in (False, True):
        answer = bea.post(f"/appointments/{visit.id}/cancel", {}, headers={**FROM, "Idempotency-Key": "the-same"})
        assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (404, again)
    assert [(event.action, event.object_id) for event in of_request()] == [("request.refused", visit.id)]


def test_K1_refusals_on_pages_and_of_forged_tokens_are_on_record(
    app: Flask, api_client: Api, page_client: Pages, cast: Cast
) -> None:
    page_client(cast.ana).get("/admin/day", status=403)
    page_client(None).get("/visit-links/forged", status=404)
    client = api_client(None)
    client.headers["Authorization"] = "Bearer forged.forged.forged"
    assert client.get("/me").status_code == 401
    refused = select(AuditEvent).where(AuditEvent.action == "request.refused").order_by(AuditEvent.id)
    assert [(event.object_type, event.user_id) for event in db.session.scalars(refused)] == [
        ("admin.show_day", cast.ana.user_id),
        ("patient.show_visit_link", None),
        ("account.Me", None),
    ]
    # The control: somebody who only looks at what is public, and mistypes, fills nobody's record.
    assert api_client(None).get(f"/services/{uuid.uuid4()}").status_code == 404
    assert len(db.session.scalars(refused).all()) == 3


def test_K1_signing_in_and_out_is_on_record_and_so_is_failing_to(page_client: Pages, cast: Cast) -> None:
    ana = page_client(cast.ana)
    ana.get("/visits").post("/logout")
    stranger = page_client(None)
    stranger.get("/login").post("/login", email=cast.ana.email, password="not this one")
    accounts = select(AuditEvent).where(AuditEvent.action.like("account.signed-%")).order_by(AuditEvent.id)
    assert [
        (event.action, event.outcome, event.user_id, event.role, event.object_id)
        for event in db.session.scalars(accounts)
    ] == [
        ("account.signed-in", "success", cast.ana.user_id, "patient", cast.ana.user_id),
        ("account.signed-out", "success", cast.ana.user_id, "patient", cast.ana.user_id),
        ("account.signed-in", "refused", None, "visitor", cast.ana.user_id),
    ]


def test_K1_what_is_done_with_a_letters_link_says_from_where(page_client: Pages, cast: Cast, app: Flask) -> None:
    from server.services import links

    visit = book(cast)
    token = links.make("visit", visit.id, visit.sequence, secret_key=app.config["SECRET_KEY"])
    page_client(None).get(f"/visit-links/{token}", status=200)
    events = db.session.scalars(select(AuditEvent).where(AuditEvent.role == "link")).all()
    assert [(event.action, event.patient_id, event.ip) for event in events] == [
        ("appointment.read", cast.ana.patient_id, "127.0.0.1")
    ]
    assert len(events[0].request_id) >= 8


@pytest.mark.real_commits
def test_K2_a_change_that_cannot_go_on_record_does_not_happen(cast: Cast) -> None:
    visit = book(cast)
    visit_id, actor = visit.id, cast.ana.actor
    with db.engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE audit_events ADD CONSTRAINT none CHECK (action <> 'appointment.cancelled') NOT VALID")
        )
    try:
        with pytest.raises(DBAPIError):
            booking.cancel_appointment(visit_id, actor=actor)
        db.session.expire_all()
        assert db.session.get_one(Appointment, visit_id).status == "booked"
    finally:
        db.session.rollback()
        with db.engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit_events DROP CONSTRAINT none"))
    assert booking.cancel_appointment(visit_id, actor=actor).status == "cancelled", "the control"


@pytest.mark.real_commits
def test_K2_nothing_is_on_record_of_what_was_taken_back(cast: Cast) -> None:
    visit, actor = book(cast), cast.ana.actor
    before = db.session.scalar(text("SELECT count(*) FROM audit_events"))
    with suppress(ZeroDivisionError), atomic():
        visits.read_visit(visit.id, actor=actor)
        _ = 1 / 0
    assert db.session.scalar(text("SELECT count(*) FROM audit_events")) == before


def test_K5_no_event_has_a_word_of_what_it_is_about(api_client: Api, page_client: Pages, cast: Cast) -> None:
    canary = "Zebrafinch"
    ana, dana, olga = (api_client(person) for person in (cast.ana, cast.dana, cast.olga))
    visit = ana.post(
        "/appointments",
        {
            "service_id": str(cast.checkup_id),
            "practitioner_id": str(cast.dr_cho.practitioner_id),
            "start": cast.at(10).isoformat(),
            "reason": canary,
        },
    )
    assert visit.status_code == 201
    assert ana.post(f"/appointments/{visit.json['id']}/cancel", {"reason": canary}).status_code == 200
    assert dana.get(f"/appointments/{canary}").status_code == 404
    olga.post("/rooms", {"location_id": str(cast.location_id), "name": canary})
    desk = page_client(cast.dana)
    desk.get("/admin/book").post("/admin/book/find-patient", name=canary)
    stranger = page_client(None)
    stranger.get("/login").post("/login", email=f"{canary}@example.com", password=canary)
    stranger.get(f"/visit-links/{canary}", status=404)
    everything = db.session.scalars(text("SELECT e::text FROM audit_events e")).all()
    assert len(everything) > 8
    assert not [row for row in everything if canary.lower() in row.lower()]
    assert db.session.scalar(text("SELECT reason FROM appointments LIMIT 1")) == canary, "the control"


@pytest.mark.parametrize("name", ["good-one\r\nevil: 1", "\x1b[31mred-red-red", "x" * 65, "<b>bold</b>12", "short"])
def test_K5_a_request_id_that_somebody_made_up_to_be_read_is_not_taken(cast: Cast, app: Flask, name: str) -> None:
    from server.web.identity import _REQUEST_ID

    assert not _REQUEST_ID.fullmatch(name)
    assert _REQUEST_ID.fullmatch("a-good-one.1"), "the control"


def test_every_action_has_words(api_client: Api, cast: Cast) -> None:
    named = {action for actions in on_record.RECORDED.values() for action in actions if "{" not in action}
    from server.web.audit_words import WORDS

    unknown = {action for action in named if action not in WORDS}
    assert unknown <= {"letter-text.tested", "series.moved", "waitlist.offer-accepted", "waitlist.offer-declined"}
    assert in_words("import-patients.applied") == "applied an import of patients"
    assert in_words("export-messages.downloaded") == "fetched an export of messages"


# --- reading what is on record ---


def test_olga_and_an_auditor_search_and_nobody_else(api_client: Api, page_client: Pages, cast: Cast) -> None:
    visit = book(cast)
    vera = create_user("auditor", email="vera@example.com", name="Vera Wolf")
    auditor = Person(vera.id, vera.email)
    db.session.commit()
    api_client(cast.dr_cho).get(f"/appointments/{visit.id}")
    for person in (cast.olga, auditor):
        found = api_client(person).get(f"/audit-events?patient_id={cast.ana.patient_id}&action=appointment").json
        assert [item["action"] for item in found["items"]] == ["appointment.read", "appointment.booked"]
        assert found["items"][0]["user_id"] == str(cast.dr_cho.user_id)
    for person in (cast.ana, cast.dana, cast.dr_cho):
        assert api_client(person).get("/audit-events").status_code == 403
        page_client(person).get("/admin/audit", status=403)
    assert api_client(auditor).get(f"/appointments/{visit.id}").status_code == 404, "an auditor sees no visit"
    page = page_client(auditor)
    page.get("/admin/day", status=403)
    page.get("/after-sign-in")
    assert page.location.endswith("/admin/audit")
    page.get("/admin/audit", status=200)
    assert page.says("booked a visit")
    assert page.says("Dr Min Cho practitioner looked at a visit")


def test_olga_goes_through_pages_of_events_and_misses_none(api_client: Api, page_client: Pages, cast: Cast) -> None:
    for hour in (9, 10, 11, 12):
        book(cast, hour=hour)
    olga, seen, cursor = api_client(cast.olga), [], ""
    for _ in range(4):
        page = olga.get(f"/audit-events?action=appointment.booked&limit=1{cursor}").json
        seen += [item["object_id"] for item in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert (len(set(seen)), page["next_cursor"]) == (4, None)
    assert olga.get("/audit-events?action=appointment.booked&to=2020-01-01T00:00:00Z").json["items"] == []
    assert olga.get("/audit-events?action=x'; DROP").status_code == 422


def test_olga_finds_ana_by_name_without_it_in_an_address(page_client: Pages, cast: Cast) -> None:
    book(cast)
    book(cast, hour=11, person=cast.bea)
    page = page_client(cast.olga)
    page.get("/admin/audit", status=200).post("/admin/audit/find", name="Ana")
    assert page.says("Ana Silva patient, born")
    (link,) = [
        a.get("href") for a in page.all("a") if str(cast.ana.patient_id) in a.get("href") and a.text == "Ana Silva"
    ][:1]
    assert "Silva" not in link
    page.get(link, status=200)
    assert page.says("Only what has to do with the patient Ana Silva")
    assert not page.says("Bea Torres")
    page.get(f"/admin/audit?person={cast.bea.user_id}", status=200)
    assert page.says("Only what the account Bea Torres did")


def test_olgas_file_is_safe_in_a_spreadsheet(page_client: Pages, cast: Cast) -> None:
    cast.patient(cast.ana).given_name = "=1+1"
    db.session.commit()
    book(cast)
    page = page_client(cast.olga)
    page.get("/admin/audit/events.csv", status=200)
    assert page.response.headers["Content-Disposition"].startswith("attachment; filename=on-record-")
    assert "'=1+1 Silva" in page.text
    assert ",=1+1" not in page.text


def test_K4_ana_sees_who_read_her_record_and_that_is_what_is_on_record(
    api_client: Api, page_client: Pages, cast: Cast
) -> None:
    visit = book(cast)
    for person in (cast.dr_cho, cast.dana, cast.carl):
        assert api_client(person).get(f"/appointments/{visit.id}").status_code == 200
    api_client(cast.bea).get(f"/patients/{cast.ana.patient_id}/access-log")
    log = api_client(cast.ana).get(f"/patients/{cast.ana.patient_id}/access-log").json["items"]
    of_ana = select(AuditEvent.id).where(AuditEvent.patient_id == cast.ana.patient_id)
    on_file = {str(event_id) for event_id in db.session.scalars(of_ana)}
    assert {item["id"] for item in log} == on_file - {max(on_file)}, "all but this very reading"
    page = page_client(cast.ana)
    page.get("/visits", status=200)
    assert page.says("Who read my record")
    page.get(f"/access/{cast.ana.patient_id}", status=200)
    for sentence in (
        "Dr Min Cho (practitioner) looked at a visit",
        "Dana (front desk) looked at a visit",
        "Carl Silva (acting for the patient) looked at a visit",
        "Bea Torres (patient) tried to look, and was refused",
    ):
        assert page.says(sentence), sentence
    assert not page.says("You (patient)")
    page.get(f"/access/{cast.ana.patient_id}?all=1", status=200)
    assert page.says("You (patient) booked a visit")


def test_K4_nobody_reads_who_read_anas_record_but_those_who_may_read_it(page_client: Pages, cast: Cast) -> None:
    page_client(cast.bea).get(f"/access/{cast.ana.patient_id}", status=404)
    page_client(cast.dr_cho).get(f"/access/{cast.ana.patient_id}", status=404)
    page_client(cast.carl).get(f"/access/{cast.ana.patient_id}", status=200)
    page = page_client(None)
    page.get(f"/access/{cast.ana.patient_id}")
    assert "/login" in page.location


def test_K4_no_setting_turns_the_record_off() -> None:
    from dataclasses import fields

    from server.settings import Settings

    assert {field.name for field in fields(Settings) if "audit" in field.name} == {"audit_key", "audit_folder"}
