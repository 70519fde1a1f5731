"""The answer to an offer, and who may be quicker."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from server.errors import DomainError, NotVisible
from server.extensions import db
from server.models import (
    Appointment,
    ExternalCalendar,
    FreedTime,
    OutboxMessage,
    WaitlistOffer,
)
from server.services import booking, occupancy, offers, steps, waitlist
from server.services.booking import PatientBusy
from server.services.offers import OfferOver
from tests.bars.live_clinic import all_at_once
from tests.cast import Cast
from tests.factories import (
    create_closure,
    create_patient,
)
from tests.services.waiting import (
    book,
    entry_of,
    frees,
    full,
    let_it_expire,
    letters,
    offered,
    patients,
    somebody,
    the_freed,
    the_offer,
    visit_now,
    waits,
)

pytestmark = pytest.mark.usefixtures("no_quiet_hours")


# --- the answer ---


def test_ana_accepts_and_has_one_visit_the_earlier_one(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=3))
    waits(cast, cast.ana, appointment_id=later.id)
    waits(cast, cast.bea)
    frees(cast, full(cast))
    offer = offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    moved = visit_now(later.id)
    assert (moved.start, moved.status, moved.sequence) == (cast.at(10), "booked", 1)
    assert (offer.status, offer.days_gained, offer.entry.status) == ("accepted", 14, "booked")
    assert letters("appointment-moved") == 1
    anas = select(func.count()).where(Appointment.patient_id == cast.ana.patient_id)
    assert db.session.scalar(anas) == 1
    assert db.session.scalar(text("SELECT count(*) FROM appointments WHERE status = 'proposed'")) == 0
    offers.offer_freed_times()  # her old time goes to bea
    assert [(each.start, each.status) for each in offered()] == [
        (cast.at(10), "accepted"),
        (cast.at(9, weeks=3), "open"),
    ]
    taken = db.session.scalars(select(FreedTime.outcome).order_by(FreedTime.created_at, FreedTime.id)).all()
    assert taken[0] == "taken"


def test_ana_who_had_no_visit_gets_one(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    offer = offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    visit = visit_now(offer.entry.appointment_id)
    assert (visit.status, visit.patient_id, visit.start, visit.hold_owner_id) == (
        "booked",
        cast.ana.patient_id,
        cast.at(10),
        None,
    )
    assert (offer.days_gained, letters("appointment-booked")) == (None, 2)
    letter = db.session.scalars(select(OutboxMessage).where(OutboxMessage.appointment_id == visit.id)).one()
    assert letter.sequence == visit.sequence


def test_accepting_what_needs_approval_asks_for_it(cast: Cast) -> None:
    db.session.execute(text("UPDATE healthcare_services SET needs_approval = true"))
    db.session.commit()
    waits(cast, cast.ana)
    frees(cast, full(cast))
    offer = offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    visit = visit_now(offer.entry.appointment_id)
    assert (visit.status, visit.answer_by is not None) == ("pending", True)


def test_the_cut_off_of_the_later_visit_does_not_bind_whom_the_clinic_itself_asked(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    db.session.execute(text("UPDATE healthcare_services SET cancel_cutoff_minutes = 60 * 24 * 30"))
    db.session.commit()
    with pytest.raises(booking.RulesForbid):
        booking.reschedule_appointment(later.id, start=cast.at(11), actor=cast.ana.actor)
    offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    assert visit_now(later.id).start == cast.at(10)


def test_declined_it_goes_to_the_next_and_never_back(cast: Cast) -> None:
    waits(cast, cast.ana)
    waits(cast, cast.bea)
    frees(cast, full(cast))
    offers.decline_offer(the_offer().id, actor=cast.ana.actor)
    assert offers.offer_freed_times() == 1
    assert patients() == [cast.ana.patient_id, cast.bea.patient_id]
    offers.decline_offer(offered()[1].id, actor=cast.bea.actor)
    assert offers.offer_freed_times() == 0
    assert the_freed().outcome == "nobody"
    assert book(cast, somebody("eve"), cast.at(10)).status == "booked"


def test_not_answered_in_time_it_goes_to_the_next_and_ana_is_told(cast: Cast) -> None:
    waits(cast, cast.ana)
    waits(cast, cast.bea)
    frees(cast, full(cast))
    assert offers.expire_offers() == 0
    let_it_expire(the_offer())
    assert (offers.expire_offers(), offers.expire_offers()) == (1, 0)
    assert offers.offer_freed_times() == 1
    assert patients() == [cast.ana.patient_id, cast.bea.patient_id]
    assert (offered()[0].status, letters("waitlist-offer-expired")) == ("expired", 1)
    assert entry_of(offered()[0]).status == "waiting"


def test_a_late_answer_is_told_what_became_of_the_offer(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    let_it_expire(the_offer())
    for _ in range(2):  # before and after the job has seen it
        for answer in (offers.accept_offer, offers.decline_offer):
            with pytest.raises(OfferOver, match="not answered in time") as refusal:
                answer(the_offer().id, actor=cast.ana.actor)
            assert (refusal.value.status, refusal.value.extra["state"]) == (409, "expired")
        offers.expire_offers()


def test_accepting_twice_is_a_sentence_and_not_a_second_visit(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    with pytest.raises(OfferOver, match="was accepted"):
        offers.accept_offer(the_offer().id, actor=cast.ana.actor)


def test_carl_accepts_for_ana_and_bea_cannot(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    for answer in (offers.accept_offer, offers.decline_offer):
        with pytest.raises(NotVisible):
            answer(the_offer().id, actor=cast.bea.actor)
    assert offers.accept_offer(the_offer().id, actor=cast.carl.actor).status == "accepted"


def test_leaving_gives_the_offered_time_back_at_once(cast: Cast) -> None:
    entry = waits(cast, cast.ana)
    frees(cast, full(cast))
    waitlist.leave(entry.id, actor=cast.ana.actor)
    assert the_offer().status == "withdrawn"
    assert book(cast, cast.bea, cast.at(10)).status == "booked"
    with pytest.raises(OfferOver, match="taken back"):
        offers.accept_offer(the_offer().id, actor=cast.ana.actor)


def test_ana_who_cancels_the_visit_does_not_wait_for_it_any_more(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    booking.cancel_appointment(later.id, actor=cast.ana.actor)
    assert (the_offer().status, entry_of(the_offer()).status) == ("withdrawn", "over")


def test_when_the_clinic_cancels_ana_still_waits_and_gets_a_new_visit(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    booking.cancel_appointment(later.id, actor=cast.dana.actor)
    offer = offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    assert visit_now(offer.entry.appointment_id).start == cast.at(10)
    assert visit_now(later.id).status == "cancelled"


def test_when_the_clinic_declines_her_request_ana_may_still_take_the_offer(cast: Cast) -> None:
    db.session.execute(text("UPDATE healthcare_services SET needs_approval = true"))
    db.session.commit()
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    steps.decline_request(later.id, actor=cast.dana.actor)
    offer = offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    assert visit_now(offer.entry.appointment_id).start == cast.at(10)


def test_ana_who_moved_her_visit_forward_herself_is_not_moved_back(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    booking.reschedule_appointment(later.id, start=cast.at(9), actor=cast.ana.actor)
    with pytest.raises(OfferOver, match="by now earlier"):
        offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    assert visit_now(later.id).start == cast.at(9)


def test_an_offer_that_ana_cannot_use_leaves_her_visit_as_it_was(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    book(cast, cast.ana, cast.at(10), practitioner_id=cast.dr_diaz.practitioner_id)
    with pytest.raises(PatientBusy):
        offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    assert visit_now(later.id).start == cast.at(9, weeks=2)
    assert (the_offer().status, visit_now(the_offer().hold_id).status) == ("open", "proposed")


def test_leave_that_came_after_the_offer_is_not_booked_into(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    create_closure(cast.at(8), cast.at(18), practitioner_id=cast.dr_cho.practitioner_id)
    db.session.commit()
    with pytest.raises(OfferOver, match="not there"):
        offers.accept_offer(the_offer().id, actor=cast.ana.actor)


def test_what_came_into_dr_chos_own_calendar_after_the_offer_is_not_booked_into(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    calendar = ExternalCalendar(practitioner_id=cast.dr_cho.practitioner_id, url="https://calendar.example.com/cho.ics")
    db.session.add(calendar)
    db.session.flush()
    busy = {"practitioner_id": cast.dr_cho.practitioner_id, "kind": "external", "external_calendar_id": calendar.id}
    create_closure(cast.at(10, 15), cast.at(10, 20), **busy)
    db.session.commit()
    with pytest.raises(OfferOver, match="not there"):
        offers.accept_offer(the_offer().id, actor=cast.ana.actor)
    db.session.execute(text("DELETE FROM closures"))
    db.session.commit()
    create_closure(cast.at(9), cast.at(10), **busy)  # what ends as the visit begins is in nobody's way
    db.session.commit()
    assert offers.accept_offer(the_offer().id, actor=cast.ana.actor).status == "accepted"


def test_a_visit_put_over_the_offered_time_or_beside_it_does_not_take_the_offer_back(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    over = book(
        cast, cast.dana, cast.at(10), patient_id=create_patient().id, overbook_reason="An emergency, agreed with dr_cho"
    )
    book(cast, cast.dana, cast.at(10, 30), patient_id=create_patient().id)
    assert over.lane == -1
    assert offers.accept_offer(the_offer().id, actor=cast.ana.actor).status == "accepted"


def test_a_visit_that_took_place_ends_the_wish(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    entry = waits(cast, cast.ana, appointment_id=later.id)
    db.session.execute(update(Appointment).where(Appointment.id == later.id).values(status="arrived"))
    offers.expire_offers()
    assert waitlist.read(entry.id, actor=cast.ana.actor).status == "over"


# --- races: real commits, real threads ---

Command = Callable[[], Any]


def race(app: Flask, *commands: Command) -> list[Any]:
    """All at once, each in a context of its own; what each answered, or the name of its refusal."""

    def run(command: Command) -> Any:
        with app.app_context():
            try:
                return command()
            except DomainError as refusal:
                return type(refusal).__name__

    return all_at_once(commands, run)


def doubles() -> int:
    """Pairs that occupy the same practitioner or patient at the same time."""
    return db.session.scalar(
        text("""
        SELECT count(*) FROM appointments a JOIN appointments b
            ON a.id < b.id AND a.during && b.during
           AND (a.practitioner_id = b.practitioner_id OR a.patient_id = b.patient_id)
         WHERE a.status IN ('proposed', 'booked') AND b.status IN ('proposed', 'booked')
    """)
    )


def prepared(cast: Cast) -> tuple[Any, Any]:
    """ana waits with a later visit, and is offered ten o'clock; the ids of her visit and of the offer."""
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    waits(cast, cast.ana, appointment_id=later.id)
    frees(cast, full(cast))
    found = later.id, the_offer().id
    db.session.commit()
    return found


