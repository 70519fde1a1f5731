"""Time that became free: written down in the transaction that freed it, so that whoever waits hears of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.models import Appointment, FreedTime, WaitlistEntry
from server.utils import clock
from server.utils.tokens import new_id


def by_appointment(freed: Appointment, *, cause: str) -> None:
    """The time of an appointment that is about to be given up; what was overbooked frees nothing."""
    if freed.lane >= 0:
        record(freed.practitioner_id, location_id=freed.location_id, during=freed.occupied, cause=cause)


def record(practitioner_id: UUID, *, location_id: UUID, during: Range[datetime], cause: str) -> None:
    """A stretch of a practitioner's time, when it lies ahead and anybody waits at all."""
    if during.upper is None or during.upper <= clock.now():
        return
    somebody_waits = db.session.query(WaitlistEntry.id).filter_by(status="waiting").limit(1).first()
    if somebody_waits is None:
        return
    db.session.execute(
        insert(FreedTime).values(
            id=new_id(), practitioner_id=practitioner_id, location_id=location_id, during=during, cause=cause
        )
    )
