"""Who waits is offered what becomes free: in turn, with a hold behind it, until a deadline."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import Range

from server.errors import DomainError, Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import (
    Appointment,
    ClinicSettings,
    FreedTime,
    OutboxMessage,
    WaitlistEntry,
    WaitlistOffer,
)
from server.services import access, booking, freed, holds, occupancy, offers, sessions, waitlist, waitlist_figures
from server.services.booking import PatientBusy, SlotTaken
from server.services.offers import OfferOver
from server.services.transaction import atomic
from server.utils import clock
from tests.bars.live_clinic import all_at_once
from tests.cast import ZONE, Cast, Person
from tests.factories import (
    create_closure,
    create_patient,
    create_proxy,
    create_schedule,
    create_service,
    create_user,
)


@pytest.fixture(autouse=True)
def _day(cast: Cast) -> None:
    """Whatever hour it is, it is not a quiet one."""
    settle(quiet_from=time(0), quiet_until=time(0))


def settle(**values: Any) -> None:
    """What the clinic decided about offers."""
    if db.session.get(ClinicSettings, True) is None:
        db.session.add(ClinicSettings(id=True))
        db.session.flush()
    db.session.execute(update(ClinicSettings).values(**values))
    db.session.commit()


def book(cast: Cast, person: Person, start: datetime, **over: Any) -> Appointment:
    return booking.book_appointment(
        **{
            "service_id": cast.checkup_id,
            "practitioner_id": cast.dr_cho.practitioner_id,
            "start": start,
            "actor": person.actor,
            **over,
        }
    )


def waits(cast: Cast, person: Person, **over: Any) -> WaitlistEntry:
    """The person joins for a check-up, with hardly any notice needed."""
    values = {"service_id": cast.checkup_id, "notice_minutes": 60, **over}
    if "appointment_id" in over:
        values.pop("service_id")
    return waitlist.join(**values, actor=person.actor)


def somebody(name: str) -> Person:
    """One more patient with an account."""
    user = create_user("patient", email=f"{name}@example.com", name=name)
    patient = create_patient(user_id=user.id, given_name=name, family_name="Waits", email=user.email)
    db.session.commit()
    return Person(user.id, user.email, patient_id=patient.id)


def full(cast: Cast, person: Person | None = None, hour: int = 10) -> Appointment:
    """A visit of dana's making at that hour, whose time is to become free."""
    patient_id = person.patient_id if person else create_patient().id
    return book(cast, cast.dana, cast.at(hour), patient_id=patient_id)


def frees(cast: Cast, visit: Appointment) -> None:
    """The visit is cancelled, and the engine looks."""
    booking.cancel_appointment(visit.id, actor=cast.dana.actor)
    offers.offer_freed_times()


def offered() -> list[WaitlistOffer]:
    return list(
        db.session.scalars(select(WaitlistOffer).order_by(WaitlistOffer.id).execution_options(populate_existing=True))
    )


def the_offer() -> WaitlistOffer:
    (offer,) = offered()
    return offer


def the_freed() -> FreedTime:
    return db.session.scalars(select(FreedTime).execution_options(populate_existing=True)).one()


def entry_of(offer: WaitlistOffer) -> WaitlistEntry:
    return db.session.get_one(WaitlistEntry, offer.entry_id, populate_existing=True)


def patients() -> list[Any]:
    """Who was offered something, in order."""
    return [entry_of(offer).patient_id for offer in offered()]


def visit_now(visit_id: Any) -> Appointment:
    return db.session.get_one(Appointment, visit_id, populate_existing=True)


def letters(name: str) -> int:
    query = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.letter == name)
    return db.session.scalar(query) or 0


def let_it_expire(offer: WaitlistOffer) -> None:
    """As if its time were over."""
    past = text("clock_timestamp() - interval '1 second'")
    db.session.execute(update(Appointment).where(Appointment.id == offer.hold_id).values(hold_expires_at=past))
    db.session.execute(update(WaitlistOffer).where(WaitlistOffer.id == offer.id).values(expires_at=past))
    db.session.commit()


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


# --- the engine ---


