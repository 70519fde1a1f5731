"""Letters, composed from ids at the moment they leave, after checking that they are still true.

What each says stands in templates/email, one folder a letter; `letter_rendering` fills it in, in the reader's language.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask_security.confirmable import generate_confirmation_token
from flask_security.recoverable import generate_reset_password_token
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import aliased

from server.extensions import db
from server.models import (
    Appointment,
    Closure,
    ClosurePlanItem,
    OutboxMessage,
    Patient,
    Practitioner,
    ReminderRule,
    Status,
    User,
    WaitlistOffer,
)
from server.services import (
    access,
    accounts,
    addresses,
    appearance,
    email_changes,
    letter_samples,
    links,
    offers,
    reminders,
)
from server.services.appearance import Appearance
from server.services.letter_rendering import Letter, language_of, render, time_of_visit
from server.services.letter_texts import Words
from server.services.outbox import Missed, NoLongerTrue, Undeliverable
from server.services.read_once import read_once, reading_once, remember
from server.services.reminders import CONFIRM, FOLLOW_UP, MISSED, REMINDER
from server.services.rules import OPEN
from server.services.transaction import atomic, database_now
from server.settings import Settings
from server.utils import clock, languages
from server.utils.ical import Entry, appointment_calendar, series_calendar

NO_ADDRESS = "The patient has no e-mail address."
AFTERWARDS = timedelta(days=3)  # what could not be said for longer after a visit is not said any more


def compose(message_id: UUID, *, settings: Settings) -> Letter:
    """The letter of one outbox row. Raises NoLongerTrue when overtaken, Undeliverable without an address."""
    return _composed(db.session.get_one(OutboxMessage, message_id, populate_existing=True), settings)


def _composed(message: OutboxMessage, settings: Settings) -> Letter:
    if message.sample_language is not None:
        user = db.session.get_one(User, message.user_id)
        letter = sample(message.letter, language=message.sample_language, to=user.email, settings=settings)
        return replace(letter, subject=f"Test: {letter.subject}")
    return COMPOSERS[message.letter](message, settings)


def sample(
    letter: str,
    *,
    language: str,
    settings: Settings,
    to: str = "",
    words: Words | None = None,
    look: Appearance | None = None,
) -> Letter:
    """A letter about a visit that nobody has, in the clinic's words and look or in these; its links lead nowhere."""
    start = (clock.now() + timedelta(days=1)).replace(hour=9, minute=30)
    composed = letter_samples.sample(
        letter, language=language, to=to, start=start, settings=settings, words=words, look=look
    )
    return replace(composed, unsubscribe="")


def compose_all(message_ids: list[UUID], *, settings: Settings) -> dict[UUID, Letter | Exception]:
    """The letters of many rows from a few statements; in the place of a letter, why there is none."""
    composed: dict[UUID, Letter | Exception] = {}
    with atomic():
        messages = db.session.scalars(
            select(OutboxMessage).where(OutboxMessage.id.in_(message_ids)).execution_options(populate_existing=True)
        ).all()
        with reading_once():
            _read_ahead(messages)
            for message in messages:
                try:
                    composed[message.id] = _composed(message, settings)
                except Exception as error:
                    composed[message.id] = error
    return composed


def _read_ahead(messages: Sequence[OutboxMessage]) -> None:
    """Visits of these messages, and which of their addresses are closed."""
    ids = {message.appointment_id for message in messages if message.appointment_id}
    visits = {visit.id: visit for visit in db.session.scalars(_visits(Appointment.id.in_(ids)))}
    remember(_visit, visits)
    addresses.read_ahead(
        {
            addresses.stored(address or "", region=visit.location.country)
            for visit in visits.values()
            if visit.patient
            for address in (visit.patient.email, visit.patient.phone)
        }
    )


def preview(message_id: UUID, *, settings: Settings) -> Letter:
    """The same letter for eyes that are not its reader's: whatever its links could do, it leads nowhere."""
    letter = compose(message_id, settings=settings)
    links_of_ours = re.compile(re.escape(settings.base_url) + r"/[^\s\"<>]*")
    text, html = (links_of_ours.sub(f"{settings.base_url}/…", form) for form in (letter.text, letter.html))
    html = appearance.with_logo_inside(html, letter.logo)
    return Letter(letter.to, letter.subject, text, html, language=letter.language)


# --- about one visit ---


