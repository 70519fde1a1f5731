"""The end of a wish: entries of the waitlist are closed, and what was offered to them is taken back.

In the transaction of whatever ends them, so that no time stays held for somebody who does not want it any more.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update

from server.extensions import db
from server.models import Appointment, Status, WaitlistEntry, WaitlistOffer

OPEN_OFFER, WAITING = "open", "waiting"


def end(entry_ids: Sequence[UUID], *, status: str) -> None:
    """Close these entries ("left" or "over") and take back what they are offered."""
    if not entry_ids:
        return
    db.session.execute(
        update(WaitlistEntry)
        .where(WaitlistEntry.id.in_(entry_ids), WaitlistEntry.status == WAITING)
        .values(status=status)
        .execution_options(synchronize_session=False)
    )
    take_back(WaitlistOffer.entry_id.in_(entry_ids))


def after_cancel(cancelled: Appointment, *, by_clinic: bool) -> None:
    """Whoever waited to have this visit earlier: a patient who gives it up gives up the wish, too.

    When the clinic cancels, the wish stays, and an accepted offer is a new booking.
    """
    waits = (WaitlistEntry.appointment_id == cancelled.id) & (WaitlistEntry.status == WAITING)
    if not by_clinic:
        end(db.session.scalars(select(WaitlistEntry.id).where(waits).with_for_update()).all(), status="over")
        return
    db.session.execute(
        update(WaitlistEntry).where(waits).values(appointment_id=None).execution_options(synchronize_session=False)
    )


def take_back_seats(session_id: UUID) -> None:
    """Of a group session that is cancelled: seats that are offered, or held at all."""
    held = select(Appointment.id).where(Appointment.session_id == session_id, Appointment.status == Status.PROPOSED)
    take_back(WaitlistOffer.hold_id.in_(held))
    db.session.execute(delete(Appointment).where(Appointment.id.in_(held)).execution_options(synchronize_session=False))


def take_back(which: ColumnElement[bool], *, status: str = "withdrawn") -> Sequence[Any]:
    """End the open offers that fit; rows of (id, hold_id, entry_id). Their times are free again.

    A hold that somebody else locks is being deleted at this moment, because it has expired.
    """
    ended = db.session.execute(
        update(WaitlistOffer)
        .where(WaitlistOffer.status == OPEN_OFFER, which)
        .values(status=status, answered_at=func.clock_timestamp())
        .returning(WaitlistOffer.id, WaitlistOffer.hold_id, WaitlistOffer.entry_id)
        .execution_options(synchronize_session=False)
    ).all()
    if ended:
        held = (
            select(Appointment.id)
            .where(Appointment.id.in_([row.hold_id for row in ended]), Appointment.status == Status.PROPOSED)
            .with_for_update(skip_locked=True)
        )
        db.session.execute(
            delete(Appointment)
            .where(Appointment.id.in_(db.session.scalars(held).all()))
            .execution_options(synchronize_session=False)
        )
    return ended
