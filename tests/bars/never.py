"""What never may be in the database, whoever did what in which order: one statement each."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from tests.bars import ledger

STANDS = f"status IN {ledger.OCCUPYING} AND (status <> 'proposed' OR hold_expires_at > statement_timestamp())"

NEVER = {
    "a seat beyond the capacity": f"""
        SELECT FROM (SELECT * FROM appointments WHERE {STANDS}) AS seat JOIN group_sessions g ON g.id = seat.session_id
         WHERE seat.lane > g.capacity""",
    "more seats than the capacity": f"""
        SELECT FROM group_sessions g
         WHERE (SELECT count(*) FROM appointments WHERE session_id = g.id AND lane > 0 AND {STANDS}) > g.capacity""",
    "a seat in a group that is cancelled": f"""
        SELECT FROM (SELECT * FROM appointments WHERE lane > 0 AND {STANDS}) AS seat
          JOIN appointments t ON t.session_id = seat.session_id AND t.lane = 0
         WHERE t.status = 'cancelled'""",
    "an offer that stands without a hold": """
        SELECT FROM waitlist_offers o LEFT JOIN appointments h ON h.id = o.hold_id
         WHERE o.status = 'open' AND o.expires_at > statement_timestamp()
           AND (h.id IS NULL OR h.status <> 'proposed' OR h.hold_owner_id <> o.id OR lower(h.during) <> o.start)""",
    "a hold for an offer that is over": f"""
        SELECT FROM (SELECT * FROM appointments WHERE status = 'proposed' AND {STANDS}) AS hold
          JOIN waitlist_offers o ON o.id = hold.hold_owner_id
         WHERE o.status <> 'open'""",
    "an accepted offer without its one visit": """
        SELECT FROM waitlist_offers o JOIN waitlist_entries e ON e.id = o.entry_id
         WHERE o.status = 'accepted' AND (e.status <> 'booked' OR e.appointment_id IS NULL
                                          OR o.hold_id IS DISTINCT FROM e.appointment_id AND o.hold_id IS NOT NULL)""",
    "a wish that was fulfilled twice, or never": """
        SELECT FROM waitlist_entries e
         WHERE (SELECT count(*) FROM waitlist_offers o WHERE o.entry_id = e.id AND o.status = 'accepted')
               <> (e.status = 'booked')::integer""",
    "an offer to somebody who does not wait": """
        SELECT FROM waitlist_offers o JOIN waitlist_entries e ON e.id = o.entry_id
         WHERE o.status = 'open' AND e.status <> 'waiting'""",
}
for _who, _when, _lane in ledger.CONSTRAINTS.values():
    NEVER[f"two with the same {_who} at one time"] = f"""
        SELECT FROM appointments a JOIN appointments b ON a.{_who} = b.{_who} AND a.{_when} && b.{_when}
            AND a.id < b.id {"AND a.lane = b.lane" if _lane else ""}
         WHERE a.status IN {ledger.OCCUPYING} AND b.status IN {ledger.OCCUPYING}"""

_ALL = text("SELECT " + ", ".join(f"EXISTS ({query})" for query in NEVER.values()))

# Open visits ahead in a closure, about which nothing is decided, or what was decided has failed or came to nothing;
# but for those that staff put there, with a reason, when it was there already.
_UNPLANNED = text("""
    SELECT a.id FROM appointments a
      JOIN closures c ON c.during && a.during AND coalesce(c.practitioner_id, a.practitioner_id) = a.practitioner_id
      LEFT JOIN closure_plan_items i ON i.closure_id = c.id AND i.appointment_id = a.id
     WHERE a.status IN ('pending', 'booked') AND lower(a.during) > clock_timestamp() AND a.lane <= 0
       AND (i.state = 'waiting' OR (i.state = 'done' AND i.action = 'keep')) IS NOT TRUE
       AND NOT (a.override_reason <> '' AND a.created_at > c.created_at)
""")

# Every visit was made known once: by the event that made it, and by a letter, which a series has one of for all.
_UNTOLD = text("""
    SELECT made.id FROM (
        SELECT a.id, a.series_id,
               (SELECT count(*) FROM audit_events e WHERE e.object_id = a.id AND e.action IN
                   ('appointment.booked', 'appointment.requested', 'appointment.overridden', 'appointment.overbooked'))
                   AS events,
               (SELECT count(*) FROM outbox_messages m WHERE m.appointment_id = a.id
                   AND m.letter IN ('appointment-booked', 'appointment-requested') AND m.sequence = 0) AS letters,
               (SELECT count(*) FROM outbox_messages m JOIN appointments s ON s.id = m.appointment_id
                 WHERE s.series_id = a.series_id AND m.letter = 'series-booked') AS of_series
          FROM appointments a WHERE a.status <> 'proposed' AND a.patient_id IS NOT NULL) AS made
     WHERE (made.events, CASE WHEN made.series_id IS NULL THEN made.letters ELSE made.of_series END) <> (1, 1)
""")


def found(connection: Connection) -> list[str]:
    """Which of them is there all the same."""
    return [name for name, is_there in zip(NEVER, connection.execute(_ALL).one(), strict=True) if is_there]


def unplanned(connection: Connection) -> set[UUID]:
    """Visits that must be on the list of the stranded."""
    rows: Any = connection.execute(_UNPLANNED)
    return {row.id for row in rows}


def untold(connection: Connection) -> list[UUID]:
    """Visits that nobody, or somebody twice, was told of."""
    return [row.id for row in connection.execute(_UNTOLD)]
