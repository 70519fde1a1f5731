"""Calendar feeds: somebody's visits under a secret address, for the calendar of a phone or an office.

Only its fingerprint is kept. A feed shows what its maker may see at the moment of each reading: a proxy whose time is
over, or an account that is switched off, reads nothing more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update

from server.errors import Invalid, NotVisible
from server.extensions import db
from server.models import Appointment, CalendarFeed, Status
from server.services import access, appearance, audit
from server.services.access import PRACTITIONER, Actor
from server.services.transaction import atomic
from server.settings import Settings
from server.utils.ical import Entry, feed_calendar
from server.utils.tokens import fingerprint, new_id, new_secret

BACK, AHEAD = timedelta(days=30), timedelta(days=400)
ON_RECORD_EVERY = timedelta(hours=1)

STATUSES = {
    Status.PENDING: "TENTATIVE",
    Status.BOOKED: "CONFIRMED",
    Status.ARRIVED: "CONFIRMED",
    Status.FULFILLED: "CONFIRMED",
    Status.NOSHOW: "CONFIRMED",
    Status.CANCELLED: "CANCELLED",
    Status.ENTERED_IN_ERROR: "CANCELLED",
}


@dataclass(frozen=True)
class Feed:
    """What is behind an address: entries, a tag that is the same while they are, and their text (RFC 5545)."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def tag(self) -> str:
        return fingerprint(repr((self.name, self.entries))).hex()

    @property
    def text(self) -> str:
        """Made when it is needed: of a busy practitioner it takes a second."""
        return feed_calendar(self.entries, name=self.name)


def create_feed(
    *, patient_id: UUID | None = None, practitioner_id: UUID | None = None, shows_names: bool = False, actor: Actor
) -> tuple[CalendarFeed, str]:
    """A feed of a patient (the actor's own unless told) or of the actor as practitioner, and its secret.

    The secret is not to be had again. Raises NotVisible, Invalid.
    """
    if practitioner_id is None:
        patient_id = patient_id or actor.own_patient_id
        if shows_names:
            raise Invalid("A patient's feed shows no names.", errors={"shows_names": ["For practitioners only."]})
        if patient_id is None:
            raise Invalid("Say of whom.", errors={"patient_id": ["This account is not a patient itself."]})
    elif patient_id is not None:
        raise Invalid("A feed is of one person.", errors={"practitioner_id": ["Either a patient or a practitioner."]})
    secret = new_secret()
    with atomic():
        if not _may_have(actor, patient_id, practitioner_id):
            raise NotVisible("There is nobody like this whose visits are yours to see.")
        created = CalendarFeed(
            id=new_id(),
            fingerprint=fingerprint(secret),
            user_id=actor.user_id,
            patient_id=patient_id,
            practitioner_id=practitioner_id,
            shows_names=shows_names,
        )
        db.session.add(created)
        db.session.flush()
        db.session.refresh(created)
        _record("created", created, actor)
    return created, secret


def address(secret: str, *, settings: Settings) -> str:
    """Where a calendar program reads the feed."""
    return f"{settings.base_url}/calendars/{secret}.ics"


def list_feeds(*, actor: Actor) -> Sequence[CalendarFeed]:
    """The feeds that the actor has made and not revoked, oldest first."""
    with atomic():
        audit.record("calendar-feeds.listed", actor=actor, object_type="CalendarFeed")
        return db.session.scalars(
            select(CalendarFeed)
            .where(CalendarFeed.user_id == actor.user_id, CalendarFeed.revoked_at.is_(None))
            .order_by(CalendarFeed.id)
        ).all()


def revoke_feed(feed_id: UUID, *, actor: Actor) -> CalendarFeed:
    """Its address leads nowhere from now on. Raises NotVisible for one that is not the actor's."""
    with atomic():
        found = db.session.scalars(
            select(CalendarFeed)
            .where(
                CalendarFeed.id == feed_id,
                CalendarFeed.user_id == actor.user_id,
                CalendarFeed.revoked_at.is_(None),
            )
            .with_for_update()
        ).one_or_none()
        if found is None:
            raise NotVisible("There is no such feed, or it is not yours.")
        found.revoked_at = func.clock_timestamp()
        _record("revoked", found, actor)
    return found


