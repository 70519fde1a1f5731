"""Time that became free: written down in the transaction that freed it, so that whoever waits hears of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range

from server.extensions import db
from server.models import Appointment
from server.utils.tokens import new_id

_RECORD = text("""
    INSERT INTO freed_times (id, practitioner_id, location_id, during, cause)
    SELECT CAST(:id AS uuid), CAST(:practitioner_id AS uuid), CAST(:location_id AS uuid),
           CAST(:during AS tstzrange), CAST(:cause AS text)
     WHERE upper(CAST(:during AS tstzrange)) > statement_timestamp()
       AND EXISTS (SELECT FROM waitlist_entries WHERE status = 'waiting')
""").bindparams(bindparam("during", type_=TSTZRANGE))


def by_appointment(freed: Appointment, *, cause: str) -> None:
    """The time of an appointment that is about to be given up; what was overbooked frees nothing."""
    if freed.lane >= 0:
        record(freed.practitioner_id, location_id=freed.location_id, during=freed.occupied, cause=cause)


def record(practitioner_id: UUID, *, location_id: UUID, during: Range[datetime], cause: str) -> None:
    """A stretch of a practitioner's time, when it lies ahead and anybody waits at all."""
    db.session.execute(
        _RECORD,
        {
            "id": new_id(),
            "practitioner_id": practitioner_id,
            "location_id": location_id,
            "during": during,
            "cause": cause,
        },
    )