@pytest.mark.real_commits
@pytest.mark.parametrize("round_", range(5))
def test_ana_and_carl_accept_at_once_and_one_of_them_does(app: Flask, cast: Cast, round_: int) -> None:
    later_id, offer_id = prepared(cast)
    ana, carl = cast.ana.actor, cast.carl.actor
    answers = race(
        app,
        lambda: offers.accept_offer(offer_id, actor=ana).status,
        lambda: offers.accept_offer(offer_id, actor=carl).status,
    )
    assert sorted(answers) == ["OfferOver", "accepted"]
    assert visit_now(later_id).start == cast.at(10)
    assert doubles() == 0


@pytest.mark.real_commits
@pytest.mark.parametrize("round_", range(5))
def test_accepting_races_with_the_end_of_the_offer_and_no_visit_is_lost(app: Flask, cast: Cast, round_: int) -> None:
    later_id, offer_id = prepared(cast)
    ana = cast.ana.actor
    soon = text(f"clock_timestamp() + interval '{20 + 10 * round_} milliseconds'")
    db.session.execute(update(Appointment).where(Appointment.status == "proposed").values(hold_expires_at=soon))
    db.session.execute(update(WaitlistOffer).values(expires_at=soon))
    db.session.commit()

    def expire() -> str:
        for _ in range(20):
            offers.expire_offers()
            occupancy.free_expired_holds()
        return "ran"

    answers = race(app, lambda: offers.accept_offer(offer_id, actor=ana).status, expire, expire)
    start, status = visit_now(later_id).start, the_offer().status
    assert (answers[0], start, status) in (
        ("accepted", cast.at(10), "accepted"),
        ("OfferOver", cast.at(9, weeks=2), "expired"),
    )
    assert answers[1:] == ["ran", "ran"]
    assert visit_now(later_id).status == "booked"


