"""Reminders: one message for each rule and each state of a visit, written with the visit, due at its own time.

A rule says how long before the start, or after the end of a visit that took place or that nobody came to. What would
fall into the night waits for the morning, or, before a visit, goes out on the evening before when the morning is too
late; nothing is dropped. A visit that is moved gets new reminders and loses the old ones in the same transaction.
`reconcile` writes what is missing (a new rule, a lost row), so that losing a row loses nothing.
"""

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, func, select, text, update

from server.errors import Invalid, NotVisible
from server.extensions import db
from server.models import Appointment, HealthcareService, Location, OutboxMessage, Patient, ReminderRule, Status, User
from server.services import access, audit, outbox
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils import clock
from server.utils.languages import LANGUAGES
from server.utils.tokens import new_id

log = logging.getLogger(__name__)

REMINDER = "appointment-reminder"
CONFIRM, FOLLOW_UP, MISSED = "appointment-confirm", "appointment-follow-up", "appointment-missed"
STATUS_OF = {"before": Status.BOOKED, "after": Status.FULFILLED, "noshow": Status.NOSHOW}
REPAIRED = "It was missing, and was written again."
LATE_MINUTES = 360  # a reminder that could not leave for longer than this is listed to staff, and not sent

# The reminders that rows of `source` (aliased a) are to get, each at its time. Due times that have passed are left out:
# whoever books for tomorrow needs no reminder of last week. In the reader's night it waits for the morning; when that
# is less than an hour before the visit, it goes out on the evening before.
_DUE = """
    SELECT gen_random_uuid() AS id,
           CASE r.kind WHEN 'after' THEN '{FOLLOW_UP}' WHEN 'noshow' THEN '{MISSED}'
                       ELSE CASE WHEN r.asks_to_confirm THEN '{CONFIRM}' ELSE '{REMINDER}' END END AS letter,
           r.channel, r.id AS rule_id, a.id AS appointment_id, a.patient_id, a.sequence, due.at, '{detail}' AS detail
      FROM {source} a
      JOIN patients p ON p.id = a.patient_id
      JOIN locations l ON l.id = a.location_id
      JOIN reminder_rules r ON r.is_active AND (r.service_id IS NULL OR r.service_id = a.service_id)
                           AND (r.location_id IS NULL OR r.location_id = a.location_id)
     CROSS JOIN clinic_settings c
     CROSS JOIN LATERAL (
        SELECT coalesce(p.time_zone, l.time_zone) AS zone,
               (CASE r.kind WHEN 'before' THEN lower(a.during) - make_interval(mins => r.minutes_before)
                            WHEN 'after' THEN coalesce(a.ended_at, upper(a.during))
                                              + make_interval(mins => r.minutes_before)
                            ELSE greatest(a.updated_at, upper(a.during)) + make_interval(mins => r.minutes_before) END)
                   AT TIME ZONE coalesce(p.time_zone, l.time_zone) AS wall OFFSET 0) AS local
     CROSS JOIN LATERAL (
        SELECT CASE WHEN c.quiet_from = c.quiet_until THEN false
                    WHEN c.quiet_from < c.quiet_until THEN wall::time >= c.quiet_from AND wall::time < c.quiet_until
                    ELSE wall::time >= c.quiet_from OR wall::time < c.quiet_until END AS is_quiet,
               (wall::date + c.quiet_until
                + CASE WHEN wall::time >= c.quiet_until THEN interval '1 day' ELSE interval '0' END)
                   AT TIME ZONE zone AS morning,
               (wall::date + c.quiet_from
                - CASE WHEN wall::time < c.quiet_from THEN interval '1 day' ELSE interval '0' END)
                   AT TIME ZONE zone AS evening OFFSET 0) AS night
     CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT is_quiet THEN wall AT TIME ZONE zone
                    WHEN r.kind <> 'before' OR morning <= lower(a.during) - interval '1 hour' THEN morning
                    ELSE evening - interval '1 minute' END AS at) AS due
     WHERE a.status = CASE r.kind WHEN 'before' THEN 'booked' WHEN 'after' THEN 'fulfilled' ELSE 'noshow' END
       AND {when}
       AND CASE r.channel WHEN 'sms' THEN p.wants_sms_reminders ELSE p.wants_email_reminders END
"""


def rows_for(source: str, *, when: str = "due.at > statement_timestamp()", detail: str = "") -> str:
    """The INSERT of the reminders of the appointments in `source`, a table or a CTE."""
    words = {"FOLLOW_UP": FOLLOW_UP, "MISSED": MISSED, "CONFIRM": CONFIRM, "REMINDER": REMINDER}
    return f"""
        INSERT INTO outbox_messages (id, letter, channel, rule_id, appointment_id, patient_id, sequence, due_at, detail)
        {_DUE.format(source=source, when=when, detail=detail, **words)}
        ON CONFLICT DO NOTHING"""


