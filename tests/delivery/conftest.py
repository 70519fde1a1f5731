"""The mail server and what the tests of letters do with it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from server.extensions import db
from server.models import Appointment
from server.services import booking, reminders
from tests import postman as postmen
from tests.cast import Cast, Person
from tests.delivery.phone import TOKEN, Phone, Twilio, send_texts
from tests.gateway import Gateway
from tests.postman import Postman


@pytest.fixture
def mail(app: Flask, context: None, _no_accidental_mail: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postman]:
    with postmen.of(app, monkeypatch) as postman:
        yield postman


@pytest.fixture
def set_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Other settings, for this test."""

    def set_up(**settings: Any) -> None:
        monkeypatch.setitem(app.config, "FRONTDESK", replace(app.config["FRONTDESK"], **settings))

    return set_up


@pytest.fixture
def booked(cast: Cast) -> Callable[..., Any]:
    def booked(person: Person, hour: int = 9) -> Any:
        return booking.book_appointment(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            actor=person.actor,
        )

    return booked


@pytest.fixture
def gateway() -> Any:
    running = Gateway()
    yield running
    running.close()


@pytest.fixture
def phone(app: Flask, context: None, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Phone:
    settings = replace(
        app.config["FRONTDESK"], sms_url=gateway.url, sms_token=TOKEN, base_url="https://clinic.example.org"
    )
    monkeypatch.setitem(app.config, "FRONTDESK", settings)
    return Phone(app)


@pytest.fixture
def remind(cast: Cast, phone: Phone) -> Callable[..., Appointment]:
    """Somebody books, and the text about it leaves."""
    cast.location.country = "US"
    for person in (cast.ana, cast.bea):
        cast.patient(person).phone = "(212) 555-0141"
    db.session.commit()
    reminders.create_rule({"minutes_before": 1440, "channel": "sms", "asks_to_confirm": True}, actor=cast.olga.actor)

    def remind(person: Person, hour: int = 9, **over: Any) -> Appointment:
        visit = booking.book_appointment(
            service_id=over.pop("service_id", cast.checkup_id),
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            actor=person.actor,
            **over,
        )
        send_texts()
        return visit

    return remind


@pytest.fixture
def twilio(app: Flask, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> Twilio:
    monkeypatch.setitem(app.config, "FRONTDESK", replace(app.config["FRONTDESK"], sms_gateway="twilio"))
    return Twilio(app)
