"""What staff see of the waitlist: each freed time's story, and how well its offers do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import joinedload, selectinload

from server.extensions import db
from server.models import FreedTime, WaitlistEntry, WaitlistOffer
from server.services import access, audit
from server.services.access import Actor
from server.services.transaction import atomic

# What published experience with automated waitlists reports, to hold one's own figures against.
YARDSTICK = {"accepted_share": 0.11, "median_days_gained": 14.0}


def freed_times(
    *, actor: Actor, limit: int = 50, outcome: str | None = None, after: dict[str, Any] | None = None
) -> tuple[Sequence[FreedTime], dict[str, str] | None]:
    """The stories, newest first: what became free and why, who was offered it, what became of it. Staff only.

    `outcome`: taken, nobody, over, or open.
    """
    newest = tuple_(FreedTime.created_at, FreedTime.id)
    query = (
        select(FreedTime)
        .options(
            joinedload(FreedTime.practitioner),
            joinedload(FreedTime.location),
            selectinload(FreedTime.offers)
            .joinedload(WaitlistOffer.entry)
            .options(joinedload(WaitlistEntry.patient), joinedload(WaitlistEntry.service)),
        )
        .order_by(FreedTime.created_at.desc(), FreedTime.id.desc())
        .limit(limit + 1)
        .execution_options(populate_existing=True)
    )
    if outcome is not None:
        query = query.where(FreedTime.outcome.is_(None) if outcome == "open" else FreedTime.outcome == outcome)
    if after:
        query = query.where(newest < tuple_(datetime.fromisoformat(after["created_at"]), UUID(after["id"])))
    with atomic():
        access.demand("read", actor=actor)
        found = db.session.scalars(query).all()
        audit.record("waitlist.stories-read", actor=actor, object_type="FreedTime")
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], {"created_at": last.created_at.isoformat(), "id": str(last.id)}


# An offer that is still open has not been decided; one that was taken back was never the patient's to decide.
_FIGURES = text("""
    SELECT s.id AS service_id, s.name,
           (SELECT count(*) FROM waitlist_entries w WHERE w.service_id = s.id AND w.status = 'waiting') AS waiting,
           count(o.id) AS offers,
           count(o.id) FILTER (WHERE o.status = 'open') AS open,
           count(o.id) FILTER (WHERE o.status = 'accepted') AS accepted,
           count(o.id) FILTER (WHERE o.status = 'declined') AS declined,
           count(o.id) FILTER (WHERE o.status = 'expired') AS expired,
           count(o.id) FILTER (WHERE o.status = 'withdrawn') AS withdrawn,
           round(count(o.id) FILTER (WHERE o.status = 'accepted')::numeric
                 / nullif(count(o.id) FILTER (WHERE o.status IN ('accepted', 'declined', 'expired')), 0), 3)
               AS accepted_share,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY o.days_gained) AS median_days_gained
      FROM healthcare_services s
      JOIN waitlist_entries e ON e.service_id = s.id
      LEFT JOIN waitlist_offers o ON o.entry_id = e.id
       AND (CAST(:from_at AS timestamptz) IS NULL OR o.created_at >= :from_at)
       AND (CAST(:to_at AS timestamptz) IS NULL OR o.created_at < :to_at)
     GROUP BY GROUPING SETS ((s.id, s.name), ())
     ORDER BY s.name NULLS FIRST
""")


def figures(*, actor: Actor, from_at: datetime | None = None, to_at: datetime | None = None) -> dict[str, Any]:
    """How many offers were made in [from_at, to_at), what became of them, and the days they gained. Staff only.

    `in_all`, and `services`: each {waiting, offers, open, accepted, declined, expired, withdrawn, accepted_share,
    median_days_gained}; the share is of those that were decided, the days of those that moved a later visit.
    """
    with atomic():
        access.demand("read", actor=actor)
        rows = [dict(row._mapping) for row in db.session.execute(_FIGURES, {"from_at": from_at, "to_at": to_at})]
        audit.record("report.read", actor=actor, object_type="WaitlistOffer")
    for row in rows:
        row["accepted_share"] = None if row["accepted_share"] is None else float(row["accepted_share"])
    in_all = next(row for row in rows if row["service_id"] is None)
    services = [row for row in rows if row["service_id"] is not None]
    in_all["waiting"] = sum(row["waiting"] for row in services)
    return {"in_all": in_all, "services": services, "yardstick": YARDSTICK}
