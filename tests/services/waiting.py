"""The waitlist as its tests speak of it: who waits, what becomes free, and what was offered."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.models import (
    Appointment,
    ClinicSettings,
    FreedTime,
    OutboxMessage,
    WaitlistEntry,
    WaitlistOffer,
)
from server.services import booking, freed, offers, waitlist
from server.services.transaction import atomic
from tests.cast import Cast, Person
from tests.factories import create_patient, create_user


def settle(**values: Any) -> None:
    """What the clinic decided about offers."""
    if db.session.get(ClinicSettings, True) is None:
        db.session.add(ClinicSettings(id=True))
        db.session.flush()
    db.session.execute(update(ClinicSettings).values(**values))
    db.session.commit()


def book(cast: Cast, person: Person, start: datetime, **over: Any) -> Appointment:
    return booking.book_appointment(
        **{
            "service_id": cast.checkup_id,
            "practitioner_id": cast.dr_cho.practitioner_id,
            "start": start,
            "actor": person.actor,
            **over,
        }
    )


def waits(cast: Cast, person: Person, **over: Any) -> WaitlistEntry:
    """The person joins for a check-up, with hardly any notice needed."""
    values = {"service_id": cast.checkup_id, "notice_minutes": 60, **over}
    if "appointment_id" in over:
        values.pop("service_id")
    return waitlist.join(**values, actor=person.actor)


def somebody(name: str) -> Person:
    """One more patient with an account."""
    user = create_user("patient", email=f"{name}@example.com", name=name)
    patient = create_patient(user_id=user.id, given_name=name, family_name="Waits", email=user.email)
    db.session.commit()
    return Person(user.id, user.email, patient_id=patient.id)


def full(cast: Cast, person: Person | None = None, hour: int = 10) -> Appointment:
    """A visit of dana's making at that hour, whose time is to become free."""
    patient_id = person.patient_id if person else create_patient().id
    return book(cast, cast.dana, cast.at(hour), patient_id=patient_id)


def frees(cast: Cast, visit: Appointment) -> None:
    """The visit is cancelled, and the engine looks."""
    booking.cancel_appointment(visit.id, actor=cast.dana.actor)
    offers.offer_freed_times()


def offered() -> list[WaitlistOffer]:
    return list(
        db.session.scalars(select(WaitlistOffer).order_by(WaitlistOffer.id).execution_options(populate_existing=True))
    )


def the_offer() -> WaitlistOffer:
    (offer,) = offered()
    return offer


def the_freed() -> FreedTime:
    return db.session.scalars(select(FreedTime).execution_options(populate_existing=True)).one()


def entry_of(offer: WaitlistOffer) -> WaitlistEntry:
    return db.session.get_one(WaitlistEntry, offer.entry_id, populate_existing=True)


def patients() -> list[Any]:
    """Who was offered something, in order."""
    return [entry_of(offer).patient_id for offer in offered()]


def visit_now(visit_id: Any) -> Appointment:
    return db.session.get_one(Appointment, visit_id, populate_existing=True)


def letters(name: str) -> int:
    query = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.letter == name)
    return db.session.scalar(query) or 0


def let_it_expire(offer: WaitlistOffer) -> None:
    """As if its time were over."""
    past = text("clock_timestamp() - interval '1 second'")
    db.session.execute(update(Appointment).where(Appointment.id == offer.hold_id).values(hold_expires_at=past))
    db.session.execute(update(WaitlistOffer).where(WaitlistOffer.id == offer.id).values(expires_at=past))
    db.session.commit()


def opens(cast: Cast, start: datetime, end: datetime) -> None:
    """A stretch of dr_cho's time becomes free in one piece."""
    with atomic():
        freed.record(
            cast.dr_cho.practitioner_id,
            location_id=cast.location_id,
            during=Range(start, end, bounds="[)"),
            cause="opened",
        )
    offers.offer_freed_times()