def read_feed(secret: str, *, settings: Settings, actor: Actor) -> Feed:
    """The calendar behind a secret. `actor`: from where it is read. Raises NotVisible.

    Of a patient it says where and when; of a practitioner the service, too.
    """
    with atomic():
        feed = db.session.scalars(
            select(CalendarFeed).where(
                CalendarFeed.fingerprint == fingerprint(secret), CalendarFeed.revoked_at.is_(None)
            )
        ).one_or_none()
        if feed is None or not _maker_may(feed):
            raise NotVisible("There is no such calendar.")
        visits = db.session.scalars(
            select(Appointment)
            .where(
                _visits_of(feed),
                Appointment.status.in_(STATUSES),
                func.lower(Appointment.during) >= func.statement_timestamp() - BACK,
                func.lower(Appointment.during) < func.statement_timestamp() + AHEAD,
            )
            .options(*access.WITH_NAMES)
            .order_by(func.lower(Appointment.during), Appointment.id)
        ).all()
        _note_reading(feed, actor)
        settings = appearance.named(settings)
    return Feed(f"Visits at {settings.clinic_name}", tuple(_entry(visit, feed, settings) for visit in visits))


def _may_have(actor: Actor, patient_id: UUID | None, practitioner_id: UUID | None) -> bool:
    """Only the patient, a proxy who may read, or the practitioner: what a role allows makes no feed."""
    if patient_id is not None:
        granted = actor.grants.get(patient_id, frozenset())
        return any("read" in access.BY_GRANT[grant] for grant in granted)
    return actor.practitioner_id == practitioner_id and PRACTITIONER in actor.roles


def _maker_may(feed: CalendarFeed) -> bool:
    try:
        maker = access.actor_for(feed.user_id)
    except access.Unauthenticated:
        return False
    return _may_have(maker, feed.patient_id, feed.practitioner_id)


def _visits_of(feed: CalendarFeed) -> ColumnElement[bool]:
    if feed.patient_id is not None:
        return Appointment.patient_id == feed.patient_id
    # A group session is one entry, and not one for each seat.
    return (Appointment.practitioner_id == feed.practitioner_id) & (Appointment.lane <= 0)


def _entry(visit: Appointment, feed: CalendarFeed, settings: Settings) -> Entry:
    summary = f"Visit at {settings.clinic_name}"
    if feed.practitioner_id is not None:
        summary = visit.service.name
        if feed.shows_names and visit.patient is not None:
            summary = f"{summary}: {visit.patient.name}"
    return Entry(
        appointment_id=visit.id,
        start=visit.start,
        end=visit.end,
        time_zone=visit.location.time_zone,
        sequence=visit.sequence,
        changed_at=visit.updated_at,
        summary=summary,
        place=f"{visit.location.name}, {visit.location.address}".strip(", "),
        status=STATUSES[Status(visit.status)],
    )


def _note_reading(feed: CalendarFeed, actor: Actor) -> None:
    """Calendars ask all day long: it goes on record once an hour, by whoever of two gets to note it."""
    is_noted = db.session.scalar(
        update(CalendarFeed)
        .where(
            CalendarFeed.id == feed.id,
            CalendarFeed.last_read_at.is_(None)
            | (CalendarFeed.last_read_at <= func.clock_timestamp() - ON_RECORD_EVERY),
        )
        .values(last_read_at=func.clock_timestamp())
        .returning(CalendarFeed.id)
        .execution_options(synchronize_session=False)
    )
    if is_noted:
        by_link = Actor(user_id=feed.user_id, is_link=True, ip=actor.ip, request_id=actor.request_id)
        _record("read", feed, by_link)


def _record(what: str, feed: CalendarFeed, actor: Actor) -> None:
    audit.record(
        f"calendar-feed.{what}",
        actor=actor,
        object_type="CalendarFeed",
        object_id=feed.id,
        patient_id=feed.patient_id,
    )
