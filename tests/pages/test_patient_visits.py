"""My visits: reading, moving and cancelling, for oneself and as a proxy."""

from collections.abc import Callable

from server.extensions import db
from server.models import Appointment
from server.services import booking
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import PASSWORD

Pages = Callable[[Person | None], PageClient]


def book(cast: Cast, hour: int = 10, *, person: Person | None = None, **when: int) -> Appointment:
    return booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(hour, **when),
        actor=(person or cast.ana).actor,
    )


def test_who_is_not_signed_in_comes_back_after_it(cast: Cast, page_client: Pages) -> None:
    path = f"/visits/{book(cast).id}"
    page = page_client(None).get(path, status=302)
    page.get(page.location, status=200)
    assert page.says("Please sign in")
    page.post("/login", email=cast.ana.email, password=PASSWORD, next=f"{path}?")
    assert page.location.rstrip("?") == path


def test_carl_sees_anas_visits_under_her_name_and_bea_none_of_them(cast: Cast, page_client: Pages) -> None:
    visit = book(cast)
    page = page_client(cast.carl).get("/visits", status=200)
    assert page.says("Ana Silva")
    assert page.says("10:00–10:30")
    page_client(cast.bea).get(f"/visits/{visit.id}", status=404)
    assert not page_client(cast.bea).get("/visits", status=200).says("10:00–10:30")


def test_ana_moves_her_visit_after_a_second_look(cast: Cast, page_client: Pages) -> None:
    visit = book(cast)
    page = page_client(cast.ana).get(f"/visits/{visit.id}/move", status=200)
    new = cast.at(15).isoformat()
    page.get(f"/visits/{visit.id}/move?start={new.replace('+', '%2B')}&with={cast.dr_diaz.practitioner_id}", status=200)
    assert page.says("Move it to this time?")
    assert page.says("with Dr Eva Diaz")
    page.post(f"/visits/{visit.id}/move", start=new, practitioner_id=cast.dr_diaz.practitioner_id)
    page.get(page.location, status=200)
    assert page.says("Your visit is moved")
    assert page.says("15:00–15:30")


def test_a_move_to_a_taken_time_offers_others_and_keeps_the_old_one(cast: Cast, page_client: Pages) -> None:
    visit = book(cast)
    book(cast, 15, person=cast.bea)
    page = page_client(cast.ana).get(f"/visits/{visit.id}/move")
    page.post(f"/visits/{visit.id}/move", start=cast.at(15).isoformat(), status=409)
    assert page.says("This time is taken")
    assert page.says("15:30")
    assert page.get(f"/visits/{visit.id}", status=200).says("10:00–10:30")


def test_ana_cancels_after_being_asked(cast: Cast, page_client: Pages) -> None:
    visit = book(cast)
    page = page_client(cast.ana).get(f"/visits/{visit.id}/cancel", status=200)
    assert page.says("Cancel this visit?")
    page.post(f"/visits/{visit.id}/cancel", reason="I am well again")
    page.get(page.location, status=200)
    assert page.says("Your visit is cancelled")
    page.post(f"/visits/{visit.id}/cancel", status=409)
    assert page.says("That is not possible any more")


def test_too_late_is_said_before_and_after_trying(cast: Cast, page_client: Pages) -> None:
    visit = book(cast)
    cast.checkup.cancel_cutoff_minutes = 60 * 24 * 30
    db.session.commit()
    page = page_client(cast.ana).get(f"/visits/{visit.id}", status=200)
    assert page.says("too late to move or cancel")
    assert page.says("+1 212 555 0100")
    page.get(f"/visits/{visit.id}/cancel", status=200)
    assert page.says("too late")
    page.get("/")
    page.post(f"/visits/{visit.id}/cancel", status=422)
    assert page.says("Please call the clinic")
    page.post(f"/visits/{visit.id}/move", start=cast.at(15).isoformat(), status=422)
    assert page.says("Please call the clinic")


def test_staff_may_open_these_pages_too(cast: Cast, page_client: Pages) -> None:
    visit = book(cast)
    page = page_client(cast.dana)
    for path in ("", "/move", "/cancel"):
        page.get(f"/visits/{visit.id}{path}", status=200)


def test_a_visit_goes_into_a_calendar(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.ana).get(f"/visits/{book(cast).id}/calendar.ics", status=200)
    assert page.response.mimetype == "text/calendar"
    assert "BEGIN:VEVENT" in page.text


def test_the_front_page_begins_with_the_next_visit(cast: Cast, page_client: Pages) -> None:
    book(cast)
    assert page_client(cast.ana).get("/").says("Your next visit")
    assert page_client(cast.carl).get("/").says("Next visit of Ana Silva")
    assert not page_client(cast.bea).get("/").says("next visit")
