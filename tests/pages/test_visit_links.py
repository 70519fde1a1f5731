"""The links in letters: ana acts on one visit without signing in, and an old link says how it stands."""

from collections.abc import Callable

import pytest
from flask import Flask

from server.extensions import db
from server.models import Appointment
from server.services import booking, links
from tests.cast import Cast, Person
from tests.clients import PageClient

Pages = Callable[[Person | None], PageClient]


@pytest.fixture
def visit(cast: Cast) -> Appointment:
    return booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.ana.actor
    )


@pytest.fixture
def address(app: Flask, visit: Appointment) -> str:
    return f"/visit-links/{links.make('visit', visit.id, visit.sequence, secret_key=app.config['SECRET_KEY'])}"


def fresh(visit: Appointment) -> Appointment:
    return db.session.get_one(Appointment, visit.id, populate_existing=True)


def test_ana_confirms_with_one_press(page_client: Pages, visit: Appointment, address: str) -> None:
    page = page_client(None).get(address, status=200)
    assert page.says("09:00")
    assert not page.says("Check-up"), "whoever finds the letter need not know what the visit is about"
    assert fresh(visit).confirmed_at is None, "opening a link does nothing"
    page.post(f"{address}/confirm", status=302)
    page.get(address, status=200)
    assert page.says("You have told us that you will come")
    assert fresh(visit).confirmed_at is not None


def test_ana_cancels_and_the_link_says_so_from_then_on(page_client: Pages, visit: Appointment, address: str) -> None:
    page, on_the_phone = page_client(None).get(address, status=200), page_client(None).get(address, status=200)
    page.post(f"{address}/cancel", status=302)
    page.get(address, status=200)
    assert page.says("This visit is cancelled.")
    assert not page.says("I will come")
    on_the_phone.post(f"{address}/confirm", status=409)
    assert fresh(visit).status == "cancelled"


def test_a_link_of_a_visit_that_was_moved_changes_nothing(
    cast: Cast, page_client: Pages, visit: Appointment, address: str
) -> None:
    page = page_client(None).get(address, status=200)
    booking.reschedule_appointment(visit.id, start=cast.at(14), actor=cast.ana.actor)
    page.post(f"{address}/cancel", status=409)
    assert page.says("This visit was changed after your letter left.")
    assert page.says("14:00")
    assert fresh(visit).status == "booked"


def test_the_cut_off_binds_whoever_has_the_letter(
    cast: Cast, page_client: Pages, visit: Appointment, address: str
) -> None:
    cast.checkup.cancel_cutoff_minutes = 60 * 24 * 30
    db.session.commit()
    page = page_client(None).get(address, status=200)
    page.post(f"{address}/cancel", status=422)
    assert page.says("Please call the clinic.")
    assert fresh(visit).status == "booked"


@pytest.mark.parametrize("token", ["x", "WyJhIl0.bad", "%00", "a" * 3000])
def test_a_link_that_is_not_ours_is_not_found(page_client: Pages, cast: Cast, token: str) -> None:
    page_client(None).get(f"/visit-links/{token}", status=404)
    page_client(None).get(f"/visit-links/{token}")


def test_G6_a_link_is_for_one_purpose_and_not_to_be_guessed(app: Flask, page_client: Pages, visit: Appointment) -> None:
    key = app.config["SECRET_KEY"]
    for purpose, parts, secret in (
        ("unsubscribe", (visit.id, 0), key),
        ("visit", (visit.id, 0), "another secret"),
    ):
        token = links.make(purpose, *parts, secret_key=secret)
        page_client(None).get(f"/visit-links/{token}", status=404)


def test_no_more_reminders_with_one_press_also_from_the_mail_program(
    app: Flask, cast: Cast, page_client: Pages
) -> None:
    token = links.make("unsubscribe", cast.ana.patient_id, secret_key=app.config["SECRET_KEY"])
    page = page_client(None).get(f"/no-more-reminders/{token}", status=200)
    assert cast.patient(cast.ana).wants_email_reminders
    sent = app.test_client().post(f"/no-more-reminders/{token}", data={"List-Unsubscribe": "One-Click"})
    assert sent.status_code == 200, "RFC 8058: no session, no token of ours in the form"
    db.session.expire_all()
    assert not cast.patient(cast.ana).wants_email_reminders
    page.post(f"/no-more-reminders/{token}", status=200)
    assert page.says("We will not remind you by e-mail any more.")
