"""Is every message accounted for? One question to the database, whose answer staff, operators and the log see."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from server.extensions import db
from server.services.reminders import REPAIRED
from server.services.transaction import atomic

OVERDUE = timedelta(minutes=5)


@dataclass(frozen=True)
class State:
    """`overdue`: messages that nobody has sent five minutes after they were due, the oldest since when.

    `repaired`: reminders that were missing and were written again in the last day.
    """

    overdue: int
    oldest: datetime | None
    repaired: int

    def sentences(self) -> list[str]:
        """What is not well, for the log and for `frontdesk doctor`; none when all is."""
        said = []
        if self.oldest is not None:
            said.append(
                f"{self.overdue} messages are overdue, the oldest since {self.oldest:%Y-%m-%d %H:%M} UTC: is "
                "`frontdesk worker` running, and does the mail server take letters?"
            )
        if self.repaired:
            said.append(
                f"{self.repaired} reminders were missing in the last day and have been written again: who or what "
                "deletes from outbox_messages?"
            )
        return said


# One that was tried waits for its next try: its due time was moved, so it is not overdue before that.
QUESTION = f"""
    SELECT (SELECT count(*) FROM outbox_messages WHERE {{late}}),
           (SELECT min(due_at) FROM outbox_messages WHERE {{late}}),
           (SELECT count(*) FROM outbox_messages
             WHERE detail = '{REPAIRED}' AND created_at > clock_timestamp() - interval '1 day')
""".format(
    late=f"outcome IS NULL AND due_at < clock_timestamp() - interval '{OVERDUE.total_seconds()} seconds'"
    " AND (leased_until IS NULL OR leased_until < clock_timestamp())"
)


def state() -> State:
    """As it stands now."""
    with atomic():
        return State(*db.session.execute(text(QUESTION)).one())
