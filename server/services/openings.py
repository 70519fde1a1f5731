"""Time that opens because hours changed or a closure went: whoever waits for an earlier time hears of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.services import freed
from server.services.opening_hours import OPENINGS
from server.utils import clock
from server.utils.spans import Span, without

AHEAD = timedelta(days=60)
AT_MOST = 500  # stretches that one change tells of

Openings = dict[tuple[UUID, UUID], list[Span]]  # (practitioner id, location id) -> spans

_OPENINGS = text(OPENINGS)


def openings(
    *, practitioner_id: UUID | None = None, location_id: UUID | None = None, spans: Iterable[Span] | None = None
) -> Openings:
    """Opening hours of one practitioner or of all, within these spans and the next 60 days."""
    now = clock.now()
    found: Openings = {}
    for start, end in [(now, now + AHEAD)] if spans is None else spans:
        lower, upper = max(start, now), min(end, now + AHEAD)
        if lower >= upper:
            continue
        values = {
            "practitioner_id": practitioner_id,
            "location_id": location_id,
            "from_at": lower,
            "to_at": upper,
        }
        for row in db.session.execute(_OPENINGS, values):
            found.setdefault((row.practitioner_id, row.location_id), []).append((row.opening.lower, row.opening.upper))
    return found


def tell(opened: Openings, *, before: Openings | None = None) -> None:
    """Write down what opened: these hours, without those that were there `before`."""
    stretches = sorted(
        (start, end, practitioner_id, location_id)
        for (practitioner_id, location_id), spans in opened.items()
        for start, end in without(spans, (before or {}).get((practitioner_id, location_id), ()))
    )
    for start, end, practitioner_id, location_id in stretches[:AT_MOST]:
        during: Range[datetime] = Range(start, end, bounds="[)")
        freed.record(practitioner_id, location_id=location_id, during=during, cause="opened")
