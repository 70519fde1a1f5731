"""One visit in the hands of the staff: its steps, undo, moving, cancelling, and two people at once."""

import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import pytest

from server.extensions import db
from server.models import Appointment
from server.services import booking
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import create_appointment

Pages = Callable[[Person | None], PageClient]


@pytest.fixture
def visit(cast: Cast) -> UUID:
    """Ana's check-up with Dr Cho at ten."""
    booked = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(10),
        patient_id=cast.ana.patient_id,
        reason="A cough that stays",
        actor=cast.ana.actor,
    )
    return booked.id


def status_of(visit: UUID) -> str:
    return db.session.get_one(Appointment, visit, populate_existing=True).status


def page_of(visit: UUID) -> str:
    return f"/admin/appointments/{visit}"


def version_on(page: PageClient) -> str:
    found = re.search(r'name="if_version" value="(\d+)"', page.text)
    assert found is not None
    return found[1]


def take(page: PageClient, visit: UUID, step: str) -> PageClient:
    """Open the visit, press the button, and come to where that leads."""
    page.get(page_of(visit), status=200)
    page.post(f"{page_of(visit)}/{step}", if_version=version_on(page), status=302)
    return page.get(page.location, status=200)


def test_dana_reads_who_comes_why_and_what_became_of_it(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = take(page_client(cast.dana), visit, "confirm")
    page.get(page_of(visit), status=200)
    for words in ("Ana Silva", "1 January 1980", "ana@example.com", "A cough that stays", "Dr Min Cho", "Confirmed"):
        assert page.says(words), words
    assert page.says("Booked by Ana Silva (patient)")
    assert page.says("Confirmed by Dana (front desk)")


def test_ana_arrives_and_dana_takes_it_back_from_the_board(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = take(page_client(cast.dana), visit, "arrive")
    assert page.says("Ana Silva, 10:00 : Marked as arrived.")
    assert status_of(visit) == "arrived"
    page.post(f"{page_of(visit)}/undo", if_version=version_on(page), status=302)
    page.get(page.location, status=200)
    assert page.says("The last step is taken back.")
    assert status_of(visit) == "booked"
    page.get(page.location or f"/admin/day?location={cast.location_id}&date={cast.day()}")
    assert not page.says("The last step is taken back."), "it is said once"


def test_a_visit_goes_from_booked_to_done(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana)
    for step, status in (("confirm", "booked"), ("arrive", "arrived"), ("complete", "fulfilled"), ("undo", "arrived")):
        take(page, visit, step)
        assert status_of(visit) == status


def test_ana_does_not_come(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = take(page_client(cast.dana), visit, "no-show")
    assert page.says("Marked as a no-show.")
    assert page.says("1 no-show")


def test_dana_is_not_offered_what_the_state_forbids(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = take(page_client(cast.dana), visit, "arrive")
    page.get(page_of(visit), status=200)
    assert page.says("Done")
    assert page.says("Undo the last step")
    for words in ("Check in", "Did not come", "Move", "Cancel the visit"):
        assert not page.says(words), words


def test_olga_was_faster_and_dana_reads_so_instead_of_overwriting(cast: Cast, page_client: Pages, visit: UUID) -> None:
    dana, olga = page_client(cast.dana).get(page_of(visit)), page_client(cast.olga)
    take(olga, visit, "confirm")
    dana.post(f"{page_of(visit)}/no-show", if_version=version_on(dana), status=302)
    assert dana.location == page_of(visit)
    dana.get(dana.location, status=200)
    assert dana.says("Somebody else changed this visit after you opened it.")
    assert status_of(visit) == "booked"


def test_dana_presses_a_button_of_yesterday(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana)
    take(page, visit, "arrive")
    page.get(page_of(visit))
    page.post(f"{page_of(visit)}/no-show", if_version=version_on(page), status=302)
    page.get(page.location, status=200)
    assert page.says("is not possible now")
    assert status_of(visit) == "arrived"


def test_a_no_show_is_not_taken_back_into_somebody_elses_time(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = take(page_client(cast.dana), visit, "no-show")
    create_appointment(cast.patient(cast.bea), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(10))
    db.session.commit()
    page.get(page_of(visit))
    page.post(f"{page_of(visit)}/undo", if_version=version_on(page), status=302)
    page.get(page.location, status=200)
    assert page.says("Somebody else has this time by now.")
    assert status_of(visit) == "noshow"


def test_a_step_without_its_form_is_refused(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(page_of(visit))
    page.post(f"{page_of(visit)}/arrive", status=422)
    page.get(page_of(visit))
    page.post(f"{page_of(visit)}/arrive", if_version="9" * 50, status=422)
    page.get(page_of(visit))
    page.post(f"{page_of(visit)}/dance", if_version="1", status=404)
    assert status_of(visit) == "booked"


def test_a_step_without_the_token_of_the_session_is_refused(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(page_of(visit))
    page.post(f"{page_of(visit)}/arrive", if_version=version_on(page), csrf_token="", status=400)
    assert status_of(visit) == "booked"


def test_dana_cancels_with_a_reason(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(f"{page_of(visit)}/cancel", status=200)
    assert page.says("Cancel this visit?")
    assert status_of(visit) == "booked"
    page.post(f"{page_of(visit)}/cancel", if_version=version_on(page), reason="Has a cold", status=302)
    page.get(page.location, status=200)
    assert page.says("Cancelled.")
    assert status_of(visit) == "cancelled"
    page.get(page_of(visit), status=200)
    assert page.says("Has a cold")
    page.get(f"{page_of(visit)}/cancel", status=409)


def test_a_reason_that_is_too_long_is_refused_in_words(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(f"{page_of(visit)}/cancel")
    page.post(f"{page_of(visit)}/cancel", if_version=version_on(page), reason="x" * 501, status=422)
    assert page.says("at most 500 characters")
    assert status_of(visit) == "booked"


def choice(start: datetime, with_: Person) -> str:
    return f"{start:%Y-%m-%dT%H:%M:%SZ} {with_.practitioner_id}"


def test_dana_moves_ana_to_the_afternoon(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(f"{page_of(visit)}/move", status=200)
    assert choice(cast.at(15), cast.dr_cho) in page.text
    assert choice(cast.at(10), cast.dr_cho) not in page.text, "where it stands already"
    page.post(
        f"{page_of(visit)}/move", if_version=version_on(page), choice=choice(cast.at(15), cast.dr_cho), status=302
    )
    page.get(page.location, status=200)
    assert page.says("Moved.")
    assert page.says("15:00 to 15:30 Ana Silva")


def test_dana_moves_ana_to_whoever_is_free(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(f"{page_of(visit)}/move?practitioner=&date={cast.day(weekday=3)}", status=200)
    wanted = choice(cast.at(9, weekday=3), cast.dr_diaz)
    assert wanted in page.text
    page.post(f"{page_of(visit)}/move", if_version=version_on(page), choice=wanted, status=302)
    moved = db.session.get_one(Appointment, visit, populate_existing=True)
    assert moved.practitioner_id == cast.dr_diaz.practitioner_id


def test_bea_was_faster_and_dana_chooses_again(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dana).get(f"{page_of(visit)}/move")
    create_appointment(cast.patient(cast.bea), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(15))
    db.session.commit()
    page.post(
        f"{page_of(visit)}/move", if_version=version_on(page), choice=choice(cast.at(15), cast.dr_cho), status=409
    )
    assert page.says("Somebody else has this time.")
    assert choice(cast.at(15), cast.dr_cho) not in page.text


@pytest.mark.parametrize("odd", ["", "now", "2026-12-01T10:00:00Z", "2026-12-01T10:00:00Z nobody", "\x00 \x00"])
def test_dana_sends_no_time_of_the_list(cast: Cast, page_client: Pages, visit: UUID, odd: str) -> None:
    page = page_client(cast.dana).get(f"{page_of(visit)}/move")
    page.post(f"{page_of(visit)}/move", if_version=version_on(page), choice=odd, status=422)
    assert page.says("Choose one of the free times.") or page.says("This is not a time.")


def test_dr_cho_takes_the_steps_of_her_own_visits(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dr_cho)
    take(page, visit, "arrive")
    page.get(page_of(visit))
    take(page, visit, "complete")
    assert status_of(visit) == "fulfilled"


def test_dr_cho_may_not_cancel_move_or_confirm(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dr_cho).get(page_of(visit), status=200)
    version = version_on(page)
    for words in ("Cancel the visit", "Move", "Confirmed by the patient"):
        assert not page.says(words), words
    page.get(f"{page_of(visit)}/cancel", status=403)
    for step in ("cancel", "confirm"):
        page.get(page_of(visit))
        page.post(f"{page_of(visit)}/{step}", if_version=version, status=403)
    page.get(page_of(visit))
    page.post(f"{page_of(visit)}/move", if_version=version, choice=choice(cast.at(15), cast.dr_cho), status=403)
    assert status_of(visit) == "booked"


def test_dr_diaz_does_not_see_dr_chos_visits(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page = page_client(cast.dr_diaz).get(page_of(visit), status=404)
    page.get(f"/admin/day?location={cast.location_id}&date={cast.day()}")
    page.post(f"{page_of(visit)}/arrive", if_version="1", status=404)
    assert status_of(visit) == "booked"


def test_ana_may_not_open_her_visit_on_the_pages_of_the_staff(cast: Cast, page_client: Pages, visit: UUID) -> None:
    page_client(cast.ana).get(page_of(visit), status=403)
