"""Freed times are offered to those who wait: best fit first, then whoever waits longest.

Everything by the database's clock. A freed time is locked while an offer of it is made (SKIP LOCKED), and so is the
patient who gets it: two clocks or workers never offer the same twice. Behind each offer stands a hold, an ordinary
row of appointments, so the constraints that guard bookings guard offers, too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import TSTZRANGE
from sqlalchemy.dialects.postgresql import insert as insert_or_leave

from server.extensions import db
from server.models import (
    Appointment,
    ClinicSettings,
    FreedTime,
    Location,
    Patient,
    Status,
    WaitlistEntry,
    WaitlistOffer,
)
from server.services import access, audit, availability, occupancy, outbox, rules, sessions, wishes
from server.services.access import SYSTEM
from server.services.availability import Found
from server.services.transaction import atomic, retried
from server.utils import clock
from server.utils.tokens import new_id

SHORTEST = 10  # minutes that somebody has to answer, however near the start is
STARTS = 200  # of one service looked at in one freed time


@dataclass(frozen=True)
class Moment:
    """Now, at the place of a freed time, with what the clinic has settled about offers."""

    at: datetime
    zone: str
    settings: ClinicSettings

    @property
    def is_quiet(self) -> bool:
        """Whether no offer is sent at this hour of the place."""
        begins, ends = self.settings.quiet_from, self.settings.quiet_until
        wall = clock.local(self.at, self.zone).time()
        if begins <= ends:
            return begins <= wall < ends
        return wall >= begins or wall < ends

    @property
    def first_start(self) -> datetime:
        """What starts sooner is not offered any more."""
        shortest = min(SHORTEST, self.settings.offer_minutes)
        return self.at + timedelta(minutes=self.settings.offer_stop_minutes + shortest)

    def minutes_to_answer(self, start: datetime) -> int:
        """How long an offer of this start stands."""
        until_stop = (start - self.at) // timedelta(minutes=1) - self.settings.offer_stop_minutes
        return min(self.settings.offer_minutes, until_stop)


@dataclass(frozen=True)
class Start:
    """A bookable start in a freed time; with a session, one of its seats."""

    at: datetime
    session_id: UUID | None = None


DURING = bindparam("during", type_=TSTZRANGE)

# Who could use a freed time, best fit first (what fills it better, then who asked for this practitioner), then
# whoever waits longest. `is_asked`: another offer of theirs is open.
_CANDIDATES = text("""
    SELECT e.*, s.capacity, lower(later.during) AS later_start,
           EXISTS (SELECT FROM waitlist_offers o WHERE o.entry_id = e.id AND o.status = 'open') AS is_asked,
           ARRAY(SELECT o.start FROM waitlist_offers o
                  WHERE o.entry_id = e.id AND o.practitioner_id = :practitioner_id) AS was_offered
      FROM waitlist_entries e
      JOIN patients p ON p.id = e.patient_id AND p.email <> ''
      JOIN healthcare_services s ON s.id = e.service_id AND s.is_active
      LEFT JOIN appointments later ON later.id = e.appointment_id
     WHERE e.status = 'waiting'
       AND (e.practitioner_id IS NULL OR e.practitioner_id = :practitioner_id)
       AND (e.location_id IS NULL OR e.location_id = :location_id)
       AND (e.appointment_id IS NULL OR (later.status IN ('pending', 'booked')
                                         AND lower(later.during) > lower(CAST(:during AS tstzrange))))
       AND NOT EXISTS (SELECT FROM waitlist_offers o WHERE o.entry_id = e.id AND o.freed_time_id = :freed_id)
     ORDER BY least(make_interval(mins => s.duration_minutes + s.buffer_before_minutes + s.buffer_after_minutes),
                    upper(CAST(:during AS tstzrange)) - lower(CAST(:during AS tstzrange))) DESC,
              e.practitioner_id IS NULL, e.created_at, e.id
""").bindparams(DURING)

# Once the patient is locked: whether they may be asked now. Offers count by patient, whatever they wait for.
_MAY_BE_ASKED = text("""
    SELECT count(*) FILTER (WHERE o.created_at > clock_timestamp() - interval '7 days') < :offers_a_week
           AND count(*) FILTER (WHERE o.status = 'open' AND o.entry_id = :entry_id) = 0
      FROM waitlist_entries e JOIN waitlist_offers o ON o.entry_id = e.id WHERE e.patient_id = :patient_id
