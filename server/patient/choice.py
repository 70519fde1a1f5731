"""What this browser is choosing: kept as ids in its session, so that it survives signing in and an ended hold."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from flask import session

from server.errors import NotVisible
from server.models import Appointment, HealthcareService, Location, Practitioner
from server.services import directory, holds
from server.utils import clock
from server.web.forms import read_instant, read_uuid
from server.web.identity import current_actor

KEY = "chosen"


@dataclass(frozen=True)
class Choice:
    """`held_until`: None when the hold has ended; the time may still be free. `visit_id`: what it became."""

    hold_id: UUID
    service: HealthcareService
    practitioner: Practitioner
    location: Location
    start: datetime
    held_until: datetime | None = None
    visit_id: UUID | None = None

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.service.duration_minutes)

    @property
    def seconds_left(self) -> int:
        """Until the hold ends."""
        return max(0, int((self.held_until - clock.now()).total_seconds())) if self.held_until else 0


def keep(held: Appointment) -> None:
    """Remember what was chosen with this hold, instead of what was before."""
    session[KEY] = {
        "hold": str(held.id),
        "service": str(held.service_id),
        "practitioner": str(held.practitioner_id),
        "location": str(held.location_id),
        "start": held.start.isoformat(),
    }


def booked(hold_id: UUID, visit_id: UUID) -> None:
    """The choice became a visit: a form sent twice, or the way back, leads there."""
    session[KEY] = {**session.get(KEY, {}), "hold": str(hold_id), "visit": str(visit_id)}


def forget() -> None:
    """Nothing is being chosen."""
    session.pop(KEY, None)


def visit_of(hold_id: UUID) -> UUID | None:
    """The visit that this browser's hold became."""
    kept = session.get(KEY) or {}
    return read_uuid(kept.get("visit")) if kept.get("hold") == str(hold_id) else None


def current(hold_id: UUID | None = None) -> Choice | None:
    """What the reader is choosing, with this hold or at all; None when there is nothing open."""
    for held in holds.current_holds(current_actor()):
        if hold_id in (None, held.id):
            return Choice(
                held.id, held.service, held.practitioner, held.location, held.start, held_until=held.hold_expires_at
            )
    return _from_session(hold_id)


def _from_session(hold_id: UUID | None) -> Choice | None:
    kept = session.get(KEY) or {}
    kept_id, start = read_uuid(kept.get("hold")), read_instant(kept.get("start"))
    ids = [read_uuid(kept.get(name)) for name in ("service", "practitioner", "location")]
    if kept_id is None or start is None or start <= clock.now() or "visit" in kept or hold_id not in (None, kept_id):
        return None
    service_id, practitioner_id, location_id = ids
    if service_id is None or practitioner_id is None or location_id is None:
        return None
    try:
        return Choice(
            kept_id,
            directory.service(service_id),
            directory.practitioner(practitioner_id),
            directory.location(location_id),
            start,
        )
    except NotVisible:  # the clinic does not offer it any more
        return None
