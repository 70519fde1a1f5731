"""The waitlist: who would like a time that is not free, or an earlier one than they have.

What became free is offered to them by `offers`.
"""

from collections.abc import Sequence
from datetime import date, time
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import joinedload, selectinload

from server.errors import Conflict, Invalid, NotVisible
from server.extensions import db
from server.models import Appointment, Patient, WaitlistEntry, WaitlistOffer
from server.services import access, audit, directory, rules, wishes
from server.services.access import Actor
from server.services.transaction import atomic, retried
from server.utils import clock
from server.utils.tokens import new_id

A_DAY = 1440
MOST_NOTICE = 100_000  # minutes, as the table has it

# What a reader of an entry sees beside it.
WITH_NAMES = (
    joinedload(WaitlistEntry.patient),
    joinedload(WaitlistEntry.service),
    joinedload(WaitlistEntry.practitioner),
    joinedload(WaitlistEntry.location),
    joinedload(WaitlistEntry.appointment).options(
        joinedload(Appointment.location), joinedload(Appointment.practitioner), joinedload(Appointment.service)
    ),
    selectinload(WaitlistEntry.offers).options(
        joinedload(WaitlistOffer.location), joinedload(WaitlistOffer.practitioner)
    ),
)


class AlreadyWaiting(Conflict):
    """This patient waits for this service already; once is enough."""

    slug, title = "already-waiting", "Already on the waitlist"


@retried
def join(
    *,
    actor: Actor,
    service_id: UUID | None = None,
    appointment_id: UUID | None = None,
    patient_id: UUID | None = None,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    weekdays: Sequence[int] = (),
    from_time: time | None = None,
    until_time: time | None = None,
    from_on: date | None = None,
    until_on: date | None = None,
    notice_minutes: int = A_DAY,
) -> WaitlistEntry:
    """Put a patient (by default the actor) on the list for a service, or for an earlier time of a visit of theirs.

    Raises AlreadyWaiting, Invalid, WrongState (of the visit), NotVisible, NotAllowed.
    """
    with atomic():
        if appointment_id is not None:
            service_id, patient_id = _of_visit(appointment_id, service_id, patient_id, actor=actor)
        if service_id is None:
            raise Invalid("Say for which service.", errors={"service_id": ["Give this or `appointment_id`."]})
        patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        weekdays = sorted(set(weekdays))
        errors = _wrong_times(weekdays, from_time, until_time, from_on, until_on, notice_minutes)
        errors |= _wrong_place(service_id, practitioner_id, location_id)
        if not db.session.scalar(select(Patient.email).where(Patient.id == patient_id)):
            errors["patient_id"] = ["Offers go out by e-mail, and this patient has no address."]
        if errors:
            raise Invalid(" ".join(lines[0] for lines in errors.values()), errors=errors)
        entry_id = db.session.scalar(
            insert(WaitlistEntry)
            .values(
                id=new_id(),
                patient_id=patient_id,
                service_id=service_id,
                practitioner_id=practitioner_id,
                location_id=location_id,
                appointment_id=appointment_id,
                weekdays=weekdays,
                from_time=from_time,
                until_time=until_time,
                from_on=from_on,
                until_on=until_on,
                notice_minutes=notice_minutes,
            )
            .on_conflict_do_nothing()
            .returning(WaitlistEntry.id)
        )
        if entry_id is None:
            raise AlreadyWaiting("This patient is on the waitlist for this service already. Leave it to join anew.")
        _record("waitlist.joined", entry_id, patient_id, actor=actor)
        return _fetch(entry_id, actor=actor)


def _of_visit(
    appointment_id: UUID, service_id: UUID | None, patient_id: UUID | None, *, actor: Actor
) -> tuple[UUID, UUID | None]:
    visit = access.appointment(appointment_id, actor=actor, to="reschedule")
    rules.demand_state(visit, rules.OPEN, "tell me of an earlier time")
    if visit.start <= clock.now():
        raise rules.WrongState("This visit has begun.", state=str(visit.status))
    if visit.is_session:
        raise NotVisible("There is no such appointment, or it is not yours to see.")
    for name, given, own in (
        ("service_id", service_id, visit.service_id),
        ("patient_id", patient_id, visit.patient_id),
    ):
        if given not in (None, own):
            raise Invalid("The visit says something else.", errors={name: ["The visit is for another one."]})
    return visit.service_id, visit.patient_id


