"""Letters, composed from ids at the moment they leave, after checking that they are still true.

A letter is a folder of templates/email: subject.txt, body.txt, body.html. An undefined name is an error,
never an empty place in a letter.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import css_inline
from flask_security.confirmable import generate_confirmation_token
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from server.extensions import db
from server.models import Appointment, OutboxMessage, Patient, ReminderRule, Status, User, WaitlistOffer
from server.services import access, links, offers, reminders
from server.services.outbox import Missed, NoLongerTrue, Undeliverable
from server.services.rules import OPEN
from server.services.transaction import atomic, database_now
from server.settings import Settings
from server.utils import clock
from server.utils.ical import appointment_calendar

NO_ADDRESS = "The patient has no e-mail address."
FOLDER = Path(__file__).parent.parent / "templates" / "email"


@dataclass(frozen=True)
class Letter:
    """Ready to send. `calendar` is iCalendar text for `calendar_method`, or empty."""

    to: str
    subject: str
    text: str
    html: str
    calendar: str = ""
    calendar_method: str = ""
    region: str = ""  # of a text: the country of phone numbers that name none
    unsubscribe: str = ""  # the address behind List-Unsubscribe, of what somebody may not want


def compose(message_id: UUID, *, settings: Settings) -> Letter:
    """The letter of one outbox row. Raises NoLongerTrue when overtaken, Undeliverable without an address."""
    message = db.session.get_one(OutboxMessage, message_id, populate_existing=True)
    return COMPOSERS[message.letter](message, settings)


def compose_all(message_ids: list[UUID], *, settings: Settings) -> dict[UUID, Letter | Exception]:
    """The letters of many rows from a few statements; in the place of a letter, why there is none."""
    composed: dict[UUID, Letter | Exception] = {}
    with atomic():
        messages = db.session.scalars(
            select(OutboxMessage).where(OutboxMessage.id.in_(message_ids)).execution_options(populate_existing=True)
        ).all()
        with _at_hand(messages):
            for message in messages:
                try:
                    composed[message.id] = COMPOSERS[message.letter](message, settings)
                except Exception as error:
                    composed[message.id] = error
    return composed


@contextmanager
def _at_hand(messages: Sequence[OutboxMessage]) -> Iterator[None]:
    """Visits and rules of these messages, and the time, are read once for all; within one transaction."""
    visits = db.session.scalars(
        select(Appointment)
        .where(Appointment.id.in_({message.appointment_id for message in messages if message.appointment_id}))
        .options(*access.WITH_NAMES)
        .execution_options(populate_existing=True)
    )
    info = db.session().info
    info["visits_at_hand"] = {visit.id: visit for visit in visits}
    info["rules_at_hand"] = {rule.id: rule for rule in db.session.scalars(select(ReminderRule))}
    info["time_at_hand"] = database_now()
    try:
        yield
    finally:
        for name in ("visits_at_hand", "rules_at_hand", "time_at_hand"):
            del info[name]


def preview(message_id: UUID, *, settings: Settings) -> Letter:
    """The same letter for eyes that are not its reader's: whatever its links could do, it leads nowhere."""
    letter = compose(message_id, settings=settings)
    links_of_ours = re.compile(re.escape(settings.base_url) + r"/[^\s\"<>]*")
    text, html = (links_of_ours.sub(f"{settings.base_url}/…", form) for form in (letter.text, letter.html))
    return Letter(letter.to, letter.subject, text, html)