def test_a_cancelled_time_is_offered_with_a_hold_a_deadline_and_a_letter(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    offer = the_offer()
    hold = visit_now(offer.hold_id)
    assert (offer.status, offer.start, hold.start, hold.status) == ("open", cast.at(10), cast.at(10), "proposed")
    assert hold.hold_expires_at == offer.expires_at
    assert timedelta(minutes=119) < offer.expires_at - clock.now() <= timedelta(minutes=120)
    assert letters("waitlist-offer") == 1
    with pytest.raises(SlotTaken):
        book(cast, cast.bea, cast.at(10))


def test_an_offer_is_none_of_the_two_times_that_ana_may_hold(cast: Cast) -> None:
    waits(cast, cast.ana)
    frees(cast, full(cast))
    for hour in (11, 12):
        holds.hold_time(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            minutes=5,
            actor=cast.ana.actor,
        )


def test_looking_twice_offers_once(cast: Cast) -> None:
    waits(cast, cast.ana)
    waits(cast, cast.bea)
    frees(cast, full(cast))
    assert offers.offer_freed_times() == 0
    assert patients() == [cast.ana.patient_id]


def test_nobody_waits_and_nothing_is_written(cast: Cast) -> None:
    frees(cast, full(cast))
    assert db.session.scalar(select(func.count()).select_from(FreedTime)) == 0


def opens(cast: Cast, start: datetime, end: datetime) -> None:
    """A stretch of dr_cho's time becomes free in one piece."""
    with atomic():
        freed.record(
            cast.dr_cho.practitioner_id,
            location_id=cast.location_id,
            during=Range(start, end, bounds="[)"),
            cause="opened",
        )
    offers.offer_freed_times()


def test_who_fills_the_time_best_is_asked_first_and_then_who_waits_longest(cast: Cast) -> None:
    waits(cast, eve := somebody("eve"))
    waits(cast, cast.ana)
    waits(cast, cast.bea, service_id=cast.physio_id)  # 45 minutes between its buffers: nothing fits beside it
    settle(offer_minutes=60)
    opens(cast, cast.at(11), cast.at(12))
    assert patients() == [cast.bea.patient_id]
    offers.decline_offer(the_offer().id, actor=cast.bea.actor)
    offers.offer_freed_times()
    assert patients()[1:] == [eve.patient_id, cast.ana.patient_id]


def test_who_asked_for_this_practitioner_is_asked_before_who_takes_anybody(cast: Cast) -> None:
    waits(cast, cast.ana)
    waits(cast, cast.bea, practitioner_id=cast.dr_cho.practitioner_id)
    frees(cast, full(cast))
    assert patients() == [cast.bea.patient_id]


def test_several_pieces_of_one_stretch_go_to_several_people_at_once(cast: Cast) -> None:
    people = [cast.ana, cast.bea, somebody("eve")]
    for person in people:
        waits(cast, person)
    opens(cast, cast.at(10), cast.at(11))
    assert [offer.start for offer in offered()] == [cast.at(10), cast.at(10, 30)]
    assert patients() == [cast.ana.patient_id, cast.bea.patient_id]


@pytest.mark.parametrize(
    "wish",
    [
        {"weekdays": [1, 3, 4, 5, 6, 7]},
        {"from_time": time(10, 30), "until_time": time(17)},
        {"from_time": time(8), "until_time": time(10)},
        {"notice_minutes": 100_000},
        {"until_on": "the day before"},
        {"from_on": "the day after"},
        {"practitioner_id": "dr_diaz"},
    ],
    ids=str,
)
def test_a_time_that_ana_does_not_wish_for_is_not_offered(cast: Cast, wish: dict[str, Any]) -> None:
    named = {
        "the day before": cast.day() - timedelta(days=1),
        "the day after": cast.day() + timedelta(days=1),
        "dr_diaz": cast.dr_diaz.practitioner_id,
    }
    waits(
        cast,
        cast.ana,
        **{key: named.get(value, value) if isinstance(value, str) else value for key, value in wish.items()},
    )
    frees(cast, full(cast))
    assert offered() == []
    assert the_freed().outcome == "nobody"


def test_wishes_are_in_the_wall_time_of_the_place(cast: Cast) -> None:
    waits(
        cast,
        cast.ana,
        weekdays=[2],
        from_time=time(10),
        until_time=time(10, 30),
        from_on=cast.day(),
        until_on=cast.day(),
    )
    frees(cast, full(cast))
    assert the_offer().start == cast.at(10)


def test_only_a_time_before_the_later_visit_is_offered(cast: Cast) -> None:
    waits(cast, cast.ana, appointment_id=book(cast, cast.ana, cast.at(9)).id)
    frees(cast, full(cast))
    assert offered() == []


def test_what_bea_could_not_book_is_not_offered_to_her(cast: Cast) -> None:
    db.session.execute(text("UPDATE healthcare_services SET max_open_per_patient = 1, for_patients = 'known'"))
    db.session.commit()
    waits(cast, cast.bea)
    frees(cast, full(cast))
    assert offered() == []


def test_the_visit_to_be_moved_does_not_count_against_the_limit(cast: Cast) -> None:
    db.session.execute(text("UPDATE healthcare_services SET max_open_per_patient = 1"))
    db.session.commit()
    waits(cast, cast.ana, appointment_id=book(cast, cast.ana, cast.at(9, weeks=2)).id)
    frees(cast, full(cast))
    offers.accept_offer(the_offer().id, actor=cast.ana.actor)


def test_bea_is_not_offered_a_time_at_which_she_has_another_visit(cast: Cast) -> None:
    book(cast, cast.bea, cast.at(10), practitioner_id=cast.dr_diaz.practitioner_id)
    waits(cast, cast.bea)
    frees(cast, full(cast))
    assert offered() == []


def test_one_open_offer_at_a_time_and_the_other_time_waits_for_the_answer(cast: Cast) -> None:
    waits(cast, cast.ana)
    first, second = full(cast), full(cast, hour=14)
    frees(cast, first)
    frees(cast, second)
    assert [offer.start for offer in offered()] == [cast.at(10)]
    offers.decline_offer(the_offer().id, actor=cast.ana.actor)
    offers.offer_freed_times()
    assert [(offer.start, offer.status) for offer in offered()] == [(cast.at(10), "declined"), (cast.at(14), "open")]


def test_at_most_n_offers_a_week_for_one_patient(cast: Cast) -> None:
    settle(offers_a_week=1)
    waits(cast, cast.ana)
    first, second = full(cast), full(cast, hour=14)
    frees(cast, first)
    offers.decline_offer(the_offer().id, actor=cast.ana.actor)
    frees(cast, second)
    assert len(offered()) == 1
    db.session.execute(text("UPDATE waitlist_offers SET created_at = clock_timestamp() - interval '8 days'"))
    frees(cast, full(cast, hour=15))
    assert len(offered()) == 2


def around_now(minutes: int) -> time:
    return (clock.local(clock.now(), ZONE) + timedelta(minutes=minutes)).time()


def test_in_quiet_hours_an_offer_waits_and_its_time_counts_from_when_it_is_sent(cast: Cast) -> None:
    settle(quiet_from=around_now(-60), quiet_until=around_now(60))
    waits(cast, cast.ana)
    frees(cast, full(cast))
    assert offered() == []
    assert the_freed().outcome is None
    settle(quiet_from=around_now(-60), quiet_until=around_now(-1))
    assert offers.offer_freed_times() == 1
    assert the_offer().expires_at - clock.now() > timedelta(minutes=119)


def test_what_starts_too_soon_is_not_offered_and_its_story_is_over(cast: Cast) -> None:
    waits(cast, cast.ana, notice_minutes=0)
    opens(cast, clock.now() + timedelta(minutes=30), clock.now() + timedelta(minutes=120))  # the stop: 120 minutes
    assert (offered(), the_freed().outcome) == ([], "over")


def test_the_deadline_never_comes_after_the_stop_before_the_start(cast: Cast) -> None:
    until_start = int((cast.at(10) - clock.now()).total_seconds() // 60)
    settle(offer_stop_minutes=min(until_start - 30, 10_080), offer_minutes=10_080)
    waits(cast, cast.ana, notice_minutes=0)
    frees(cast, full(cast))
    assert the_offer().expires_at <= cast.at(10) - timedelta(minutes=min(until_start - 30, 10_080))


def test_a_freed_time_that_somebody_booked_meanwhile_was_taken(cast: Cast) -> None:
    waits(cast, cast.ana)
    booking.cancel_appointment(full(cast).id, actor=cast.dana.actor)
    book(cast, cast.bea, cast.at(10))
    offers.offer_freed_times()
    assert (offered(), the_freed().outcome) == ([], "taken")


def test_a_time_that_somebody_only_holds_may_still_be_offered_later(cast: Cast) -> None:
    waits(cast, cast.ana)
    booking.cancel_appointment(full(cast).id, actor=cast.dana.actor)
    held = holds.hold_time(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(10),
        minutes=5,
        actor=cast.bea.actor,
    )
    offers.offer_freed_times()
    assert (offered(), the_freed().outcome) == ([], None)
    holds.release_hold(held.id, actor=cast.bea.actor)
    assert offers.offer_freed_times() == 1


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


def test_a_visit_that_took_place_ends_the_wish(cast: Cast) -> None:
    later = book(cast, cast.ana, cast.at(9, weeks=2))
    entry = waits(cast, cast.ana, appointment_id=later.id)
    db.session.execute(update(Appointment).where(Appointment.id == later.id).values(status="arrived"))
    offers.expire_offers()
    assert waitlist.read(entry.id, actor=cast.ana.actor).status == "over"


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
