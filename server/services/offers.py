"""Offers of freed times: read, accepted, declined, expired. `matching` makes them.

Whoever changes an offer locks in this order: the visit that it would move, the entry, the offer, the practitioners.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.orm import joinedload

from server.errors import Conflict, NotVisible
from server.extensions import db
from server.models import Appointment, Status, WaitlistEntry, WaitlistOffer
from server.services import audit, availability, booking, freed, occupancy, outbox, reminders, rules, waitlist, wishes
from server.services.access import SYSTEM, Actor
from server.services.availability import Found
from server.services.matching import offer_freed_times
from server.services.transaction import atomic, retried
from server.utils import clock

NOW = func.clock_timestamp()
# Since the offer was made: the practitioner is away, or does not work there any more.
NOT_ANY_MORE = frozenset({"closure", "outside-hours", "not-offered"})
# What a visit gets from the hold that it takes the place of.
PLACE = (
    "practitioner_id", "location_id", "room_id", "device_id", "during", "occupied", "lane", "session_id", "capacity",
)  # fmt: skip

WITH_NAMES = (
    joinedload(WaitlistOffer.practitioner),
    joinedload(WaitlistOffer.location),
    joinedload(WaitlistOffer.entry).options(
        joinedload(WaitlistEntry.patient),
        joinedload(WaitlistEntry.service),
        joinedload(WaitlistEntry.appointment).options(
            joinedload(Appointment.location), joinedload(Appointment.practitioner), joinedload(Appointment.service)
        ),
    ),
)

# What became of an offer, in words for whoever comes late.
ENDED = {
    "accepted": "This offer was accepted.",
    "declined": "This offer was declined, and the time went on to others.",
    "expired": "This offer was not answered in time, and the time went on to others.",
    "withdrawn": "This offer was taken back: the wish or the time behind it is gone.",
}


class OfferOver(Conflict):
    """The offer is not open any more; `state` says what became of it."""

    slug, title = "offer-over", "This offer is over"


@retried
def accept_offer(offer_id: UUID, *, actor: Actor) -> WaitlistOffer:
    """Take the offered time: one transaction that books it, or moves the later visit to it.

    The cut-off of the later visit does not bind here: it keeps patients from leaving the clinic with an empty time
    at short notice, and this move is the clinic's own offer, which fills an emptier one; what it frees is offered in
    turn. Notice and horizon bound when the offer was made; limits are asked again, for other visits may have been
    booked meanwhile. Raises OfferOver, PatientBusy, RulesForbid, WrongState, NotVisible.
    """
    with atomic():
        offer, later = _lock(offer_id, actor=actor)
        entry = offer.entry
        if later is not None:
            rules.demand_state(later, rules.OPEN, "move")
            if later.start <= offer.start:
                raise OfferOver("Your visit is by now earlier than this time.", state=offer.status)
            booking.lock_practitioners(offer.practitioner_id, later.practitioner_id)
        hold = _hold_of(offer)
        found = _demand_still_right(offer, hold, actor=actor)
        gained = None
        if later is None:
            _book(offer, hold, found, actor=actor)
            visit_id = hold.id
        else:
            gained = _days_between(offer, later)
            _move(later, hold)
            visit_id = later.id
        db.session.execute(
            update(WaitlistEntry)
            .where(WaitlistEntry.id == entry.id)
            .values(status="booked", appointment_id=visit_id)
            .execution_options(synchronize_session=False)
        )
        _answer(offer, "accepted", actor=actor, days_gained=gained)
        if later is not None:
            freed.by_appointment(later, cause="moved")  # its time may be offered in turn
            booking.record(later, "rescheduled", actor=actor, letter="appointment-moved")
        return _fetch(offer_id, actor=actor)


@retried
def decline_offer(offer_id: UUID, *, actor: Actor) -> WaitlistOffer:
    """Say no: the time goes on to the next, and the patient stays on the list. Raises OfferOver, NotVisible."""
    with atomic():
        offer, _ = _lock(offer_id, actor=actor)
        wishes.take_back(WaitlistOffer.id == offer.id, status="declined")
        _record(offer, "declined", actor=actor)
        return _fetch(offer_id, actor=actor)


@retried
def expire_offers() -> int:
    """End what was not answered in time, and what makes no sense any more; returns how many offers ended.

    Those who wait for nothing any more are over, too: the visit took place, or the last day they wished for is past.
    """
    with atomic():
        ended = _end_offers(WaitlistOffer.expires_at <= NOW, status="expired")
    with atomic():
        _end_wishes()
        lost = select(Appointment.id).where(Appointment.status == Status.CANCELLED)
        is_lost = or_(WaitlistOffer.hold_id.is_(None), WaitlistOffer.hold_id.in_(lost))
        return ended + _end_offers(is_lost, status="withdrawn")


def _end_offers(which: Any, *, status: str) -> int:
    due = (
        select(WaitlistOffer.id)
        .where(WaitlistOffer.status == wishes.OPEN_OFFER, which)
        .with_for_update(skip_locked=True)
    )
    ended = wishes.take_back(WaitlistOffer.id.in_(db.session.scalars(due).all()), status=status)
    patients = dict(
        db.session.execute(
            select(WaitlistEntry.id, WaitlistEntry.patient_id).where(
                WaitlistEntry.id.in_([row.entry_id for row in ended])
            )
        ).all()
    )
    for row in ended:
        patient_id = patients[row.entry_id]
        audit.record(
            f"waitlist.{status}", actor=SYSTEM, object_type="WaitlistOffer", object_id=row.id, patient_id=patient_id
        )
        outbox.post("waitlist-offer-expired", patient_id=patient_id, offer_id=row.id)
    return len(ended)


def _end_wishes() -> None:
    """A visit that the clinic cancelled leaves the wish for a new one; one that took place or began ends it."""
    waits = WaitlistEntry.status == wishes.WAITING
    cancelled = select(Appointment.id).where(Appointment.status.in_((Status.CANCELLED, Status.ENTERED_IN_ERROR)))
    begun = select(Appointment.id).where(
        or_(
            Appointment.status.in_((Status.ARRIVED, Status.FULFILLED, Status.NOSHOW)),
            func.lower(Appointment.during) <= NOW,
        ),
    )
    db.session.execute(
        update(WaitlistEntry)
        .where(waits, WaitlistEntry.appointment_id.in_(cancelled))
        .values(appointment_id=None)
        .execution_options(synchronize_session=False)
    )
    yesterday = func.timezone("UTC", NOW) - timedelta(days=1)  # a day later it is over in every zone
    is_over = or_(WaitlistEntry.appointment_id.in_(begun), WaitlistEntry.until_on < yesterday)
    over = select(WaitlistEntry.id).where(waits, is_over).with_for_update(skip_locked=True)
    wishes.end(db.session.scalars(over).all(), status="over")


# --- reading ---


def read_offer(offer_id: UUID, *, actor: Actor) -> WaitlistOffer:
    """One offer with its names. Raises NotVisible."""
    with atomic():
        found = _fetch(offer_id, actor=actor)
        _record(found, "offer-read", actor=actor)
    return found


def list_offers(
    *,
    actor: Actor,
    limit: int = 50,
    patient_id: UUID | None = None,
    entry_id: UUID | None = None,
    status: str | None = None,
    after: dict[str, Any] | None = None,
) -> tuple[Sequence[WaitlistOffer], dict[str, str] | None]:
    """Visible offers, newest first, and the position to go on from (None when that was all)."""
    query = _visible(actor).options(*WITH_NAMES).order_by(WaitlistOffer.id.desc()).limit(limit + 1)
    if patient_id is not None:
        query = query.where(WaitlistOffer.entry.has(patient_id=patient_id))
    if entry_id is not None:
        query = query.where(WaitlistOffer.entry_id == entry_id)
    if status is not None:
        query = query.where(WaitlistOffer.status == status)
    if after:
        query = query.where(WaitlistOffer.id < UUID(after["id"]))
    with atomic():
        found = db.session.scalars(query.execution_options(populate_existing=True)).all()
        audit.record("waitlist.offers-listed", actor=actor, object_type="WaitlistOffer", patient_id=patient_id)
    return found[:limit], {"id": str(found[limit - 1].id)} if len(found) > limit else None


def _visible(actor: Actor) -> Select[WaitlistOffer]:
    query = select(WaitlistOffer).join(WaitlistEntry, WaitlistEntry.id == WaitlistOffer.entry_id)
    return waitlist.mine(actor, query, patient_id=WaitlistEntry.patient_id)


def _fetch(offer_id: UUID, *, actor: Actor) -> WaitlistOffer:
    query = _visible(actor).where(WaitlistOffer.id == offer_id).options(*WITH_NAMES)
    found = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotVisible("There is no such offer, or it is not yours to see.")
    return found


# --- the parts of accepting ---


def _lock(offer_id: UUID, *, actor: Actor) -> tuple[WaitlistOffer, Appointment | None]:
    """An open offer, and the visit that it would move; both locked, and the entry with them. Raises OfferOver."""
    seen = _fetch(offer_id, actor=actor)
    later = None
    if seen.status == wishes.OPEN_OFFER and (later_id := seen.entry.appointment_id) is not None:
        later = db.session.scalars(
            select(Appointment)
            .where(Appointment.id == later_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        ).one_or_none()
    db.session.execute(select(WaitlistEntry.id).where(WaitlistEntry.id == seen.entry_id).with_for_update())
    db.session.execute(select(WaitlistOffer.id).where(WaitlistOffer.id == offer_id).with_for_update())
    offer = _fetch(offer_id, actor=actor)
    if offer.status != wishes.OPEN_OFFER:
        raise OfferOver(ENDED[offer.status], state=offer.status)
    if db.session.scalar(select(WaitlistOffer.expires_at <= NOW).where(WaitlistOffer.id == offer_id)):
        raise OfferOver(ENDED["expired"], state="expired")
    if offer.entry.appointment_id != (later.id if later else None):  # the clinic has just cancelled it
        later = None
    return offer, later


def _hold_of(offer: WaitlistOffer) -> Appointment:
    hold = db.session.scalars(
        select(Appointment)
        .where(
            Appointment.id == offer.hold_id, Appointment.status == Status.PROPOSED, Appointment.hold_expires_at > NOW
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if hold is None:
        raise OfferOver(ENDED["withdrawn"], state="withdrawn")
    return hold


def _demand_still_right(offer: WaitlistOffer, hold: Appointment, *, actor: Actor) -> Found:
    """The practitioner is still there then, and the patient within the limits. Raises OfferOver, RulesForbid."""
    entry = offer.entry
    found = availability.facts(
        entry.service_id,
        practitioner_id=offer.practitioner_id,
        start=offer.start,
        location_id=offer.location_id,
        ignore_id=hold.id,
    )
    if hold.session_id is None:
        against = availability.reasons(found, start=offer.start, actor=SYSTEM)
        # Busy by their own calendar is away; by a visit here it is one that was put over the held time on purpose.
        if found.is_busy_elsewhere or any(reason.code in NOT_ANY_MORE for reason in against):
            raise OfferOver("The practitioner is not there at this time any more. We are sorry.", state="withdrawn")
    if limits := rules.against_patient(
        found, start=offer.start, patient_id=entry.patient_id, actor=actor, ignore_id=entry.appointment_id
    ):
        raise rules.RulesForbid(limits)
    return found


def _book(offer: WaitlistOffer, hold: Appointment, found: Found, *, actor: Actor) -> None:
    """The hold itself becomes the visit: its time is free at no moment. Raises PatientBusy."""
    entry = offer.entry
    asks_first = found.needs_approval and not actor.may("book")
    answer_by = func.least(NOW + timedelta(minutes=found.approval_minutes), func.lower(Appointment.during))
    booked = (
        update(Appointment)
        .where(Appointment.id == hold.id)
        .values(
            status=Status.PENDING if asks_first else Status.BOOKED,
            patient_id=entry.patient_id,
            booked_by_id=actor.user_id,
            hold_owner_id=None,
            hold_expires_at=None,
            answer_by=answer_by if asks_first else None,
            updated_at=func.clock_timestamp(),
        )
    )
    if not occupancy.fits(booked):
        raise occupancy.PatientBusy("There is another visit of this patient at that time.")
    what = "requested" if asks_first else "booked"
    audit.record(
        f"appointment.{what}",
        actor=actor,
        object_type="Appointment",
        object_id=hold.id,
        patient_id=entry.patient_id,
    )
    reminders.renew(hold.id)
    outbox.post(f"appointment-{what}", patient_id=entry.patient_id, appointment_id=hold.id, sequence=hold.sequence)
    outbox.tell_clinic(
        f"appointment-{what}", patient_id=entry.patient_id, appointment_id=hold.id, sequence=hold.sequence
    )


def _move(later: Appointment, hold: Appointment) -> None:
    """The later visit takes the place of the hold, whichever that is: a time, or a seat. Raises PatientBusy."""
    db.session.execute(
        delete(Appointment).where(Appointment.id == hold.id).execution_options(synchronize_session=False)
    )
    moved = (
        update(Appointment)
        .where(Appointment.id == later.id)
        .values(
            **{name: getattr(hold, name) for name in PLACE},
            confirmed_at=None,
            sequence=Appointment.sequence + 1,
            version=Appointment.version + 1,
            updated_at=func.clock_timestamp(),
        )
    )
    if not occupancy.fits(moved):
        raise occupancy.PatientBusy("There is another visit of this patient at that time.")


def _days_between(offer: WaitlistOffer, later: Appointment) -> int:
    """How much earlier, in days of the calendar of the place."""
    zone = offer.location.time_zone
    return (clock.local(later.start, zone).date() - clock.local(offer.start, zone).date()).days


def _answer(offer: WaitlistOffer, status: str, *, actor: Actor, days_gained: int | None) -> None:
    db.session.execute(
        update(WaitlistOffer)
        .where(WaitlistOffer.id == offer.id)
        .values(status=status, answered_at=func.clock_timestamp(), days_gained=days_gained)
        .execution_options(synchronize_session=False)
    )
    _record(offer, status, actor=actor)


def _record(offer: WaitlistOffer, what: str, *, actor: Actor) -> None:
    audit.record(
        f"waitlist.{what}",
        actor=actor,
        object_type="WaitlistOffer",
        object_id=offer.id,
        patient_id=offer.entry.patient_id,
    )


__all__ = [
    "OfferOver",
    "accept_offer",
    "decline_offer",
    "expire_offers",
    "list_offers",
    "offer_freed_times",
    "read_offer",
]