def _about_appointment(message: OutboxMessage, settings: Settings) -> Letter:
    appointment = _appointment_of(message)
    says, status = message.letter.removeprefix("appointment-"), appointment.status
    cancelled = says in ("cancelled", "declined", "expired")
    is_true = (status == Status.CANCELLED) == cancelled and (status == Status.PENDING) == (says == "requested")
    if appointment.sequence != message.sequence or not is_true:
        raise NoLongerTrue("The appointment has changed since.")
    patient: Patient = appointment.patient  # type: ignore[assignment]
    if not patient.email:
        raise Undeliverable(NO_ADDRESS)
    zone = appointment.location.time_zone
    method = "CANCEL" if cancelled else "REQUEST"
    calendar = appointment_calendar(
        appointment_id=appointment.id,
        start=appointment.start,
        end=appointment.end,
        time_zone=zone,
        sequence=appointment.sequence,
        changed_at=appointment.updated_at,
        summary=f"Visit at {settings.clinic_name}",
        place=f"{appointment.location.name}, {appointment.location.address}".strip(", "),
        organizer=settings.mail_sender,
        attendee=patient.email,
        cancelled=cancelled,
        method=method,
    )
    return _render(
        message.letter,
        to=patient.email,
        settings=settings,
        # What was only asked for is in nobody's calendar yet.
        calendar="" if says in ("requested", "declined", "expired") else calendar,
        calendar_method=method,
        **_facts(appointment, settings),
    )


def _appointment_of(message: OutboxMessage) -> Appointment:
    at_hand: dict[UUID, Appointment] = db.session().info.get("visits_at_hand", {})
    if message.appointment_id in at_hand:
        return at_hand[message.appointment_id]
    return db.session.scalars(
        select(Appointment)
        .where(Appointment.id == message.appointment_id)
        .options(*access.WITH_NAMES)
        .execution_options(populate_existing=True)
    ).one()


def _facts(appointment: Appointment, settings: Settings) -> dict[str, Any]:
    """What a letter about a visit may say: when and where and with whom, never what it is about."""
    patient: Patient = appointment.patient  # type: ignore[assignment]
    zone = appointment.location.time_zone
    start = clock.local(appointment.start, zone)
    return {
        "greeting": patient.given_name,
        "day": _in_words(start),
        "time": f"{start:%H:%M}",
        "zone": zone.rpartition("/")[2].replace("_", " "),
        "minutes": appointment.service.duration_minutes,
        "practitioner": appointment.practitioner.name,
        "location": appointment.location,
        "link": _link(settings, "visit", appointment.id, appointment.sequence),
    }


def _link(settings: Settings, purpose: str, *parts: object) -> str:
    path = {"visit": "visit-links", "unsubscribe": "no-more-reminders"}[purpose]
    return f"{settings.base_url}/{path}/{links.make(purpose, *parts, secret_key=settings.secret_key)}"


def _reminder(message: OutboxMessage, settings: Settings) -> Letter:
    """What a rule sends, by e-mail or as a text; only while it is of use and true."""
    rule: ReminderRule = db.session.get_one(ReminderRule, message.rule_id)
    if message.appointment_id is None:
        return _test_of(rule, message, settings)
    appointment = _appointment_of(message)
    patient: Patient = appointment.patient  # type: ignore[assignment]
    now = db.session().info.get("time_at_hand") or database_now()
    is_true = appointment.status == reminders.STATUS_OF[rule.kind] and rule.is_active
    if appointment.sequence != message.sequence or not is_true:
        raise NoLongerTrue("The visit has changed since.")
    if not (patient.wants_sms_reminders if message.channel == "sms" else patient.wants_email_reminders):
        raise NoLongerTrue("Reminders are not wanted.")
    if rule.kind == "before" and appointment.start <= now:
        raise Missed("The visit had begun.")
    if message.due_at < now - timedelta(minutes=reminders.LATE_MINUTES):
        raise Missed("It could not be sent in time.")
    reader = patient.phone if message.channel == "sms" else patient.email
    if not reader:
        raise Undeliverable("The patient has no phone number." if message.channel == "sms" else NO_ADDRESS)
    asks = rule.asks_to_confirm and appointment.confirmed_at is None
    letter = reminders.REMINDER if message.letter == reminders.CONFIRM and not asks else message.letter
    facts = _facts(appointment, settings)
    if rule.kind != "before":  # nothing is left to be moved or cancelled: its link is the way to another visit
        facts["link"] = settings.base_url
    return _render(
        letter,
        to=reader,
        settings=settings,
        is_text=message.channel == "sms",
        unsubscribe=_link(settings, "unsubscribe", patient.id),
        asks=asks,
        **facts,
    )


