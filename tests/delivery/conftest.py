"""The mail server and what the tests of letters do with it."""

import smtplib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from server.services import booking
from tests import postman as postmen
from tests.cast import Cast, Person
from tests.postman import Postman

REAL_CONNECT = smtplib.SMTP.connect


@pytest.fixture
def mail(app: Flask, context: None, _no_accidental_mail: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postman]:
    monkeypatch.setattr(smtplib.SMTP, "connect", REAL_CONNECT)
    with postmen.running() as postman:
        postmen.use(app, postman, monkeypatch)
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
