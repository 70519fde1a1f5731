"""The waitlist: who waits and for what, seats of groups, and what the desk reads of it."""

from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import select

from server.errors import Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment
from server.services import access, offers, sessions, waitlist, waitlist_figures
from tests.cast import Cast
from tests.factories import (
    create_patient,
    create_proxy,
    create_schedule,
    create_service,
    create_user,
)
from tests.services.waiting import book, frees, full, offered, patients, somebody, the_offer, visit_now, waits

pytestmark = pytest.mark.usefixtures("no_quiet_hours")


# --- joining and leaving ---


def test_ana_joins_with_her_wishes_and_only_once(cast: Cast) -> None:
    entry = waits(cast, cast.ana, weekdays=[5, 2, 2], from_time=time(9), until_time=time(12))
    assert (entry.status, entry.weekdays, entry.patient_id) == ("waiting", [2, 5], cast.ana.patient_id)
    with pytest.raises(waitlist.AlreadyWaiting):
        waits(cast, cast.ana)


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"weekdays": [8]}, "weekdays"),
        ({"from_time": time(9)}, "until_time"),
        ({"from_time": time(12), "until_time": time(9)}, "until_time"),
        ({"until_on": date(2020, 1, 1)}, "until_on"),
        ({"notice_minutes": -1}, "notice_minutes"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_at_its_field(cast: Cast, over: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        waits(cast, cast.ana, **over)
    assert set(refusal.value.extra["errors"]) == {field}


def test_a_patient_without_an_address_is_told_at_once_and_not_silently_passed_over(cast: Cast) -> None:
    cast.patient(cast.ana).email = None
    with pytest.raises(Invalid, match="e-mail"):
        waits(cast, cast.ana)


def test_carl_waits_for_ana_but_bea_may_not_even_see_it(cast: Cast) -> None:
    entry = waits(cast, cast.carl, patient_id=cast.ana.patient_id)
    with pytest.raises(NotVisible):
        waitlist.read(entry.id, actor=cast.bea.actor)
    with pytest.raises(NotVisible):
        waitlist.leave(entry.id, actor=cast.bea.actor)
    with pytest.raises(NotVisible):
        waits(cast, cast.bea, patient_id=cast.ana.patient_id)
    waitlist.leave(entry.id, actor=cast.carl.actor)
    waitlist.leave(entry.id, actor=cast.carl.actor)  # leaving twice is leaving once
    assert waitlist.read(entry.id, actor=cast.dana.actor).status == "left"


def test_a_proxy_who_may_only_read_does_not_wait_for_ana(cast: Cast) -> None:
    reader = create_user("patient", email="reader@example.com")
    create_proxy(reader, cast.patient(cast.ana), may_book=False)
    entry = waits(cast, cast.ana)
    with pytest.raises(NotVisible):
        waitlist.read(entry.id, actor=access.actor_for(reader.id))


# --- seats ---


def class_of_two(cast: Cast) -> tuple[Any, Any]:
    """A group session tomorrow week at ten with two seats, and its service."""
    service = create_service(name="Back school", capacity=2)
    create_schedule(cast.practitioner(cast.dr_cho), cast.location, service)
    db.session.commit()
    session = sessions.create_session(
        service_id=service.id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(10), actor=cast.dana.actor
    )
    return session, service.id


def test_a_seat_that_becomes_free_is_offered_and_kept(cast: Cast) -> None:
    session, service_id = class_of_two(cast)
    seats = [sessions.book_seat(session.id, actor=cast.dana.actor, patient_id=create_patient().id) for _ in range(2)]
    waits(cast, cast.ana, service_id=service_id)
    waits(cast, cast.bea, service_id=service_id)
    frees(cast, seats[1])
    assert patients() == [cast.ana.patient_id]
    with pytest.raises(sessions.SessionFull):
        sessions.book_seat(session.id, actor=cast.bea.actor)
    offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    lanes = select(Appointment.lane).where(Appointment.patient_id == cast.ana.patient_id)
    assert db.session.scalars(lanes).one() == seats[1].lane


def test_a_seat_in_a_later_class_is_moved_to_the_earlier_one(cast: Cast) -> None:
    session, service_id = class_of_two(cast)
    seats = [sessions.book_seat(session.id, actor=cast.dana.actor, patient_id=create_patient().id) for _ in range(2)]
    later = sessions.create_session(
        service_id=service_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(10, weeks=3),
        actor=cast.dana.actor,
    )
    seat = sessions.book_seat(later.id, actor=cast.ana.actor)
    waits(cast, cast.ana, appointment_id=seat.id)
    frees(cast, seats[0])
    offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    moved = visit_now(seat.id)
    assert (moved.session_id, moved.start, the_offer().days_gained) == (session.id, cast.at(10), 14)
    assert sessions.read_session(later.id).free_seats == 2


def test_a_new_class_and_more_seats_are_offered_to_who_waits(cast: Cast) -> None:
    first, service_id = class_of_two(cast)
    for person in (cast.ana, cast.bea, somebody("eve")):
        waits(cast, person, service_id=service_id)
    sessions.cancel_session(first.id, actor=cast.dana.actor)
    session = sessions.create_session(
        service_id=service_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(14), actor=cast.dana.actor
    )
    assert (offers.offer_freed_times(), offers.offer_freed_times()) == (2, 0)
    sessions.change_capacity(session.id, capacity=5, actor=cast.dana.actor)
    assert offers.offer_freed_times() == 1
    assert [offer.start for offer in offered()] == [cast.at(14)] * 3


def test_a_class_that_is_cancelled_takes_its_offers_with_it(cast: Cast) -> None:
    session, service_id = class_of_two(cast)
    seats = [sessions.book_seat(session.id, actor=cast.dana.actor, patient_id=create_patient().id) for _ in range(2)]
    waits(cast, cast.ana, service_id=service_id)
    frees(cast, seats[0])
    sessions.cancel_session(session.id, actor=cast.dana.actor)
    assert the_offer().status == "withdrawn"


# --- stories and figures ---


def test_dana_reads_the_story_of_a_freed_time(cast: Cast) -> None:
    waits(cast, cast.ana)
    waits(cast, cast.bea)
    frees(cast, full(cast))
    offers.decline_offer(the_offer().id, actor=cast.ana.actor)
    offers.offer_freed_times()
    offers.accept_offer(offered()[1].id, actor=cast.bea.actor)
    offers.offer_freed_times()
    (story,), _ = waitlist_figures.freed_times(actor=cast.dana.actor)
    assert (story.cause, story.outcome, story.start) == ("cancelled", "taken", cast.at(10))
    told = [(offer.entry.patient.given_name, offer.status) for offer in story.offers]
    assert told == [("Ana", "declined"), ("Bea", "accepted")]


def test_the_figures_stand_beside_the_yardstick(cast: Cast) -> None:
    later = book(cast, cast.bea, cast.at(10, weeks=2))
    waits(cast, cast.ana)
    waits(cast, cast.bea, appointment_id=later.id)
    frees(cast, full(cast))
    offers.decline_offer(the_offer().id, actor=cast.ana.actor)
    offers.offer_freed_times()
    offers.accept_offer(offered()[1].id, actor=cast.bea.actor)
    found = waitlist_figures.figures(actor=cast.dana.actor)
    in_all = found["in_all"]
    assert {name: in_all[name] for name in ("waiting", "offers", "accepted", "declined", "expired")} == {
        "waiting": 1,
        "offers": 2,
        "accepted": 1,
        "declined": 1,
        "expired": 0,
    }
    assert (in_all["accepted_share"], in_all["median_days_gained"]) == (0.5, 7)
    assert found["yardstick"] == {"accepted_share": 0.11, "median_days_gained": 14}
    assert [row["name"] for row in found["services"]] == ["Check-up"]


@pytest.mark.parametrize("who", ["ana", "dr_cho"])
def test_the_stories_are_for_the_desk(cast: Cast, who: str) -> None:
    for read in (waitlist_figures.freed_times, waitlist_figures.figures):
        with pytest.raises(NotAllowed):
            read(actor=getattr(cast, who).actor)