def _about_appointment(message: OutboxMessage, settings: Settings) -> Letter:
    appointment = _appointment_of(message)
    says, status = message.letter.removeprefix("appointment-"), appointment.status
    cancelled = says.startswith(("cancelled", "declined", "expired"))
    is_true = (status == Status.CANCELLED) == cancelled and (status == Status.PENDING) == (says == "requested")
    if appointment.sequence != message.sequence or not is_true:
        raise NoLongerTrue("The appointment has changed since.")
    facts = _facts(appointment, settings)
    if not facts["to"]:
        raise Undeliverable(NO_ADDRESS)
    if says.endswith("-leave"):
        facts["away"] = _who_is_away(appointment)
    # What was only asked for is in nobody's calendar yet.
    if says not in ("requested", "declined", "expired"):
        method = "CANCEL" if cancelled else "REQUEST"
        facts |= {"calendar": _calendar(appointment, method, facts, settings), "calendar_method": method}
    return render(message.letter, settings=settings, **facts)


def _calendar(appointment: Appointment, method: str, facts: dict[str, Any], settings: Settings) -> str:
    _ = languages.catalog(facts["language"]).gettext
    return appointment_calendar(
        appointment_id=appointment.id,
        start=appointment.start,
        end=appointment.end,
        time_zone=appointment.location.time_zone,
        sequence=appointment.sequence,
        changed_at=appointment.updated_at,
        summary=_("Visit at %(clinic)s") % {"clinic": appearance.read(settings).name},
        place=f"{appointment.location.name}, {appointment.location.address}".strip(", "),
        organizer=settings.mail_sender,
        attendee=facts["to"],
        cancelled=method == "CANCEL",
        method=method,
    )


def _appointment_of(message: OutboxMessage) -> Appointment:
    return _visit(message.appointment_id)


@read_once
def _visit(appointment_id: UUID | None) -> Appointment:
    return db.session.scalars(_visits(Appointment.id == appointment_id)).one()


def _visits(which: ColumnElement[bool]) -> Select[Appointment]:
    query = select(Appointment).where(which).options(*access.WITH_NAMES)
    return query.execution_options(populate_existing=True)


@read_once
def _rule(rule_id: UUID | None) -> ReminderRule:
    return db.session.get_one(ReminderRule, rule_id)


@read_once
def _now() -> datetime:
    return database_now()


def _facts(appointment: Appointment, settings: Settings) -> dict[str, Any]:
    """What a letter about a visit may say: when and where and with whom, never what it is about."""
    return {
        **_reader(appointment.patient),
        "start": appointment.start,
        "minutes": appointment.service.duration_minutes,
        "practitioner": appointment.practitioner.name,
        "location": appointment.location,
        "link": _link(settings, "visit", appointment.id, appointment.sequence),
    }


def _reader(patient: Patient | None) -> dict[str, Any]:
    assert patient is not None
    return {
        "to": patient.email or "",
        "reader": patient.name,
        "given_name": patient.given_name,
        "language": language_of(patient.language),
        "zone": patient.time_zone,
    }


def _link(settings: Settings, purpose: str, *parts: object) -> str:
    path = {"visit": "visit-links", "unsubscribe": "no-more-reminders", "offer": "offer-links"}[purpose]
    return f"{settings.base_url}/{path}/{links.make(purpose, *parts, secret_key=settings.secret_key)}"


def _who_is_away(appointment: Appointment) -> str:
    """The name of the practitioner whose leave was in the way; empty when a whole place was closed."""
    planned = Appointment.id == appointment.id
    if appointment.session_id is not None:  # a seat goes with its session
        planned = or_(planned, (Appointment.session_id == appointment.session_id) & (Appointment.lane == 0))
    return (
        db.session.scalar(
            select(Practitioner.name)
            .select_from(ClosurePlanItem)
            .join(Closure, Closure.id == ClosurePlanItem.closure_id)
            .outerjoin(Practitioner, Practitioner.id == Closure.practitioner_id)
            .where(ClosurePlanItem.appointment_id.in_(select(Appointment.id).where(planned)))
            .order_by(ClosurePlanItem.id.desc())
            .limit(1)
        )
        or ""
    )


# --- by a rule: before a visit, and after it ---