_OF_ONE = text(rows_for("(SELECT * FROM appointments WHERE id = :appointment_id)"))
_OF_PATIENT = text(rows_for("(SELECT * FROM appointments WHERE patient_id = :patient_id)"))
# A visit that can still have a letter to come: before it, or for two months after it.
_LIVE = """(SELECT * FROM appointments
             WHERE (status = 'booked' AND lower(during) > statement_timestamp())
                OR (status IN ('fulfilled', 'noshow')
                    AND lower(during) > statement_timestamp() - interval '61 days'))"""
_OF_ALL = text(rows_for(_LIVE))
# What was due while its row was lost goes out now, too; but not what the visit, or the rule, is too young for.
_REPAIR = text(
    rows_for(
        _LIVE,
        when=f"due.at > statement_timestamp() - interval '{LATE_MINUTES} minutes'"
        " AND due.at > a.updated_at AND due.at > r.created_at",
        detail=REPAIRED,
    )
)


def renew(appointment_id: UUID) -> None:
    """The visit has changed, in this transaction: what was waiting is overtaken, what is true now is written."""
    db.session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.appointment_id == appointment_id,
            OutboxMessage.rule_id.is_not(None),
            OutboxMessage.outcome.is_(None),
            OutboxMessage.sequence
            < select(Appointment.sequence).where(Appointment.id == appointment_id).scalar_subquery(),
        )
        .values(outcome="skipped", outcome_at=func.clock_timestamp(), detail="The visit was changed.")
        .execution_options(synchronize_session=False)
    )
    db.session.execute(_OF_ONE, {"appointment_id": appointment_id})


def reconcile() -> int:
    """Write the reminders that are missing, for whatever reason; returns how many."""
    with atomic():
        missing = int(db.session.execute(_REPAIR).rowcount)  # type: ignore[attr-defined]
    if missing:
        log.error("%d reminders were missing and have been written again. Who deletes from outbox_messages?", missing)
    return missing


def forget_after(appointment_id: UUID) -> None:
    """A step was taken back, in this transaction: what would have followed it does not, until it is taken again."""
    after = select(ReminderRule.id).where(ReminderRule.kind != "before")
    db.session.execute(
        delete(OutboxMessage)
        .where(
            OutboxMessage.appointment_id == appointment_id,
            OutboxMessage.rule_id.in_(after),
            OutboxMessage.outcome.is_(None),
        )
        .execution_options(synchronize_session=False)
    )


def list_rules(*, actor: Actor) -> Sequence[ReminderRule]:
    """All rules, the earliest reminder first; for staff."""
    if not actor.is_staff:
        access.demand("read", actor=actor)
    return db.session.scalars(
        select(ReminderRule)
        .where(ReminderRule.is_active)
        .order_by(
            ReminderRule.kind != "before",
            ReminderRule.kind,
            case((ReminderRule.kind == "before", -ReminderRule.minutes_before), else_=ReminderRule.minutes_before),
            ReminderRule.id,
        )
    ).all()


def read_rule(rule_id: UUID, *, actor: Actor) -> ReminderRule:
    """One rule, for staff. Raises NotVisible."""
    if not actor.is_staff:
        access.demand("read", actor=actor)
    found = db.session.scalars(select(ReminderRule).where(ReminderRule.id == rule_id, ReminderRule.is_active))
    if (rule := found.one_or_none()) is None:
        raise NotVisible("There is no such rule.")
    return rule


def send_test(rule_id: UUID, *, actor: Actor) -> None:
    """A reminder by this rule about an invented visit, to the actor's own address. Raises NotVisible, NotAllowed."""
    with atomic():
        rule = read_rule(rule_id, actor=actor)
        outbox.post(letter_of(rule), user_id=actor.user_id, rule_id=rule.id)
        audit.record("reminder-rule.tested", actor=actor, object_type="ReminderRule", object_id=rule.id)


def letter_of(rule: ReminderRule) -> str:
    """What a rule sends."""
    if rule.kind == "before":
        return CONFIRM if rule.asks_to_confirm else REMINDER
    return FOLLOW_UP if rule.kind == "after" else MISSED


