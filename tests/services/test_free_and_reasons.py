"""What SQL calls free and what the rules have reasons against: of every time they say the same."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from server.extensions import db
from server.models import HealthcareService
from server.services import availability
from server.services.availability import FACTS, Found
from server.services.statements import Statement
from tests.cast import Cast
from tests.factories import create_appointment, create_closure, create_room, create_schedule, create_service

KINDS = {
    "every quarter of an hour": {"step_minutes": 15},
    "by telephone only": {"self_bookable": False},
    "three weeks of notice": {"minimum_notice_minutes": 21 * 1440},
    "a day ahead at most": {"horizon_days": 1},
    "buffers": {"buffer_before_minutes": 20, "buffer_after_minutes": 20},
    "any exam room": {"room_kind": "exam"},
    "a device that nobody has": {"device_kind": "laser"},
    "a class": {"capacity": 8},
}
CONDITIONS = (
    "is_open AND ",
    "is_on_step AND ",
    " AND capacity = 1",
    "is_closed OR ",
    "is_busy OR is_buffered OR ",
    " OR is_room_busy",
    " AND (room_kind IS NULL OR room_id IS NOT NULL)",
    " AND (device_kind IS NULL OR device_id IS NOT NULL)",
    "self_bookable AND ",
    " AND lower(during) >= now + make_interval(mins => minimum_notice_minutes)",
    " AND lower(during) < now + make_interval(days => horizon_days)",
)


@pytest.fixture
def services(cast: Cast) -> list[HealthcareService]:
    """dr_cho has a morning of everything, with visits, an exam room in use, a block, and hours of an occupied room."""
    made = [create_service(name=name, **rules) for name, rules in KINDS.items()]
    made.append(create_service(name="nobody offers it"))
    room = create_room(cast.location, kind="exam")
    fixed = create_room(cast.location, kind="procedure")
    doctor, other = cast.practitioner(cast.dr_cho), cast.practitioner(cast.dr_diaz)
    create_schedule(doctor, cast.location, *made[:-1])
    own_room = create_service(name="in a room of its own")
    create_schedule(doctor, cast.location, own_room, room_id=fixed.id)
    made.append(own_room)
    create_appointment(cast.patient(cast.ana), doctor, cast.location, cast.checkup, cast.at(10))
    create_appointment(cast.patient(cast.bea), other, cast.location, cast.checkup, cast.at(11), room_id=room.id)
    create_appointment(cast.patient(cast.bea), other, cast.location, cast.checkup, cast.at(12), room_id=fixed.id)
    create_closure(cast.at(14), cast.at(15), practitioner_id=doctor.id)
    db.session.commit()
    return made


def times(cast: Cast) -> Iterator[datetime]:
    yield cast.at(9, weeks=-1)
    yield cast.at(9, weeks=30)
    for clock in (8.5, 9, 9.25, 9.5, 9.75, 10, 10.25, 10.5, 11, 12, 13.5, 14, 14.5, 15, 16.5, 16.75, 17):
        yield cast.at(0) + clock * timedelta(hours=1)


def differing(cast: Cast, services: list[HealthcareService], statement: Statement) -> list[tuple[str, datetime]]:
    """Where the two disagree; and both have to happen, or nothing was compared."""
    out, seen = [], set()
    for service in services:
        for start in times(cast):
            values = {"service_id": service.id, "practitioner_id": cast.dr_cho.practitioner_id, "start": start}
            found: Found = statement.first({**values, "location_id": None, "ignore_id": None})
            has_none = not availability.reasons(found._replace(is_free=False), start=start, actor=cast.ana.actor)
            seen.add(has_none)
            if found.is_free != has_none:
                out.append((service.name, start))
    assert seen == {True, False}
    return out


def test_a_time_is_free_exactly_when_there_is_no_reason_against_it(cast: Cast, services) -> None:
    assert differing(cast, services, Statement(FACTS)) == []


@pytest.mark.parametrize("left_out", CONDITIONS)
def test_control_a_condition_that_was_left_out_is_noticed(cast: Cast, services, left_out: str) -> None:
    assert FACTS.count(left_out) == 1
    assert differing(cast, services, Statement(FACTS.replace(left_out, "")))