def _by_rule(message: OutboxMessage, settings: Settings) -> Letter:
    """By e-mail or as a text; only while it is of use and true."""
    rule = _rule(message.rule_id)
    if message.appointment_id is None:
        return _test_of(rule, message, settings)
    state = reminders.STATUS_OF[rule.kind]
    appointment = _appointment_of(message)
    patient: Patient = appointment.patient  # type: ignore[assignment]
    if appointment.sequence != message.sequence or appointment.status != state or not rule.is_active:
        raise NoLongerTrue("The visit has changed since.")
    is_text = message.channel == "sms"
    if not (patient.wants_sms_reminders if is_text else patient.wants_email_reminders):
        raise NoLongerTrue("Reminders are not wanted.")
    _demand_in_time(message, appointment, state)
    facts = _facts(appointment, settings) | {"unsubscribe": _link(settings, "unsubscribe", patient.id)}
    if is_text:
        facts["to"] = patient.phone
    if not facts["to"]:
        raise Undeliverable("The patient has no phone number." if is_text else NO_ADDRESS)
    addresses.demand_open(facts["to"], region=appointment.location.country)
    if message.letter == FOLLOW_UP:
        facts["link"] = settings.base_url
    name = message.letter
    if state == Status.BOOKED:  # by now they may have said that they will come
        asks = rule.asks_to_confirm and appointment.confirmed_at is None
        name = CONFIRM if asks else REMINDER
    return render(name, settings=settings, is_text=is_text, **facts)


def _demand_in_time(message: OutboxMessage, appointment: Appointment, state: str) -> None:
    now = _now()
    if state == Status.BOOKED and appointment.start <= now:
        raise Missed("The visit had begun.")
    late = timedelta(minutes=reminders.LATE_MINUTES) if state == Status.BOOKED else AFTERWARDS
    if message.due_at < now - late:
        raise Missed("It could not be sent in time.")


def _test_of(rule: ReminderRule, message: OutboxMessage, settings: Settings) -> Letter:
    """What a rule sends, about a visit that nobody has, by e-mail to the member of staff who asked for it."""
    if not rule.is_active:
        raise NoLongerTrue("The rule is deleted.")
    user = db.session.get_one(User, message.user_id)
    is_text = rule.channel == "sms"
    asks = message.letter == REMINDER and rule.asks_to_confirm
    letter = letter_samples.sample(
        CONFIRM if asks else message.letter,
        language=language_of(user.language),
        to=user.email,
        start=message.created_at + timedelta(minutes=rule.minutes_before),
        is_text=is_text,
        settings=settings,
    )
    subject = "Test of a text message" if is_text else f"Test: {letter.subject}"
    return replace(letter, subject=subject, unsubscribe="", region="")


# --- about several visits ---


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
    facts = _facts(one, settings) | {"link": f"{settings.base_url}/visits"}
    if not facts["to"]:
        raise Undeliverable(NO_ADDRESS)
    language, place_zone = facts["language"], one.location.time_zone
    listed = [
        time_of_visit(visit.start, place_zone=place_zone, own_zone=facts["zone"] or place_zone, language=language)
        | {"practitioner": languages.isolated(visit.practitioner.name, language)}
        for visit in to_come
    ]
    is_asked = any(visit.status == Status.PENDING for visit in to_come)
    calendar, method = _calendar_of_series(message, visits, facts["to"], settings)
    return render(
        message.letter,
        settings=settings,
        visits=listed,
        is_asked=is_asked,
        calendar=calendar,
        calendar_method=method,
        **facts,
    )


def _calendar_of_series(
    message: OutboxMessage, visits: Sequence[Appointment], reader: str, settings: Settings
) -> tuple[str, str]:
    """The calendar part of a letter about a series and its method: what is cancelled, when it tells of that, or what
    is booked. What was only asked for is in nobody's calendar yet."""
    ahead = [visit for visit in visits if visit.start > clock.now()]
    is_cancel = any(visit.id == message.appointment_id and visit.status == Status.CANCELLED for visit in visits)
    status, method, word = (
        (Status.CANCELLED, "CANCEL", "CANCELLED") if is_cancel else (Status.BOOKED, "REQUEST", "CONFIRMED")
    )
    entries = [
        Entry(
            visit.id,
            visit.start,
            visit.end,
            visit.location.time_zone,
            visit.sequence,
            visit.updated_at,
            f"Visit at {settings.clinic_name}",
            f"{visit.location.name}, {visit.location.address}".strip(", "),
            word,
        )
        for visit in ahead
        if visit.status == status
    ]
    if not entries:
        return "", ""
    return series_calendar(entries, organizer=settings.mail_sender, attendee=reader, method=method), method