""")

# What became of the stretch: held by somebody at this moment; taken, by an offer or by whoever was quicker.
_FATE = text("""
    SELECT coalesce(bool_or(a.status = 'proposed'), false) AS is_held,
           coalesce(bool_or(a.status <> 'proposed' AND (a.session_id IS NULL
                            OR (a.lane > 0 AND a.created_at >= :freed_at))), false) AS is_taken
      FROM appointments a
     WHERE a.practitioner_id = :practitioner_id AND a.during && :during
       AND (a.status IN ('pending', 'booked', 'arrived', 'fulfilled')
            OR (a.status = 'proposed' AND a.hold_expires_at > clock_timestamp()))
""").bindparams(DURING)


def offer_freed_times() -> int:
    """Offer what is free of every freed time to those who wait; answers how many offers were made."""
    open_ones = select(FreedTime.id).where(FreedTime.outcome.is_(None)).order_by(FreedTime.created_at, FreedTime.id)
    made = 0
    for freed_id in db.session.scalars(open_ones).all():
        while _offer_one(freed_id):
            made += 1
    return made


@retried
def _offer_one(freed_id: UUID) -> bool:
    """Make one offer of this freed time; close it when nobody is left. A transaction each: none waits for long."""
    with atomic():
        freed = db.session.scalars(
            select(FreedTime)
            .where(FreedTime.id == freed_id, FreedTime.outcome.is_(None))
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).one_or_none()
        if freed is None:  # closed, or another worker has it
            return False
        moment = _moment(freed)
        is_too_late = freed.end <= moment.first_start
        if is_too_late:
            _close(freed, otherwise="over")
            return False
        if moment.is_quiet:
            return False
        is_offered, somebody_is_left = _try_candidates(freed, moment)
        if not is_offered and not somebody_is_left:
            _close(freed, otherwise="nobody")
        return is_offered


def _moment(freed: FreedTime) -> Moment:
    db.session.execute(insert_or_leave(ClinicSettings).values(id=True).on_conflict_do_nothing())
    settings = db.session.get_one(ClinicSettings, True, populate_existing=True)
    zone = db.session.scalars(select(Location.time_zone).where(Location.id == freed.location_id)).one()
    return Moment(db.session.scalars(select(func.clock_timestamp())).one(), zone, settings)


def _close(freed: FreedTime, *, otherwise: str) -> None:
    """End its story, unless somebody holds a part of it and may let it go."""
    values = {"practitioner_id": freed.practitioner_id, "during": freed.during, "freed_at": freed.created_at}
    fate = db.session.execute(_FATE, values).one()
    if fate.is_held:
        return
    outcome = "taken" if fate.is_taken else otherwise
    db.session.execute(
        update(FreedTime)
        .where(FreedTime.id == freed.id)
        .values(outcome=outcome, closed_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )


def _try_candidates(freed: FreedTime, moment: Moment) -> tuple[bool, bool]:
    """Whether an offer was made, and whether somebody who is busy at this moment could still use the time."""
    candidates = db.session.execute(
        _CANDIDATES,
        {
            "freed_id": freed.id,
            "practitioner_id": freed.practitioner_id,
            "location_id": freed.location_id,
            "during": freed.during,
        },
    ).all()
    starts: dict[UUID, list[Start]] = {}
    somebody_is_left = False
    for entry in candidates:
        if entry.service_id not in starts:
            starts[entry.service_id] = _starts(entry, freed, moment)
        for start in suitable(starts[entry.service_id], entry, moment):
            if entry.is_asked or not _lock(entry):
                somebody_is_left = True
                break
            if not _may_be_asked(entry, moment):
                break
            if _offer(entry, start, freed, moment):
                return True, True
    return False, somebody_is_left


def _starts(entry: Row[Any], freed: FreedTime, moment: Moment) -> list[Start]:
    """The starts of a service in a freed time, as patients would see them."""
    from_at = max(freed.start, moment.first_start)
    to_at = min(freed.end, moment.at + timedelta(days=availability.MAX_DAYS))
    if from_at >= to_at:
        return []
    if entry.capacity > 1:
        listed = sessions.list_sessions(
            from_at=from_at,
            to_at=to_at,
            service_id=entry.service_id,
            practitioner_id=freed.practitioner_id,
            location_id=freed.location_id,
            only_free=True,
            limit=STARTS,
        )
        return [Start(each.appointment.start, each.id) for each in listed]
    found = availability.search(
        entry.service_id,
        from_at=from_at,
        to_at=to_at,
        practitioner_id=freed.practitioner_id,
        location_id=freed.location_id,
        limit=STARTS,
    )
    return [Start(free.start) for free in found]


def suitable(starts: Iterable[Start], entry: Row[Any], moment: Moment) -> Iterable[Start]:
    """Those that fulfil what the entry wishes, in the wall time of the place, and are a gain."""
    soonest = moment.at + timedelta(minutes=entry.notice_minutes)
    for start in starts:
        wall = clock.local(start.at, moment.zone)
        if (
            start.at >= soonest
            and (entry.later_start is None or start.at < entry.later_start)
            and (not entry.weekdays or wall.isoweekday() in entry.weekdays)
            and (entry.from_time is None or _is_within(wall.time(), entry.from_time, entry.until_time))
            and (entry.from_on is None or wall.date() >= entry.from_on)
            and (entry.until_on is None or wall.date() <= entry.until_on)
            and start.at not in entry.was_offered
        ):
            yield start


def _is_within(wall: time, from_time: time, until_time: time) -> bool:
    return from_time <= wall < until_time


def _lock(entry: Row[Any]) -> bool:
    """Lock the entry and its patient for this transaction; not when somebody else has them, nor when it has ended."""
    query = (
        select(WaitlistEntry.id)
        .join(Patient, Patient.id == WaitlistEntry.patient_id)
        .where(WaitlistEntry.id == entry.id, WaitlistEntry.status == wishes.WAITING)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return db.session.scalar(query) is not None


def _may_be_asked(entry: Row[Any], moment: Moment) -> bool:
    values = {
        "entry_id": entry.id,
        "patient_id": entry.patient_id,
        "offers_a_week": moment.settings.offers_a_week,
    }
    return bool(db.session.scalar(_MAY_BE_ASKED, values))


def _offer(entry: Row[Any], start: Start, freed: FreedTime, moment: Moment) -> bool:
    """Hold the start and offer it; False when this patient could not book it, or it has just been taken."""
    offer_id = new_id()
    hold = _hold(entry, start, freed, offer_id=offer_id, minutes=moment.minutes_to_answer(start.at))
    if hold is None:
        return False
    db.session.execute(
        insert(WaitlistOffer).values(
            id=offer_id,
            entry_id=entry.id,
            freed_time_id=freed.id,
            hold_id=hold.id,
            practitioner_id=freed.practitioner_id,
            location_id=freed.location_id,
            start=start.at,
            expires_at=hold.hold_expires_at,
        )
    )
    audit.record(
        "waitlist.offered",
        actor=SYSTEM,
        object_type="WaitlistOffer",
        object_id=offer_id,
        patient_id=entry.patient_id,
    )
    outbox.post("waitlist-offer", patient_id=entry.patient_id, offer_id=offer_id)
    return True


def _hold(entry: Row[Any], start: Start, freed: FreedTime, *, offer_id: UUID, minutes: int) -> Appointment | None:
    """The hold behind an offer: owned by the offer, so that it is none of the two that the patient may have."""
    if start.session_id is not None:
        session = sessions.read_session(start.session_id).appointment
        if occupancy.patient_is_busy(entry.patient_id, session.during, entry.appointment_id):
            return None
        return sessions.hold_seat(
            start.session_id,
            patient_id=entry.patient_id,
            owner_id=offer_id,
            minutes=minutes,
            ignore_id=entry.appointment_id,
        )
    facts = partial(
        availability.facts,
        entry.service_id,
        practitioner_id=freed.practitioner_id,
        start=start.at,
        location_id=freed.location_id,
    )
    found = facts()
    if forbidding(found, start=start.at, entry=entry):
        return None
    return occupancy.insert_in_any_room(
        found,
        facts=facts,
        status=Status.PROPOSED,
        patient_id=None,
        hold_owner_id=offer_id,
        hold_minutes=minutes,
        actor=SYSTEM,
        action="hold.made",
    )


def forbidding(found: Found, *, start: datetime, entry: Row[Any]) -> Sequence[object]:
    """Why this patient could not book it themselves."""
    somebody = access.visitor()  # with no role: every rule binds
    against: list[object] = list(availability.reasons(found, start=start, actor=somebody))
    against += rules.against_patient(
        found, start=start, patient_id=entry.patient_id, actor=somebody, ignore_id=entry.appointment_id
    )
    if occupancy.patient_is_busy(entry.patient_id, found.during, entry.appointment_id):
        against.append("busy")
    return against
