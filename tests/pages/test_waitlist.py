"""Waiting on the pages: join with wishes, see the offer, say yes or no, leave; the desk sees it all."""

from collections.abc import Callable
from datetime import time
from typing import Any

import pytest
from sqlalchemy import func, select, update

from server.extensions import db
from server.models import Appointment, ClinicSettings, WaitlistEntry, WaitlistOffer
from server.services import booking, offers, waitlist
from tests.cast import Cast, Person
from tests.clients import PageClient

Pages = Callable[[Person | None], PageClient]


@pytest.fixture(autouse=True)
def _day(cast: Cast) -> None:
    """Whatever hour it is, it is not a quiet one."""
    db.session.execute(update(ClinicSettings).values(quiet_from=time(0), quiet_until=time(0)))
    db.session.commit()


def book(cast: Cast, person: Person, hour: int = 10, **when: int) -> Appointment:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(hour, **when),
        actor=person.actor,
    )


def offer_to_ana(cast: Cast, **over: Any) -> Any:
    """She waits, and bea's ten o'clock becomes free; the id of the offer."""
    values = {"service_id": cast.checkup_id, **over}
    waitlist.join(**values, notice_minutes=0, actor=cast.ana.actor)
    booking.cancel_appointment(book(cast, cast.bea).id, actor=cast.dana.actor)
    offers.offer_freed_times()
    return db.session.scalars(select(WaitlistOffer.id)).one()


def test_ana_waits_for_something_earlier_than_her_visit(cast: Cast, page_client: Pages) -> None:
    visit = book(cast, cast.ana, weeks=3)
    page = page_client(cast.ana).get(f"/visits/{visit.id}")
    assert page.says("Tell me when something earlier opens")
    page.get(f"/visits/{visit.id}/waitlist", status=200)
    assert page.says("stays yours")
    page.post(
        f"/visits/{visit.id}/waitlist",
        weekday=2,
        from_time="09:00",
        until_time="12:00",
        practitioner_id=cast.dr_cho.practitioner_id,
        notice_minutes=720,
        status=302,
    )
    entry = db.session.scalars(select(WaitlistEntry)).one()
    assert (entry.appointment_id, entry.weekdays, entry.from_time, entry.notice_minutes) == (
        visit.id,
        [2],
        time(9),
        720,
    )
    page.get(page.location, status=200)
    assert page.says("You are on the list")
    assert page.says("You wait for something earlier")
    assert page.says("Dr Min Cho, anywhere, on Tue, 09:00–12:00, at least 12 hours ahead")
    assert page.get("/visits").says("You wait for something earlier")
    page.post(f"/waitlist/{entry.id}/leave", status=302)
    assert not page.get("/visits").says("You wait for something earlier")


def test_when_no_time_suits_bea_waits_without_a_visit(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.bea).get(f"/book/{cast.checkup_id}")
    assert page.says("No time suits?")
    page.get(f"/book/{cast.checkup_id}/waitlist", status=200)
    page.post(f"/book/{cast.checkup_id}/waitlist", patient_id=cast.bea.patient_id, status=302)
    page.get(page.location, status=200)
    assert page.says("You wait for a time")
    page.get(f"/book/{cast.checkup_id}/waitlist")
    page.post(f"/book/{cast.checkup_id}/waitlist", patient_id=cast.bea.patient_id, status=409)
    assert page.says("on the waitlist for this service already")


