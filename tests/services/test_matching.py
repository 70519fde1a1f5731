"""What becomes free is offered to who waits: in turn, with a hold behind it, until a deadline."""

from datetime import time, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from server.extensions import db
from server.models import FreedTime
from server.services import booking, holds, offers
from server.services.booking import SlotTaken
from server.utils import clock
from tests.cast import ZONE, Cast
from tests.services.waiting import (
    book,
    frees,
    full,
    letters,
    offered,
    opens,
    patients,
    settle,
    somebody,
    the_freed,
    the_offer,
    visit_now,
    waits,
)

pytestmark = pytest.mark.usefixtures("no_quiet_hours")


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