def create_rule(values: dict[str, Any], *, actor: Actor) -> ReminderRule:
    """A new rule, also for visits that are booked already. Raises Invalid, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        _demand_known(values)
        created = ReminderRule(id=new_id(), **values)
        db.session.add(created)
        db.session.flush()
        db.session.refresh(created)
        audit.record("reminder-rule.created", actor=actor, object_type="ReminderRule", object_id=created.id)
        db.session.execute(_OF_ALL)
    return created


def delete_rule(rule_id: UUID, *, actor: Actor) -> None:
    """No more reminders by this rule; those that wait go with it, those that were sent stay on record elsewhere."""
    with atomic():
        access.demand("set-up", actor=actor)
        found = db.session.get(ReminderRule, rule_id, with_for_update=True)
        if found is None or not found.is_active:
            raise NotVisible("There is no such rule.")
        waiting = (OutboxMessage.rule_id == rule_id) & OutboxMessage.outcome.is_(None)
        db.session.execute(delete(OutboxMessage).where(waiting))
        found.is_active = False
        found.version += 1
        audit.record("reminder-rule.deleted", actor=actor, object_type="ReminderRule", object_id=rule_id)


def _demand_known(values: dict[str, Any]) -> None:
    if values.get("asks_to_confirm") and values.get("kind", "before") != "before":
        reason = "Only a visit that is to come can be confirmed."
        raise Invalid(reason, errors={"asks_to_confirm": [reason]})
    for name, table in (("service_id", HealthcareService), ("location_id", Location)):
        if values.get(name) is not None and db.session.get(table, values[name]) is None:
            raise Invalid("There is no such thing.", errors={name: ["This does not exist."]})


def read_preferences(patient_id: UUID, *, actor: Actor) -> Patient:
    """The same patient with what they want. Raises NotVisible, NotAllowed."""
    with atomic():
        access.patient_id_for(patient_id, actor=actor, to="read")
        audit.record(
            "patient.preferences-read",
            actor=actor,
            object_type="Patient",
            object_id=patient_id,
            patient_id=patient_id,
        )
        return db.session.get_one(Patient, patient_id)


def set_preferences(patient_id: UUID | None, changes: dict[str, Any], *, actor: Actor) -> Patient:
    """Whether a patient wants to be reminded, in which language they are written to, and in which zone they live.

    A language of one's own holds for the letters about the account, too. Raises Invalid, NotVisible, NotAllowed.
    """
    with atomic():
        patient_id = access.patient_id_for(patient_id, actor=actor, to="book")
        if changes.get("time_zone") is not None and not clock.is_zone(changes["time_zone"]):
            raise Invalid("There is no such time zone.", errors={"time_zone": ["Not an IANA time zone."]})
        if changes.get("language") not in (None, *LANGUAGES):
            raise Invalid("We do not write in this language.", errors={"language": ["We do not write in this one."]})
        patient = db.session.get_one(Patient, patient_id, with_for_update=True)
        for name, value in changes.items():
            setattr(patient, name, value)
        if "language" in changes and patient.user_id is not None:
            db.session.get_one(User, patient.user_id).language = patient.language
        db.session.flush()
        drop_unwanted(patient_id)
        _bring_back(patient)
        audit.record(
            "patient.preferences-changed",
            actor=actor,
            object_type="Patient",
            object_id=patient_id,
            patient_id=patient_id,
        )
        db.session.execute(_OF_PATIENT, {"patient_id": patient_id})
    return patient


UNWANTED = "Reminders are not wanted."


def _bring_back(patient: Patient) -> None:
    """Who wants reminders again gets those that were not wanted and are still to come."""
    wanted = [
        channel
        for channel, is_wanted in (("email", patient.wants_email_reminders), ("sms", patient.wants_sms_reminders))
        if is_wanted
    ]
    db.session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.patient_id == patient.id,
            OutboxMessage.rule_id.is_not(None),
            OutboxMessage.outcome == "skipped",
            OutboxMessage.detail == UNWANTED,
            OutboxMessage.channel.in_(wanted),
            OutboxMessage.due_at > func.clock_timestamp(),
        )
        .values(outcome=None, outcome_at=None, detail="", attempts=0)
        .execution_options(synchronize_session=False)
    )


def drop_unwanted(patient_id: UUID) -> None:
    """Reminders that wait for somebody who does not want them any more are skipped."""
    patient = db.session.get_one(Patient, patient_id)
    unwanted = [
        channel
        for channel, wanted in (("email", patient.wants_email_reminders), ("sms", patient.wants_sms_reminders))
        if not wanted
    ]
    db.session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.patient_id == patient_id,
            OutboxMessage.rule_id.is_not(None),
            OutboxMessage.outcome.is_(None),
            OutboxMessage.channel.in_(unwanted),
        )
        .values(outcome="skipped", outcome_at=func.clock_timestamp(), detail=UNWANTED)
        .execution_options(synchronize_session=False)
    )