def _test_of(rule: ReminderRule, message: OutboxMessage, settings: Settings) -> Letter:
    """What a rule sends, about a visit that nobody has, by e-mail to the member of staff who asked for it."""
    if not rule.is_active:
        raise NoLongerTrue("The rule is deleted.")
    user = db.session.get_one(User, message.user_id)
    start = message.created_at + timedelta(minutes=rule.minutes_before) * (1 if rule.kind == "before" else -1)
    is_text = rule.channel == "sms"
    letter = _render(
        message.letter,
        to=user.email,
        settings=settings,
        is_text=is_text,
        unsubscribe=settings.base_url,
        asks=rule.asks_to_confirm,
        greeting="Sam",
        day=_in_words(start),
        time=f"{start:%H:%M}",
        zone="UTC",
        minutes=30,
        practitioner="Dr Example",
        location=SimpleNamespace(name="Example House", address="1 Example Street", phone="", country=""),
        link=settings.base_url,
    )
    subject = "Test of a text message" if is_text else f"Test: {letter.subject}"
    return replace(letter, subject=subject, unsubscribe="", region="")


def _about_series(message: OutboxMessage, settings: Settings) -> Letter:
    """The series of the message's appointment as it stands now, so that the letter is true whenever it leaves."""
    of = aliased(Appointment)
    visits = db.session.scalars(
        select(Appointment)
        .join(of, of.series_id == Appointment.series_id)
        .where(of.id == message.appointment_id)
        .options(*access.WITH_NAMES)
        .order_by(func.lower(Appointment.during))
        .execution_options(populate_existing=True)
    ).all()
    to_come = [visit for visit in visits if visit.status in OPEN and visit.start > clock.now()]
    if message.letter == "series-booked" and not to_come:
        raise NoLongerTrue("No visit of the series is to come any more.")
    one = (to_come or visits)[0]
    patient: Patient = one.patient  # type: ignore[assignment]
    if not patient.email:
        raise Undeliverable("The patient has no e-mail address.")
    zone = one.location.time_zone
    listed = []
    for visit in to_come:
        start = clock.local(visit.start, zone)
        day = f"{start:%A}, {start.day} {start:%B %Y}"
        listed.append({"day": day, "time": f"{start:%H:%M}", "practitioner": visit.practitioner.name})
    return _render(
        message.letter,
        to=patient.email,
        settings=settings,
        greeting=patient.given_name,
        visits=listed,
        is_asked=any(visit.status == Status.PENDING for visit in to_come),
        zone=zone.rpartition("/")[2].replace("_", " "),
        minutes=one.service.duration_minutes,
        practitioner=one.practitioner.name,
        location=one.location,
        link=f"{settings.base_url}/visits",
    )


def _about_account(message: OutboxMessage, settings: Settings) -> Letter:
    user = db.session.get_one(User, message.user_id, populate_existing=True)
    if message.letter == "account-confirm" and user.confirmed_at is not None:
        raise NoLongerTrue("The address is confirmed.")
    link = f"{settings.base_url}/login"
    if message.letter == "account-confirm":
        link = f"{settings.base_url}/confirm/{generate_confirmation_token(user)}"
    return _render(message.letter, to=user.email, settings=settings, greeting=user.name, link=link)