def test_carl_chooses_who_is_waiting(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.carl).get(f"/book/{cast.checkup_id}/waitlist", status=200)
    assert page.says("Ana Silva")
    page.post(f"/book/{cast.checkup_id}/waitlist", patient_id=cast.ana.patient_id, status=302)
    assert db.session.scalars(select(WaitlistEntry.patient_id)).one() == cast.ana.patient_id


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"from_time": "nine"}, "Write a time of the day"),
        ({"from_time": "09:00"}, "both times"),
        ({"until_on": "soon"}, "Write a day"),
        ({"until_on": "2020-01-01"}, "must not be before"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_rest_is_kept(
    cast: Cast, page_client: Pages, sent: dict[str, str], sentence: str
) -> None:
    page = page_client(cast.ana).get(f"/book/{cast.checkup_id}/waitlist")
    page.post(f"/book/{cast.checkup_id}/waitlist", patient_id=cast.ana.patient_id, weekday=5, **sent, status=422)
    assert page.says(sentence)
    checked = [field.get("value") for field in page.all("input") if field.get("checked") is not None]
    assert "5" in checked


def test_ana_sees_what_is_offered_what_it_replaces_and_until_when_and_says_yes(cast: Cast, page_client: Pages) -> None:
    later = book(cast, cast.ana, weeks=3)
    offer_id = offer_to_ana(cast, service_id=None, appointment_id=later.id)
    page = page_client(cast.ana).get("/visits")
    assert page.says("We offer you")
    page.get(f"/waitlist/offers/{offer_id}", status=200)
    kept, instead = "We keep this time for you until", "This visit stays yours until you say yes"
    for words in ("A time has become free", "10:00–10:30", kept, instead):
        assert page.says(words), words
    page.post(f"/waitlist/offers/{offer_id}/accept", status=302)
    assert page.location == f"/visits/{later.id}"
    page.get(page.location, status=200)
    assert page.says("The time is yours")
    assert db.session.get_one(Appointment, later.id, populate_existing=True).start == cast.at(10)
    page.post(f"/waitlist/offers/{offer_id}/accept", status=302)  # the button pressed twice
    assert page.location == f"/visits/{later.id}"
    assert page.get(f"/waitlist/offers/{offer_id}", status=200).says("This offer was accepted")


def test_ana_says_no_and_stays_on_the_list(cast: Cast, page_client: Pages) -> None:
    offer_id = offer_to_ana(cast)
    page = page_client(cast.ana).get(f"/waitlist/offers/{offer_id}")
    page.post(f"/waitlist/offers/{offer_id}/decline", status=302)
    assert page.get(page.location).says("You stay on the list")
    page.get(f"/waitlist/offers/{offer_id}", status=200)
    assert page.says("went on to others")
    page.post(f"/waitlist/offers/{offer_id}/accept", status=409)
    assert page.says("This offer was declined")


def test_opening_the_link_of_the_letter_answers_nothing(cast: Cast, page_client: Pages) -> None:
    offer_id = offer_to_ana(cast)
    page = page_client(cast.ana)
    for path in ("accept", "decline"):
        page.get(f"/waitlist/offers/{offer_id}/{path}", status=405)
    assert db.session.scalars(select(WaitlistOffer.status).execution_options(populate_existing=True)).one() == "open"


def test_an_offer_is_nobody_elses_to_open(cast: Cast, page_client: Pages) -> None:
    offer_id = offer_to_ana(cast)
    page_client(cast.bea).get(f"/waitlist/offers/{offer_id}", status=404)
    page_client(None).get(f"/waitlist/offers/{offer_id}", status=302)
    page_client(cast.carl).get(f"/waitlist/offers/{offer_id}", status=200)


def test_the_desk_sees_who_waits_the_stories_and_the_figures(cast: Cast, page_client: Pages) -> None:
    assert page_client(cast.dana).get("/admin/waitlist", status=200).says("Nobody waits")
    offer_id = offer_to_ana(cast)
    waitlist.join(service_id=cast.physio_id, actor=cast.bea.actor)
    page = page_client(cast.dana).get("/admin/waitlist", status=200)
    for words in ("Ana Silva", "Bea Torres", "Has no visit yet", "Being offered", "Asked", "published: 11 %"):
        assert page.says(words), words
    offers.accept_offer(offer_id, actor=cast.ana.actor)
    offers.offer_freed_times()
    page.get("/admin/waitlist", status=200)
    for words in ("Accepted", "100 %", "Taken", "published: 14"):
        assert page.says(words), words
    entry = db.session.scalars(select(WaitlistEntry.id).where(WaitlistEntry.status == "waiting")).one()
    page.post(f"/admin/waitlist/{entry}/leave", status=302)
    waiting = select(func.count()).select_from(WaitlistEntry).where(WaitlistEntry.status == "waiting")
    assert db.session.scalar(waiting) == 0


def test_the_desk_is_for_the_desk(cast: Cast, page_client: Pages) -> None:
    page_client(cast.ana).get("/admin/waitlist", status=403)
    page = page_client(cast.dr_cho).get("/admin", follow=True, status=200)
    assert not page.says("Waitlist")
    page.get("/admin/waitlist", status=403)


def test_dana_puts_bea_on_the_list_who_has_no_visit(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/waitlist", status=200)
    assert page.says("Put somebody on the list")
    page.get("/admin/waitlist/join", status=200)
    page.post("/admin/waitlist/join/find-patient", name="Torres", status=200)
    assert f"/admin/waitlist/join?patient={cast.bea.patient_id}" in page.text
    page.get(f"/admin/waitlist/join?patient={cast.bea.patient_id}&service={cast.checkup_id}", status=200)
    wishes = {
        "patient": cast.bea.patient_id,
        "service": cast.checkup_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "location_id": cast.location_id,
        "weekday": 3,
        "from_time": "13:00",
        "until_time": "16:00",
        "notice_minutes": 2880,
    }
    page.post("/admin/waitlist/join", **{**wishes, "until_time": "12:00"}, status=422)
    assert page.says("The later time of the day must be after the earlier one.")
    page.post("/admin/waitlist/join", **wishes, status=302)
    entry = db.session.scalars(select(WaitlistEntry)).one()
    assert (entry.patient_id, entry.appointment_id, entry.weekdays) == (cast.bea.patient_id, None, [3])
    page.get("/admin/waitlist", status=200)
    assert page.says("Bea Torres is on the waitlist.")
    assert page.says("Dr Min Cho, Riverside, on Wed, 13:00–16:00, at least 2 days ahead")
    page.get(f"/admin/waitlist/join?patient={cast.bea.patient_id}&service={cast.checkup_id}", status=200)
    page.post("/admin/waitlist/join", **wishes, status=409)
    assert page.says("on the waitlist for this service already")


def test_dana_lets_ana_wait_for_something_earlier_than_her_visit(cast: Cast, page_client: Pages) -> None:
    visit = book(cast, cast.ana, weeks=3)
    page = page_client(cast.dana).get(f"/admin/appointments/{visit.id}", status=200)
    assert f"/admin/waitlist/join?visit={visit.id}" in page.text
    page.get(f"/admin/waitlist/join?visit={visit.id}", status=200)
    assert page.says("Ana Silva keeps")
    page.post("/admin/waitlist/join", visit=visit.id, status=302)
    assert db.session.scalars(select(WaitlistEntry.appointment_id)).one() == visit.id


def test_joining_at_the_desk_is_for_the_desk(cast: Cast, page_client: Pages) -> None:
    page_client(cast.ana).get("/admin/waitlist/join", status=403)
    page_client(cast.dr_cho).get("/admin/waitlist/join", status=403)
    page = page_client(cast.dana).get("/admin/waitlist/join", status=200)
    page.post("/admin/waitlist/join", patient=cast.bea.patient_id, status=422)
    page.post("/admin/waitlist/join", patient=cast.checkup_id, status=404)
    assert page.says("The day"), "an error on a staff page keeps the way back to the staff's pages"
    assert "nav-wide" in page.text
