"""The front desk books for somebody: finding or taking on the patient, free times, rules and their exceptions."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from server.extensions import db
from server.models import Appointment, AuditEvent, Patient
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import create_appointment

Pages = Callable[[Person | None], PageClient]


def wanted(cast: Cast, at: datetime, **over: Any) -> dict[str, Any]:
    """The fields of a booking of a check-up for bea with Dr Cho."""
    return {
        "location": cast.location_id,
        "practitioner": cast.dr_cho.practitioner_id,
        "service": cast.checkup_id,
        "patient": cast.bea.patient_id,
        "start": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        **over,
    }


def address(**fields: Any) -> str:
    return "/admin/book?" + "&".join(f"{name}={value}" for name, value in fields.items())


def booked() -> list[Appointment]:
    return list(db.session.scalars(select(Appointment)))


def book(page: PageClient, fields: dict[str, Any], *, status: int, **over: Any) -> PageClient:
    page.get(address(**fields), status=200)
    return page.post("/admin/book", status=status, **{**fields, **over})


def test_dana_clicks_free_time_finds_bea_and_books(cast: Cast, page_client: Pages) -> None:
    fields = wanted(cast, cast.at(11))
    del fields["patient"], fields["service"]
    page = page_client(cast.dana).get(address(**fields), status=200)
    page.post("/admin/book/find-patient", name="tor be", status=200, **fields)
    assert page.says("Bea Torres")
    assert not page.says("Ana Silva")
    link = next(a.get("href") for a in page.all("a") if f"patient={cast.bea.patient_id}" in a.get("href", ""))
    page.get(link, status=200)
    page.get(f"{link}&service={cast.checkup_id}", status=200)
    assert page.says("Bea Torres : Check-up with Dr Min Cho")
    page.post("/admin/book", reason="Her knee", status=302, **wanted(cast, cast.at(11)))
    page.get(page.location, status=200)
    assert page.says("Bea Torres, 11:00 : Booked.")
    assert page.says("11:00 to 11:30 Bea Torres")
    assert [visit.reason for visit in booked()] == ["Her knee"]


def test_a_name_never_stands_in_an_address(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get(address(location=cast.location_id), status=200)
    search = next(form for form in page.all("form") if form.get("role") == "search")
    assert search.get("method") == "post"


def test_nobody_of_that_name(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/book", status=200)
    for words in ("Zebedee", "\x00", "%", "_", "'" * 90, "x" * 5000, ""):
        page.post("/admin/book/find-patient", name=words, location=cast.location_id, status=200)
        assert not page.says("Bea Torres")


def test_dana_takes_on_nora_and_goes_on(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/book", status=200)
    page.post(
        "/admin/book/new-patient",
        location=cast.location_id,
        given_name="Nora",
        family_name="Lind",
        birth_date="1990-05-17",
        phone="+1 212 555 0199",
        email="",
        status=302,
    )
    page.get(page.location, status=200)
    assert page.says("Nora Lind")
    assert page.says("born 17 May 1990")
    nora = db.session.scalars(select(Patient).where(Patient.family_name == "Lind")).one()
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.created")).one()
    assert (event.patient_id, event.user_id) == (nora.id, cast.dana.user_id)
    assert nora.email is None


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("given_name", "", "Please fill this in."),
        ("family_name", "\u200b", "Please fill this in."),
        ("family_name", "x" * 101, "100 characters"),
        ("birth_date", "31.12.1990", "Not a valid date value."),
        ("birth_date", "2990-01-01", "This is not a date of birth."),
        ("birth_date", "1066-01-01", "This is not a date of birth."),
        ("email", "nora", "@-sign"),
        ("phone", "1" * 41, "40 characters"),
    ],
)
def test_a_new_patient_needs_a_name_and_a_date_of_birth(
    cast: Cast, page_client: Pages, field: str, value: str, sentence: str
) -> None:
    page = page_client(cast.dana).get("/admin/book")
    nora = {"given_name": "Nora", "family_name": "Lind", "birth_date": "1990-05-17", "phone": "", "email": ""}
    page.post("/admin/book/new-patient", location=cast.location_id, status=422, **{**nora, field: value})
    assert sentence in page.text
    assert db.session.scalar(select(func.count()).where(Patient.given_name == "Nora")) == 0


def test_a_rule_is_set_aside_with_a_reason_only(cast: Cast, page_client: Pages) -> None:
    early = wanted(cast, cast.at(7))
    page = page_client(cast.dana).get(address(**early), status=200)
    assert page.says("no opening hours")
    assert page.says("Book anyway")
    page.post("/admin/book", status=422, **early)
    assert page.says("no opening hours")
    page.post("/admin/book", status=422, anyway="1", override_reason=" ", **early)
    assert page.says("To book against the rules, say why.")
    assert page.says("Book anyway")
    page.post("/admin/book", status=302, anyway="1", override_reason="Dr Cho comes early for her", **early)
    page.get(page.location, status=200)
    assert page.says("against the rules")
    [visit] = booked()
    assert visit.override_reason == "Dr Cho comes early for her"


def test_a_taken_time_comes_with_others_to_press(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana)
    fields = wanted(cast, cast.at(11))
    page.get(address(**fields), status=200)
    create_appointment(cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(11))
    db.session.commit()
    page.post("/admin/book", status=409, reason="Her knee", **fields)
    assert page.says("Somebody else has this time.")
    assert not page.says("Book anyway")
    others = [button.get("value") for button in page.all("button") if button.get("name") == "instead"]
    assert others[0] == f"{cast.at(11, 30):%Y-%m-%dT%H:%M:%SZ}"
    assert len(others) == 3
    assert "Her knee" in page.text, "what was written stays"
    page.post("/admin/book", status=302, instead=others[0], **fields)
    assert cast.at(11, 30) in [visit.start for visit in booked()]


def test_bea_cannot_be_in_two_rooms(cast: Cast, page_client: Pages) -> None:
    create_appointment(
        cast.patient(cast.bea), cast.practitioner(cast.dr_diaz), cast.location, cast.checkup, cast.at(11)
    )
    db.session.commit()
    page = book(page_client(cast.dana), wanted(cast, cast.at(11)), status=409)
    assert page.says("already has a visit at that time")


def test_dana_books_with_whoever_is_free(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get(
        address(location=cast.location_id, service=cast.checkup_id, date=cast.day(), patient=cast.bea.patient_id),
        status=200,
    )
    links = [
        a.get("href") for a in page.all("a") if f"practitioner={cast.dr_diaz.practitioner_id}" in a.get("href", "")
    ]
    page.get(links[0], status=200)
    assert page.says("Bea Torres : Check-up with Dr Eva Diaz")


def test_a_time_on_the_wall_is_the_locations(cast: Cast, page_client: Pages) -> None:
    fields = wanted(cast, cast.at(11), start=f"{cast.day()}T11:00")
    book(page_client(cast.dana), fields, status=302)
    assert [visit.start for visit in booked()] == [cast.at(11)]


def test_a_time_that_the_clocks_skip_is_refused(cast: Cast, page_client: Pages) -> None:
    page_client(cast.dana).get(address(**wanted(cast, cast.at(9), start="2027-03-14T02:30")), status=422)


@pytest.mark.parametrize(
    "over",
    [
        {"location": "x"},
        {"practitioner": "00000000-0000-0000-0000-000000000000"},
        {"service": "%00"},
        {"patient": "00000000-0000-0000-0000-000000000000"},
        {"start": "yesterday"},
        {"start": "9999-12-31T23:59:59Z"},
        {"start": "0001-01-01T00:00:00-14:00"},
        {"date": "2026-13-01"},
    ],
)
def test_an_odd_address_is_answered_in_words(cast: Cast, page_client: Pages, over: dict[str, str]) -> None:
    page = page_client(cast.dana).get(address(**wanted(cast, cast.at(11), **over)))
    assert page.response.status_code in (404, 422)


def test_a_booking_without_a_patient_asks_for_one(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/book")
    page.post("/admin/book", status=422, **wanted(cast, cast.at(11), patient=""))
    assert page.says("Choose a patient, a practitioner, a service and a time.")
    page.post("/admin/book", status=422, **wanted(cast, cast.at(11), reason="x" * 501))
    assert booked() == []


def test_dr_cho_may_not_book(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dr_cho).get("/admin/book", status=403)
    page.get(f"/admin/day?location={cast.location_id}&date={cast.day()}", status=200)
    page.post("/admin/book", status=403, **wanted(cast, cast.at(11)))
    page.get(f"/admin/day?location={cast.location_id}&date={cast.day()}", status=200)
    page.post("/admin/book/find-patient", name="Bea", status=403)
    page.get(f"/admin/day?location={cast.location_id}&date={cast.day()}", status=200)
    page.post("/admin/book/new-patient", given_name="A", family_name="B", birth_date="1990-01-01", status=403)
    assert booked() == []