@pytest.mark.real_commits
def test_four_engines_at_once_offer_each_piece_once(app: Flask, cast: Cast) -> None:
    people = [cast.ana, cast.bea, *[somebody(name) for name in ("eve", "fay", "gus", "hal")]]
    for person in people:
        waits(cast, person)
    visits = [full(cast, hour=hour) for hour in (10, 11, 12)]
    for visit in visits:
        booking.cancel_appointment(visit.id, actor=cast.dana.actor)
    made = race(app, *[offers.offer_freed_times] * 4)
    rest = offers.offer_freed_times()
    assert sum(made) + rest == 3
    assert sorted(offer.start for offer in offered()) == [cast.at(10), cast.at(11), cast.at(12)]
    assert len(set(patients())) == 3
    assert doubles() == 0


@pytest.mark.real_commits
@pytest.mark.parametrize("round_", range(5))
def test_others_want_the_time_while_ana_accepts_and_nobody_doubles(app: Flask, cast: Cast, round_: int) -> None:
    later_id, offer_id = prepared(cast)
    ana, bea, dana = cast.ana.actor, cast.bea.actor, cast.dana.actor
    other = book(cast, cast.bea, cast.at(15))
    checkup_id, doctor_id, ten = cast.checkup_id, cast.dr_cho.practitioner_id, cast.at(10)
    other_id, patient_id = other.id, cast.bea.patient_id

    def snatch() -> Any:
        return booking.book_appointment(
            service_id=checkup_id, practitioner_id=doctor_id, start=ten, patient_id=patient_id, actor=dana
        ).status

    def move_there() -> Any:
        return booking.reschedule_appointment(other_id, start=ten, actor=bea).status

    answers = race(app, lambda: offers.accept_offer(offer_id, actor=ana).status, snatch, move_there, snatch)
    assert answers == ["accepted", "SlotTaken", "SlotTaken", "SlotTaken"]
    assert visit_now(later_id).start == ten
    assert doubles() == 0


@pytest.mark.real_commits
@pytest.mark.parametrize("round_", range(5))
def test_accepting_races_with_cancelling_the_later_visit(app: Flask, cast: Cast, round_: int) -> None:
    later_id, offer_id = prepared(cast)
    ana = cast.ana.actor
    answers = race(
        app,
        lambda: offers.accept_offer(offer_id, actor=ana).status,
        lambda: booking.cancel_appointment(later_id, actor=ana).status,
    )
    assert answers[1] == "cancelled"
    assert answers[0] in ("accepted", "OfferOver")
    visit = visit_now(later_id)
    assert (visit.status, the_offer().status) == (
        "cancelled",
        "accepted" if answers[0] == "accepted" else "withdrawn",
    )
    assert db.session.scalar(text("SELECT count(*) FROM appointments WHERE status = 'proposed'")) == 0
