"""Carrying out the plans of closures: each visit in a transaction of its own, with the commands that everybody uses.

What is done is marked in the transaction that does it, so a worker that dies, or a second one, does nothing twice.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from server.errors import DomainError, Unavailable
from server.extensions import db
from server.models import Appointment, Closure, ClosurePlanItem
from server.services import access, booking, sessions
from server.services.access import Actor
from server.services.rules import OPEN, RulesForbid
from server.services.transaction import abandon, atomic, retried
from server.utils.text import clean_line
from server.utils.tokens import new_id

log = logging.getLogger(__name__)

# How to hurry the workers; the factory sets it. The sweep of the clock finds what they were not told of.
wake: Callable[[], object] | None = None

SETS_ASIDE = frozenset({"limit"})  # what a move that the clinic asks for may break
MOVED = "The clinic moved this visit because of a closure."
CANCELLED = "The clinic or the practitioner is away."  # and why they are is nobody's business
MOVED_LETTER, CANCELLED_LETTER = "appointment-moved-leave", "appointment-cancelled-leave"


def write_item(
    closure_id: UUID,
    appointment_id: UUID,
    *,
    action: str,
    start: datetime | None,
    practitioner_id: UUID | None,
    actor: Actor,
) -> None:
    """What was decided about one visit; to keep it is done with that. A decision that failed is replaced."""
    is_kept = action == "keep"
    values = {
        "action": action,
        "start": start,
        "practitioner_id": practitioner_id,
        "decided_by_id": actor.user_id,
        "state": "done" if is_kept else "waiting",
        "detail": "Kept as it is." if is_kept else "",
    }
    row = insert(ClosurePlanItem).values(id=new_id(), closure_id=closure_id, appointment_id=appointment_id, **values)
    db.session.execute(row.on_conflict_do_update(index_elements=["closure_id", "appointment_id"], set_=values))


def carry_out_due() -> int:
    """Carry out whatever is planned; returns for how many visits something was done."""
    count = 0
    waiting = select(ClosurePlanItem.id).where(ClosurePlanItem.state == "waiting").order_by(ClosurePlanItem.id)
    for item_id in db.session.scalars(waiting).all():
        try:
            count += _carry_out(item_id)
        except Unavailable:
            log.warning("Item %s of a plan waits: too many change the same", item_id)
        except DomainError as refused:
            _fail(item_id, refused.detail)
        except Exception:
            abandon()
            log.exception("Item %s of a plan waits for another try", item_id)
    return count


@retried
def _carry_out(item_id: UUID) -> int:
    with atomic():
        item = _lock(item_id)
        if item is None:  # another worker has it, or has done it
            return 0
        item.detail = _do(item)
        item.state = "done"
        return 1


def _lock(item_id: UUID) -> ClosurePlanItem | None:
    return db.session.scalars(
        select(ClosurePlanItem)
        .where(ClosurePlanItem.id == item_id, ClosurePlanItem.state == "waiting")
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _do(item: ClosurePlanItem) -> str:
    closure = db.session.get_one(Closure, item.closure_id, populate_existing=True)
    visit = db.session.get_one(Appointment, item.appointment_id, with_for_update={"key_share": True})
    if not _is_in_the_way(visit, closure):
        return "It was not in the way any more."
    if item.decided_by_id is None:
        raise access.Unauthenticated("Whoever decided this has no account any more. Decide again.")
    actor = access.actor_for(item.decided_by_id)
    if item.action == "cancel" and visit.session_id is not None and visit.is_session:
        sessions.cancel_session(visit.session_id, actor=actor, reason=CANCELLED, letter=CANCELLED_LETTER)
        return "Cancelled; everybody in the group is told."
    if item.action == "cancel":
        booking.cancel_appointment(visit.id, actor=actor, reason=CANCELLED, letter=CANCELLED_LETTER)
        return "Cancelled; the patient is told."
    _move(item, actor)
    return "Moved; the patient is told."


def _move(item: ClosurePlanItem, actor: Actor) -> None:
    assert item.start is not None
    move = partial(
        booking.reschedule_appointment,
        item.appointment_id,
        start=item.start,
        practitioner_id=item.practitioner_id,
        letter=MOVED_LETTER,
        actor=actor,
    )
    try:
        with db.session.begin_nested():
            move()
    except RulesForbid as refused:
        if not {reason["code"] for reason in refused.extra["reasons"]} <= SETS_ASIDE:
            raise
        move(override_reason=MOVED)


def _is_in_the_way(visit: Appointment, closure: Closure) -> bool:
    return (
        visit.status in OPEN
        and visit.during.overlaps(closure.during)
        and closure.practitioner_id in (None, visit.practitioner_id)
        and closure.location_id in (None, visit.location_id)
    )


@retried
def _fail(item_id: UUID, sentence: str) -> None:
    """The visit stays where it is, and on the list of those that are stranded, with the reason."""
    with atomic():
        item = _lock(item_id)
        if item is not None:
            item.state, item.detail = "failed", clean_line(sentence)[:300]
            log.warning("Item %s of a plan could not be carried out", item_id)