def _about_account(message: OutboxMessage, settings: Settings) -> Letter:
    user = db.session.get_one(User, message.user_id, populate_existing=True)
    if message.letter == "account-confirm" and user.confirmed_at is not None:
        raise NoLongerTrue("The address is confirmed.")
    if message.letter == "account-new-address" and not user.new_email:
        raise NoLongerTrue("The address was confirmed, or another one was asked for.")
    if message.letter == "account-invited" and user.password:
        raise NoLongerTrue("A password was chosen.")
    to = {"account-new-address": user.new_email, "account-address-changed": user.previous_email}
    path = {
        "account-confirm": lambda: f"confirm/{generate_confirmation_token(user)}",
        "account-exists": lambda: "login",
        "account-export-ready": lambda: "admin/jobs",
        "account-reset": lambda: f"reset-password/{generate_reset_password_token(user)}",
        "account-invited": lambda: f"reset-password/{generate_reset_password_token(user)}",
        "account-address-changed": lambda: "login",
        "account-sign-in-changed": lambda: "account",
        "account-new-address": lambda: f"new-address/{email_changes.make_token(user, secret_key=settings.secret_key)}",
    }.get(message.letter, lambda: "forgot-password")
    return render(
        message.letter,
        to=to.get(message.letter) or user.email,
        settings=settings,
        reader=user.name,
        language=language_of(user.language),
        zone=accounts.own_zone(user.id),
        at=message.created_at,
        link=f"{settings.base_url}/{path()}",
    )


# --- about offers of freed times ---


def _about_offer(message: OutboxMessage, settings: Settings) -> Letter:
    offer = db.session.scalars(
        select(WaitlistOffer)
        .where(WaitlistOffer.id == message.offer_id)
        .options(*offers.WITH_NAMES)
        .execution_options(populate_existing=True)
    ).one()
    stands = select(WaitlistOffer.expires_at > func.clock_timestamp()).where(WaitlistOffer.id == offer.id)
    is_open = offer.status == "open" and db.session.scalar(stands)
    if message.letter == "waitlist-offer" and not is_open:
        raise NoLongerTrue("The offer is not open any more.")
    if message.letter == "waitlist-offer-expired" and (is_open or offer.entry.status != "waiting"):
        raise NoLongerTrue("The patient does not wait any more.")
    facts = _reader(offer.entry.patient)
    if not facts["to"]:
        raise Undeliverable(NO_ADDRESS)
    return render(
        message.letter,
        settings=settings,
        start=offer.start,
        minutes=offer.entry.service.duration_minutes,
        practitioner=offer.practitioner.name,
        location=offer.location,
        deadline=offer.expires_at,
        later=offer.entry.appointment.start if offer.entry.appointment else "",
        link=_link(settings, "offer", offer.id),
        **facts,
    )


COMPOSERS: dict[str, Callable[[OutboxMessage, Settings], Letter]] = {
    "appointment-booked": _about_appointment,
    "appointment-approved": _about_appointment,
    "appointment-moved": _about_appointment,
    "appointment-moved-leave": _about_appointment,
    "appointment-cancelled": _about_appointment,
    "appointment-cancelled-by-clinic": _about_appointment,
    "appointment-cancelled-leave": _about_appointment,
    "appointment-requested": _about_appointment,
    "appointment-declined": _about_appointment,
    "appointment-expired": _about_appointment,
    REMINDER: _by_rule,
    CONFIRM: _by_rule,
    MISSED: _by_rule,
    FOLLOW_UP: _by_rule,
    "series-booked": _about_series,
    "series-changed": _about_series,
    "waitlist-offer": _about_offer,
    "waitlist-offer-expired": _about_offer,
    "account-confirm": _about_account,
    "account-exists": _about_account,
    "account-reset": _about_account,
    "account-password-changed": _about_account,
    "account-new-sign-in": _about_account,
    "account-export-ready": _about_account,
    "account-sign-in-changed": _about_account,
    "account-new-address": _about_account,
    "account-address-changed": _about_account,
    "account-invited": _about_account,
}

__all__ = ["COMPOSERS", "Letter", "compose", "preview", "sample"]
