"""The links in letters: ana acts on one visit without signing in, and an old link says how it stands."""

from collections.abc import Callable
from datetime import time
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import select, update

from server.extensions import db
from server.models import Appointment, ClinicSettings, WaitlistEntry, WaitlistOffer
from server.services import booking, links, offers, steps, waitlist
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
    assert page.says("This visit was moved after your letter left.")
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


def test_ana_moves_it_without_signing_in(cast: Cast, page_client: Pages, visit: Appointment, address: str) -> None:
    page = page_client(None).get(address, status=200)
    assert page.says("Move it")
    page.get(f"{address}/move", status=200)
    assert not page.says("Check-up")
    chosen = f"{address}/move?start={quote(cast.at(14).isoformat())}"
    on_the_phone = page_client(None).get(chosen, status=200)
    page.get(chosen, status=200)
    assert page.says("Move it to this time?")
    assert fresh(visit).start == cast.at(9), "opening a link does nothing"
    page.post(f"{address}/move", start=cast.at(14).isoformat(), status=302)
    assert fresh(visit).start == cast.at(14)
    page.get(address, status=200)
    assert page.says("This visit was moved after your letter left.")
    on_the_phone.post(f"{address}/move", start=cast.at(15).isoformat(), status=409)
    assert fresh(visit).start == cast.at(14)


def test_a_time_that_is_taken_by_then_is_not_moved_to(
    cast: Cast, page_client: Pages, visit: Appointment, address: str
) -> None:
    page = page_client(None).get(f"{address}/move?start={quote(cast.at(14).isoformat())}", status=200)
    booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(14), actor=cast.bea.actor
    )
    page.post(f"{address}/move", start=cast.at(14).isoformat(), status=409)
    assert page.says("Somebody else has this time.")
    assert fresh(visit).start == cast.at(9)


@pytest.mark.parametrize(
    ("answer", "says"),
    [(steps.approve_request, "Your request was approved"), (steps.decline_request, "Your request was declined.")],
)
def test_the_link_of_a_request_says_what_was_answered(
    app: Flask, cast: Cast, page_client: Pages, answer: Callable[..., Appointment], says: str
) -> None:
    cast.checkup.needs_approval = True
    db.session.commit()
    asked = booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.ana.actor
    )
    token = links.make("visit", asked.id, asked.sequence, secret_key=app.config["SECRET_KEY"])
    page = page_client(None).get(f"/visit-links/{token}", status=200)
    answer(asked.id, actor=cast.dana.actor)
    assert page.get(f"/visit-links/{token}", status=200).says(says)


@pytest.fixture
def offer_address(app: Flask, cast: Cast) -> str:
    """bea's ten o'clock with dr_diaz becomes free, and is offered to ana."""
    waitlist.join(service_id=cast.checkup_id, notice_minutes=0, actor=cast.ana.actor)
    taken = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_diaz.practitioner_id,
        start=cast.at(10),
        actor=cast.bea.actor,
    )
    booking.cancel_appointment(taken.id, actor=cast.dana.actor)
    db.session.execute(update(ClinicSettings).values(quiet_from=time(0), quiet_until=time(0)))
    assert offers.offer_freed_times() == 1
    offer_id = db.session.scalars(select(WaitlistOffer.id)).one()
    return f"/offer-links/{links.make('offer', offer_id, secret_key=app.config['SECRET_KEY'])}"


def visits_of_ana(cast: Cast) -> list[str]:
    return list(db.session.scalars(select(Appointment.status).where(Appointment.patient_id == cast.ana.patient_id)))


def test_ana_takes_an_offer_without_signing_in_once(cast: Cast, page_client: Pages, offer_address: str) -> None:
    page = page_client(None).get(offer_address, status=200)
    on_the_phone = page_client(None).get(offer_address, status=200)
    assert page.says("10:00")
    assert not page.says("Check-up")
    assert visits_of_ana(cast) == []
    page.post(f"{offer_address}/accept", status=302)
    assert visits_of_ana(cast) == ["booked"]
    assert page.get(offer_address, status=200).says("This offer was accepted.")
    on_the_phone.post(f"{offer_address}/decline", status=409)
    assert visits_of_ana(cast) == ["booked"]


def test_ana_says_no_and_then_leaves_the_list(cast: Cast, page_client: Pages, offer_address: str) -> None:
    page = page_client(None).get(offer_address, status=200)
    page.post(f"{offer_address}/decline", status=302)
    assert page.get(offer_address, status=200).says("This offer was declined")
    page.post(f"{offer_address}/leave", status=302)
    assert db.session.scalars(select(WaitlistEntry.status)).one() == "left"


@pytest.mark.parametrize("path", ["accept", "decline", "leave"])
def test_no_link_of_an_offer_acts_by_being_opened(page_client: Pages, offer_address: str, path: str) -> None:
    page_client(None).get(f"{offer_address}/{path}", status=405)
    assert db.session.scalars(select(WaitlistOffer.status)).one() == "open"


def test_a_link_for_one_purpose_serves_no_other(page_client: Pages, address: str, offer_address: str) -> None:
    page_client(None).get(offer_address.replace("offer-links", "visit-links"), status=404)
    page_client(None).get(address.replace("visit-links", "offer-links"), status=404)