def _about_offer(message: OutboxMessage, settings: Settings) -> Letter:
    offer = db.session.scalars(
        select(WaitlistOffer)
        .where(WaitlistOffer.id == message.offer_id)
        .options(*offers.WITH_NAMES)
        .execution_options(populate_existing=True)
    ).one()
    patient, zone = offer.entry.patient, offer.location.time_zone
    stands = select(WaitlistOffer.expires_at > func.clock_timestamp()).where(WaitlistOffer.id == offer.id)
    is_open = offer.status == "open" and db.session.scalar(stands)
    if message.letter == "waitlist-offer" and not is_open:
        raise NoLongerTrue("The offer is not open any more.")
    if message.letter == "waitlist-offer-expired" and (is_open or offer.entry.status != "waiting"):
        raise NoLongerTrue("The patient does not wait any more.")
    if not patient.email:
        raise Undeliverable("The patient has no e-mail address.")
    start, deadline, later = clock.local(offer.start, zone), clock.local(offer.expires_at, zone), None
    if offer.entry.appointment is not None:
        later = clock.local(offer.entry.appointment.start, offer.entry.appointment.location.time_zone)
    return _render(
        message.letter,
        to=patient.email,
        settings=settings,
        greeting=patient.given_name,
        day=_in_words(start),
        time=f"{start:%H:%M}",
        zone=zone.rpartition("/")[2].replace("_", " "),
        minutes=offer.entry.service.duration_minutes,
        service=offer.entry.service.name,
        practitioner=offer.practitioner.name,
        location=offer.location,
        deadline=f"{_in_words(deadline)}, {deadline:%H:%M}",
        later=f"{_in_words(later)}, {later:%H:%M}" if later else "",
        link=f"{settings.base_url}/waitlist/offers/{offer.id}",
    )


def _in_words(at: datetime) -> str:
    return f"{at:%A}, {at.day} {at:%B %Y}"


COMPOSERS: dict[str, Callable[[OutboxMessage, Settings], Letter]] = {
    "appointment-booked": _about_appointment,
    "appointment-moved": _about_appointment,
    "appointment-cancelled": _about_appointment,
    "appointment-requested": _about_appointment,
    "appointment-declined": _about_appointment,
    "appointment-expired": _about_appointment,
    "series-booked": _about_series,
    "series-changed": _about_series,
    "waitlist-offer": _about_offer,
    "waitlist-offer-expired": _about_offer,
    reminders.REMINDER: _reminder,
    reminders.CONFIRM: _reminder,
    reminders.FOLLOW_UP: _reminder,
    reminders.MISSED: _reminder,
    "account-confirm": _about_account,
    "account-exists": _about_account,
}


def _render(
    letter: str,
    *,
    to: str,
    settings: Settings,
    calendar: str = "",
    calendar_method: str = "",
    unsubscribe: str = "",
    is_text: bool = False,
    **context: Any,
) -> Letter:
    context |= {"clinic": settings.clinic_name, "unsubscribe": unsubscribe}
    if is_text:
        text = " ".join(_environment().get_template(f"{letter}/sms.txt").render(context).split())
        return Letter(to, "", text, "", region=context["location"].country)
    subject = " ".join(_environment().get_template(f"{letter}/subject.txt").render(context).split())
    text = _environment().get_template(f"{letter}/body.txt").render(context)
    html = _html(letter).render(context)
    return Letter(to, subject, text, html, calendar, calendar_method, unsubscribe=unsubscribe)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"], default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _html(letter: str) -> Template:
    return _environment().from_string(_inlined(letter))


@cache
def _inlined(letter: str) -> str:
    """The HTML template with its CSS in the elements, once for each letter and not for each mail.

    The layout and the letter are joined first, while what changes is still a placeholder.
    """
    layout = (FOLDER / "layout.html").read_text(encoding="utf-8")
    body = (FOLDER / letter / "body.html").read_text(encoding="utf-8")
    css = (FOLDER / "letter.css").read_text(encoding="utf-8")
    inliner = css_inline.CSSInliner(extra_css=css, keep_style_tags=True, load_remote_stylesheets=False)
    return inliner.inline(layout.replace("<!-- letter -->", body))
