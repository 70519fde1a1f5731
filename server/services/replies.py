"""Replies to texts: 1 confirms, 2 cancels, STOP ends texts to the number, START brings them back.

Whoever has the phone may answer for the visit that a text was about, as whoever has a letter may by its link. A bare
1 or 2 is acted on only when it can mean one visit; otherwise the answer asks which (1A, 1B), and nothing happens until
then. See docs/decisions/0011.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, func, select

from server.errors import Conflict, Invalid
from server.extensions import db
from server.models import Appointment, OutboxMessage, Patient, Status, TextReply
from server.services import access, addresses, audit, booking, directory
from server.services.access import Actor
from server.services.letter_rendering import language_of, time_of_visit
from server.services.rules import RulesForbid
from server.services.transaction import atomic, database_now, retried
from server.settings import Settings
from server.utils import clock, languages, phones

STOP = frozenset({"stop", "stopall", "unsubscribe", "end", "quit", "revoke", "optout"})
START = frozenset({"start", "unstop"})
HELP = frozenset({"help", "info"})
DIGITS = {"1": "confirm", "2": "cancel"}
LETTERS = "abcdefgh"
ANSWERS_AN_HOUR = 20  # to one number: a machine that answers our answers is not talked to for ever
REPEATED = timedelta(days=1)  # a bare reply said again within it, with no text of ours in between, is the same one


@dataclass(frozen=True)
class Heard:
    """`said`: confirm, cancel, stop, start, help, unclear, or empty with only a `choice` (0 is A)."""

    said: str
    choice: int | None = None


def understand(words: str) -> Heard:
    """What a text says. Anything beside the one digit makes it unclear: "2 weeks later, please" cancels nothing."""
    plain = "".join(str(unicodedata.decimal(c, c)) for c in unicodedata.normalize("NFKC", words)).lower()
    parts = re.sub(r"[\W_]+", " ", plain).split()
    joined = "".join(parts)
    if parts and (parts[0] in STOP - {"end"} or joined in STOP):
        return Heard("stop")
    if joined in START | HELP:
        return Heard("start" if joined in START else "help")
    if found := re.fullmatch(rf"([12])?([{LETTERS}])?", joined):
        digit, letter = found.groups()
        if joined:
            return Heard(DIGITS.get(digit or "", ""), LETTERS.index(letter) if letter else None)
    return Heard("unclear")


@retried
def take(
    gateway_id: str, *, number: str, words: str, settings: Settings, actor: Actor, is_answered: bool = False
) -> str:
    """One text from the gateway; answers what to say to it, empty for nothing.

    The same text again (by the gateway's id of it) gets the same answer and does nothing. `is_answered`: the gateway
    has said something itself, as it does to STOP. Raises Invalid for a sender that is no number.
    """
    sender = phones.e164(number)
    if sender is None or not gateway_id or len(gateway_id) > 120:
        raise Invalid("This is not a text from a phone number.")
    with atomic():
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"text {sender}", 0))))
        reply = db.session.scalars(select(TextReply).where(TextReply.gateway_id == gateway_id)).one_or_none()
        if reply is None:
            reply = _act(sender, understand(words), actor)
            reply.gateway_id, reply.number, reply.created_at = gateway_id, sender, database_now()
            db.session.add(reply)
            db.session.flush()
        return "" if is_answered or _is_silent(reply) else f"{settings.clinic_name}: {_sentence(reply)}"


def _act(number: str, heard: Heard, actor: Actor) -> TextReply:
    if heard.said in ("stop", "start"):
        return TextReply(said=heard.said, answered=_stop_or_start(number, heard.said, actor))
    if heard.said in ("help", "unclear"):
        return TextReply(said=heard.said, answered=heard.said)
    standing = _standing(number)
    if heard.choice is not None:
        return _choose(number, heard, heard.choice, standing, actor)
    if (before := _same_before(number, heard.said)) is not None:
        return TextReply(said=heard.said, answered=before.answered, appointment_id=before.appointment_id)
    return _answer_bare(number, heard.said, standing, actor)


def _answer_bare(number: str, said: str, standing: Mapping[UUID, Appointment], actor: Actor) -> TextReply:
    if len(standing) > 1:
        return TextReply(said=said, answered="which", offered=list(standing)[: len(LETTERS)])
    for visit in standing.values():
        return _answer_visit(said, visit, actor)
    last = db.session.scalar(_sent_to(number).with_only_columns(Appointment.id).limit(1))
    return TextReply(said=said, answered="over" if last else "nothing", appointment_id=last)


def _choose(number: str, heard: Heard, choice: int, standing: Mapping[UUID, Appointment], actor: Actor) -> TextReply:
    """A letter answers the last question that this number was asked; without one it means nothing."""
    question = db.session.scalars(
        select(TextReply)
        .where(TextReply.number == number, TextReply.answered == "which")
        .order_by(TextReply.created_at.desc(), TextReply.id.desc())
        .limit(1)
    ).one_or_none()
    if question is None or choice >= len(question.offered):
        return (
            _answer_bare(number, heard.said, standing, actor)
            if heard.said
            else TextReply(said="unclear", answered="unclear")
        )
    said, visit_id = heard.said or question.said, question.offered[choice]
    if visit_id in standing:
        return _answer_visit(said, standing[visit_id], actor)
    is_there = db.session.scalar(select(Appointment.id).where(Appointment.id == visit_id))
    return TextReply(said=said, answered="over" if is_there else "nothing", appointment_id=is_there)


def _answer_visit(said: str, visit: Appointment, actor: Actor) -> TextReply:
    """Confirm or cancel as the patient, by text."""
    assert visit.patient_id is not None
    patient = Actor(
        grants={visit.patient_id: frozenset({"read", "book"})}, is_text=True, ip=actor.ip, request_id=actor.request_id
    )
    try:
        if said == "confirm":
            booking.confirm_appointment(visit.id, actor=patient)
        else:
            booking.cancel_appointment(visit.id, actor=patient)
    except (Conflict, RulesForbid):
        return TextReply(said=said, answered="refused", appointment_id=visit.id)
    return TextReply(said=said, answered="confirmed" if said == "confirm" else "cancelled", appointment_id=visit.id)


def _stop_or_start(number: str, said: str, actor: Actor) -> str:
    changed = (
        addresses.close(number, because="stopped") if said == "stop" else addresses.reopen(number, because="stopped")
    )
    if changed:
        patients = db.session.scalars(
            select(OutboxMessage.patient_id)
            .where(OutboxMessage.sent_to == number, OutboxMessage.patient_id.is_not(None))
            .distinct()
        ).all()
        for patient_id in patients or [None]:
            audit.record(
                "texts.stopped" if said == "stop" else "texts.started",
                actor=Actor(is_text=True, ip=actor.ip, request_id=actor.request_id),
                object_type="Patient",
                object_id=patient_id,
                patient_id=patient_id,
            )
    if said == "start":
        return "started"
    return "stopped" if changed else "still-stopped"


# When a text was handed over; one that is on its way just now has no outcome yet.
_SENT_AT = func.coalesce(OutboxMessage.outcome_at, func.clock_timestamp())


def _sent_to(number: str) -> Select[Appointment]:
    """The visits that texts to this number were about, the last text first."""
    return (
        select(Appointment)
        .join(OutboxMessage, OutboxMessage.appointment_id == Appointment.id)
        .where(
            OutboxMessage.sent_to == number,
            OutboxMessage.channel == "sms",
            OutboxMessage.outcome.is_(None) | (OutboxMessage.outcome == "sent"),
            OutboxMessage.receipt.is_(None) | (OutboxMessage.receipt == "delivered"),
        )
        .order_by(_SENT_AT.desc())
    )


def _standing(number: str) -> dict[UUID, Appointment]:
    """Which of them stand as their text said, and whose patient still has this number; by id, the earliest first."""
    found = db.session.scalars(
        _sent_to(number)
        .where(
            OutboxMessage.sequence == Appointment.sequence,
            Appointment.status == Status.BOOKED,
            func.lower(Appointment.during) > func.clock_timestamp(),
        )
        .options(*access.WITH_NAMES)
        .execution_options(populate_existing=True)
    ).all()
    theirs = {
        visit.id: visit
        for visit in found
        if visit.patient and phones.e164(visit.patient.phone or "", visit.location.country) == number
    }
    return dict(sorted(theirs.items(), key=lambda item: (item[1].start, item[0])))


def _same_before(number: str, said: str) -> TextReply | None:
    """The same bare answer, acted on already, with no text of ours in between.

    Whoever presses "2" twice cancels one visit, and not the next one in turn.
    """
    last_text: datetime | None = db.session.scalar(
        select(func.max(OutboxMessage.outcome_at)).where(
            OutboxMessage.sent_to == number, OutboxMessage.outcome == "sent"
        )
    )
    before = db.session.scalars(
        select(TextReply)
        .where(TextReply.number == number, TextReply.created_at > database_now() - REPEATED)
        .order_by(TextReply.created_at.desc(), TextReply.id.desc())
        .limit(1)
    ).one_or_none()
    if before is None or before.said != said or before.answered not in ("confirmed", "cancelled"):
        return None
    return before if last_text is None or before.created_at > last_text else None


def _is_silent(reply: TextReply) -> bool:
    """Nothing is said to a number that wants nothing, nor more than so often in an hour."""
    if reply.answered == "still-stopped":
        return True
    if reply.said not in ("stop", "start", "help") and addresses.closed(reply.number) is not None:
        return True
    since = database_now() - timedelta(hours=1)
    lately = select(func.count()).where(TextReply.number == reply.number, TextReply.created_at > since)
    return (db.session.scalar(lately) or 0) > ANSWERS_AN_HOUR


def _sentence(reply: TextReply) -> str:
    """What to say, as things are now. Time and place only, and a first name where a phone has several."""
    visit = _visit(reply.appointment_id) if reply.appointment_id else None
    language = _language(reply.number, visit)
    _ = languages.catalog(language).gettext
    call = _call(visit, language)
    nobody, unknown = _("nobody reads texts here."), _("we know of no visit that this is about.")
    how = _("1 confirms and 2 cancels the visit we wrote about. STOP ends texts, START brings them back.")
    fixed = {
        "stopped": _("you get no more texts from us. START brings them back."),
        "started": _("you get our texts. STOP ends them."),
        "help": f"{how} {call}",
        "unclear": f"{nobody} {how} {call}",
        "nothing": f"{unknown} {call}",
    }
    if reply.answered in fixed:
        return fixed[reply.answered]
    if reply.answered == "which":
        return _which(reply, language)
    if visit is None or visit.patient is None:
        return fixed["nothing"]
    about = _about(visit, language)
    if reply.answered == "confirmed":
        return _("thank you. %(name)s's visit on %(when)s is confirmed.") % about
    if visit.status == Status.CANCELLED:
        return _("%(name)s's visit on %(when)s is cancelled.") % about
    if reply.answered == "refused" or visit.start <= clock.now():
        return _("%(name)s's visit on %(when)s cannot be changed by text any more.") % about + f" {call}"
    return _("%(name)s's visit on %(when)s is how it stands now; our text was older.") % about + f" {call}"


def _which(reply: TextReply, language: str) -> str:
    _ = languages.catalog(language).gettext
    digit = next(digit for digit, said in DIGITS.items() if said == reply.said)
    visits = [visit for visit in map(_visit, reply.offered) if visit and visit.patient]
    choices = "; ".join(
        _("%(choice)s for %(name)s on %(when)s")
        % {"choice": f"{digit}{LETTERS[reply.offered.index(visit.id)].upper()}", **_about(visit, language)}
        for visit in visits
    )
    return _("which visit do you mean? Reply %(choices)s.") % {"choices": choices}


def _language(number: str, visit: Appointment | None) -> str:
    """Of the visit's patient, or else of whom our last text to this number was for."""
    last = (
        select(Patient.language)
        .join(OutboxMessage, OutboxMessage.patient_id == Patient.id)
        .where(OutboxMessage.sent_to == number)
        .order_by(OutboxMessage.outcome_at.desc())
        .limit(1)
    )
    return language_of(visit.patient.language if visit and visit.patient else db.session.scalar(last))


def _about(visit: Appointment, language: str) -> dict[str, str]:
    assert visit.patient
    zone = visit.location.time_zone
    at = time_of_visit(visit.start, place_zone=zone, own_zone=zone, language=language)
    return {"name": languages.isolated(visit.patient.given_name, language), "when": at["when"]}


def _visit(appointment_id: UUID) -> Appointment | None:
    return db.session.get(Appointment, appointment_id, options=access.WITH_NAMES, populate_existing=True)


def _call(visit: Appointment | None, language: str) -> str:
    _ = languages.catalog(language).gettext
    places = [visit.location] if visit else directory.locations()
    phone = next((place.phone for place in places if place.phone), "")
    if not phone:
        return _("Please call the clinic.")
    return _("Please call %(phone)s.") % {"phone": languages.isolated(phone, language)}
