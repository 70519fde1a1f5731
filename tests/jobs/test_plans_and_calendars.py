"""The jobs behind leave and practitioners' own calendars, as the clock and the workers run them."""

import json

import redis
from flask import Flask

from server.extensions import db
from server.jobs.timetable import BY_NAME
from server.jobs.wake import plans_bell
from server.models import Appointment, ExternalCalendar
from server.services import booking, closures
from server.utils import clock
from tests.cast import ZONE, Cast


def test_a_saved_plan_is_carried_out_at_once_and_not_at_the_next_tick(app: Flask, cast: Cast) -> None:
    client: redis.Redis = app.config["SESSION_REDIS"]
    plans_bell.quiet_until = 0.0
    visit = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
    )
    client.delete("now")
    start, end = clock.day_bounds(cast.day(), ZONE)
    closures.create_closure(
        practitioner_id=cast.dr_cho.practitioner_id,
        start=start,
        end=end,
        plan=[{"appointment_id": visit.id, "action": "cancel"}],
        actor=cast.dana.actor,
    )
    sent = [json.loads(message) for message in client.lrange("now", 0, -1)]  # type: ignore[union-attr]
    assert len(sent) == 1
    assert str(visit.id) not in str(sent)  # the name of a job, and no ids of visits
    assert BY_NAME["carry-out-plans"].run() == 1
    assert BY_NAME["carry-out-plans"].run() == 0
    assert db.session.get_one(Appointment, visit.id, populate_existing=True).status == "cancelled"


def test_the_job_reads_no_private_address_unless_the_operator_allows_it(cast: Cast) -> None:
    """Also one that got into the table some other way."""
    for practitioner, url in ((cast.dr_cho, "https://127.0.0.1:1/x"), (cast.dr_diaz, "file:///etc/passwd")):
        db.session.add(ExternalCalendar(practitioner_id=practitioner.practitioner_id, url=url))
    db.session.commit()
    assert BY_NAME["fetch-external-calendars"].run() == 0
    errors = {row.error for row in db.session.query(ExternalCalendar).populate_existing()}
    assert errors == {
        "The address leads into a private network, which is not allowed.",
        "The address must begin with https://.",
    }