def _wrong_times(
    weekdays: Sequence[int],
    from_time: time | None,
    until_time: time | None,
    from_on: date | None,
    until_on: date | None,
    notice_minutes: int,
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not set(weekdays) <= set(range(1, 8)):
        errors["weekdays"] = ["Weekdays are numbers from 1 (Monday) to 7."]
    if (from_time is None) != (until_time is None):
        errors["until_time" if until_time is None else "from_time"] = ["Give both times of the day, or none."]
    elif from_time is not None and until_time is not None and until_time <= from_time:
        errors["until_time"] = ["The later time of the day must be after the earlier one."]
    if until_on is not None and (until_on < (from_on or until_on) or until_on < clock.today("UTC")):
        errors["until_on"] = ["The last day must not be before the first one, nor in the past."]
    if not 0 <= notice_minutes <= MOST_NOTICE:
        errors["notice_minutes"] = [f"Between 0 and {MOST_NOTICE}."]
    return errors


def _wrong_place(service_id: UUID, practitioner_id: UUID | None, location_id: UUID | None) -> dict[str, list[str]]:
    """Wishes that nothing could ever fulfil."""
    errors: dict[str, list[str]] = {}
    service = directory.service(service_id)
    if not service.self_bookable:  # nothing is offered to patients that they could not book themselves
        errors["service_id"] = ["Please call the clinic to book this service."]
    offering = {person.id for person in directory.practitioners(service_id=service_id)}
    places = {place.id for place in directory.places_of_services().get(service_id, [])}
    for name, wanted, possible in (
        ("practitioner_id", practitioner_id, offering),
        ("location_id", location_id, places),
    ):
        if wanted is not None and wanted not in possible:
            errors[name] = ["This service is not offered there." if name == "location_id" else "Not by this person."]
    return errors


@retried
def leave(entry_id: UUID, *, actor: Actor) -> None:
    """Wait no more; what is offered is given back. Leaving twice is leaving once. Raises NotVisible."""
    with atomic():
        entry = _fetch(entry_id, actor=actor, lock=True)
        if entry.status == wishes.WAITING:
            wishes.end([entry_id], status="left")
            _record("waitlist.left", entry_id, entry.patient_id, actor=actor)


def read(entry_id: UUID, *, actor: Actor) -> WaitlistEntry:
    """One entry with its names and offers. Raises NotVisible."""
    with atomic():
        entry = _fetch(entry_id, actor=actor)
        _record("waitlist.read", entry_id, entry.patient_id, actor=actor)
    return entry


def list_entries(
    *,
    actor: Actor,
    limit: int = 50,
    patient_id: UUID | None = None,
    service_id: UUID | None = None,
    status: str | None = None,
    after: dict[str, Any] | None = None,
) -> tuple[Sequence[WaitlistEntry], dict[str, str] | None]:
    """Visible entries, longest waiting first, and the position to go on from (None when that was all)."""
    query = _visible(actor).options(*WITH_NAMES).order_by(WaitlistEntry.id).limit(limit + 1)
    for column, value in (
        (WaitlistEntry.patient_id, patient_id),
        (WaitlistEntry.service_id, service_id),
        (WaitlistEntry.status, status),
    ):
        if value is not None:
            query = query.where(column == value)
    if after:
        query = query.where(WaitlistEntry.id > UUID(after["id"]))
    with atomic():
        found = db.session.scalars(query.execution_options(populate_existing=True)).all()
        audit.record("waitlist.listed", actor=actor, object_type="WaitlistEntry", patient_id=patient_id)
    return found[:limit], {"id": str(found[limit - 1].id)} if len(found) > limit else None


def of_visit(appointment_id: UUID, *, actor: Actor) -> WaitlistEntry | None:
    """The entry that waits to have this visit earlier."""
    return db.session.scalars(
        _visible(actor)
        .where(WaitlistEntry.appointment_id == appointment_id, WaitlistEntry.status == wishes.WAITING)
        .options(*WITH_NAMES)
        .execution_options(populate_existing=True)
    ).first()


def mine(actor: Actor, condition: Select[Any], *, patient_id: Any) -> Select[Any]:
    """Narrow a query to the patients for whom the actor may book; the desk sees everybody."""
    if actor.may("book"):
        return condition
    return condition.where(patient_id.in_([each for each in actor.grants if actor.may_for(each, "book")]))


def _visible(actor: Actor) -> Select[WaitlistEntry]:
    return mine(actor, select(WaitlistEntry), patient_id=WaitlistEntry.patient_id)


def _fetch(entry_id: UUID, *, actor: Actor, lock: bool = False) -> WaitlistEntry:
    query = _visible(actor).where(WaitlistEntry.id == entry_id).execution_options(populate_existing=True)
    query = query.with_for_update(of=WaitlistEntry) if lock else query.options(*WITH_NAMES)
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotVisible("There is no such entry of the waitlist, or it is not yours to see.")
    return found


def _record(action: str, entry_id: UUID, patient_id: UUID, *, actor: Actor) -> None:
    audit.record(action, actor=actor, object_type="WaitlistEntry", object_id=entry_id, patient_id=patient_id)
