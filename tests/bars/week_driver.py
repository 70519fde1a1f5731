"""The front desk of the fast week: a process on the same false clock, which moves and cancels visits as it is told.

A line in is `move ID HOURS` or `cancel ID`; the line out is `ok`, or why not.
"""

import sys
from datetime import timedelta
from uuid import UUID

from server.app import create_app
from server.errors import DomainError
from server.extensions import db
from server.models import Appointment
from server.services import booking
from server.services.access import SYSTEM
from server.settings import load


def act(what: str, visit_id: UUID, hours: int = 0) -> str:
    try:
        if what == "cancel":
            booking.cancel_appointment(visit_id, actor=SYSTEM)
        else:
            visit = db.session.get_one(Appointment, visit_id, populate_existing=True)
            booking.reschedule_appointment(
                visit_id,
                start=visit.start + timedelta(hours=hours),
                location_id=visit.location_id,
                actor=SYSTEM,
                override_reason="The week is fast.",
            )
    except DomainError as refused:
        return f"{type(refused).__name__}: {refused}"
    return "ok"


if __name__ == "__main__":
    with create_app(load()).app_context():
        print("ready", flush=True)  # noqa: T201 - the line that the test waits for
        for line in sys.stdin:
            what, visit_id, *hours = line.split()
            print(act(what, UUID(visit_id), *map(int, hours)), flush=True)  # noqa: T201 - as above
