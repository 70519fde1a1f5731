"""The rules of booking: which forbid a time, for whom, and from when on it would be possible."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text

from server.errors import Conflict, Invalid, Stale
from server.extensions import db
from server.models import Appointment, HealthcareService, Patient, PractitionerRule, Status
from server.services import availability, occupancy
from server.services.access import Actor
from server.services.availability import OVERRIDABLE, TAKEN, Found, Reason
from server.utils import clock
from server.utils.text import minutes_in_words

OPEN = (Status.PENDING, Status.BOOKED)


class RulesForbid(Invalid):
    """The service's rules forbid it; `reasons`: [{code, detail, possible_from?}]."""

    slug, title = "not-bookable", "The rules forbid this time"

    def __init__(self, found: Iterable[Reason]) -> None:
        self.reasons = listed = list(found)
        super().__init__(
            " ".join(reason.detail for reason in listed),
            errors={"start": [reason.detail for reason in listed]},
            reasons=[reason.as_json() for reason in listed],
        )


class WrongState(Conflict):
    """The appointment is not in a state from which this step is possible."""

    slug, title = "wrong-state", "That is not possible any more"


def demand_version(appointment: Appointment, version: int | None) -> None:
    """Raises Stale unless the appointment is at `version` (None: whatever it is at)."""
    if version is not None and appointment.version != version:
        raise Stale("The appointment has changed since you read it. Read it again, then decide.")


def demand_state(appointment: Appointment, allowed: Iterable[str], step: str) -> None:
    """Raises WrongState unless the appointment is in one of these states."""
    if appointment.status not in set(allowed):
        raise WrongState(
            f"This visit is {appointment.status}: the step “{step}” is not possible now.",
            state=str(appointment.status),
        )


def check(
    found: Found,
    *,
    start: datetime,
    actor: Actor,
    patient_id: UUID | None = None,
    ignore_id: UUID | None = None,
    override: bool = False,
    overbook: bool = False,
    is_session: bool = False,
) -> bool:
    """Raises RulesForbid, SlotTaken or PatientBusy when the facts speak against this start; whether it is overbooked.

    `override` sets aside the rules that staff may set aside, `overbook` that the time is taken.
    """
    against = availability.reasons(found, start=start, actor=actor, is_session=is_session)
    if override:
        against = [reason for reason in against if reason.code not in OVERRIDABLE]
        if found.place_id is None:  # no hours say where, and no reason makes a location
            raise Invalid("Say at which location.", errors={"location_id": ["There is no such location."]})
    forbidding = [reason for reason in against if reason.code not in TAKEN]
    if forbidding:
        raise RulesForbid(forbidding)
    if against and not overbook:
        occupancy.refuse(found, start=start, patient_id=patient_id, actor=actor, ignore_id=ignore_id)
    if patient_id is not None and not override:
        own = against_patient(found, start=start, patient_id=patient_id, actor=actor, ignore_id=ignore_id)
        if own:
            raise RulesForbid(own)
    return bool(against)


def check_seat(
    found: Found,
    *,
    start: datetime,
    actor: Actor,
    patient_id: UUID,
    override: bool,
    ignore_id: UUID | None = None,
) -> None:
    """The same for a seat of a session: its time is settled, who may come and how often is not. Raises RulesForbid."""
    if override:
        return
    against = [
        reason
        for reason in availability.reasons(found, start=start, actor=actor, is_session=True)
        if reason.code in ("notice", "horizon") or (reason.code == "not-offered" and not found.self_bookable)
    ]
    against += against_patient(found, start=start, patient_id=patient_id, actor=actor, ignore_id=ignore_id)
    if against:
        raise RulesForbid(against)


def check_cutoff(appointment: Appointment, *, actor: Actor, what: str) -> None:
    """The time until which patients may move or cancel; staff always may. Raises RulesForbid."""
    if actor.may("cancel"):
        return
    service: HealthcareService = appointment.service
    own = select(PractitionerRule.cancel_cutoff_minutes).filter_by(
        practitioner_id=appointment.practitioner_id, service_id=service.id
    )
    now, own_minutes = db.session.execute(select(func.statement_timestamp(), own.scalar_subquery())).one()
    minutes = service.cancel_cutoff_minutes if own_minutes is None else own_minutes
    if now + timedelta(minutes=minutes) >= appointment.start:
        words = f"{minutes_in_words(minutes)} before it starts" if minutes else "it starts"
        raise RulesForbid([Reason("notice", f"This visit can be {what} until {words}. Please call the clinic.")])


# One row of what the limits and conditions of a service ask about a patient.
_PATIENT = text("""
    SELECT p.birth_date,
           EXISTS (SELECT FROM appointments a WHERE a.patient_id = p.id AND a.status IN ('arrived', 'fulfilled'))
               AS is_known,
           EXISTS (SELECT FROM referrals r WHERE r.patient_id = p.id AND r.service_id = :service_id
                      AND (r.valid_until IS NULL OR r.valid_until >= :on_date)) AS is_referred,
           open_ones.*
      FROM patients p
     CROSS JOIN LATERAL (
        SELECT count(*) AS in_all, count(*) FILTER (WHERE a.service_id = :service_id) AS of_service,
               min(upper(a.during)) AS first_ends,
               min(upper(a.during)) FILTER (WHERE a.service_id = :service_id) AS first_of_service_ends
          FROM appointments a
         WHERE a.patient_id = p.id AND a.status IN ('pending', 'booked') AND upper(a.during) > statement_timestamp()
           AND a.id IS DISTINCT FROM CAST(:ignore_id AS uuid)) AS open_ones
     WHERE p.id = :patient_id
""")


def against_patient(
    found: Found, *, start: datetime, patient_id: UUID, actor: Actor, ignore_id: UUID | None = None
) -> list[Reason]:
    """Which rules forbid it to this patient.

    Limits bind everybody, exactly under a race: the patient is locked before their visits are counted. Who may come
    (new or known, referred, of an age) binds patients; staff know better.
    """
    limited = found.max_open_per_patient or found.max_open_in_all or found.max_per_day
    chosen = found.for_patients != "all" or found.needs_referral or _has_ages(found)
    if not limited and (not chosen or actor.may("book")):
        return []
    if limited:
        db.session.execute(select(Patient.id).where(Patient.id == patient_id).with_for_update(key_share=True))
    zone = found.time_zone or "UTC"
    on_date = clock.local(start, zone).date()
    values = {"patient_id": patient_id, "service_id": found.id, "on_date": on_date, "ignore_id": ignore_id}
    patient = db.session.execute(_PATIENT, values).one()
    out = _limits(found, patient, zone)
    if found.max_per_day and _on_day(found, patient_id, on_date, zone, ignore_id) >= found.max_per_day:
        visits = "1 visit" if found.max_per_day == 1 else f"{found.max_per_day} visits"
        tomorrow = clock.start_of_day(on_date + timedelta(days=1), zone)
        out.append(Reason("limit", f"At most {visits} of this kind on one day. Choose another day.", tomorrow))
    if not actor.may("book"):
        out += _conditions(found, patient, on_date, zone)
    return out


def _limits(found: Found, patient: Row[Any], zone: str) -> list[Reason]:
    out = []
    for limit, count, ends, which in (
        (found.max_open_per_patient, patient.of_service, patient.first_of_service_ends, "of this kind "),
        (found.max_open_in_all, patient.in_all, patient.first_ends, "in all "),
    ):
        if limit and count >= limit:
            visits = "1 open visit" if limit == 1 else f"{limit} open visits"
            after = f"The next can be booked after the one on {_day(ends, zone)}."
            out.append(Reason("limit", f"At most {visits} {which}for one patient. {after}", ends))
    return out


def _on_day(found: Found, patient_id: UUID, on_date: date, zone: str, ignore_id: UUID | None) -> int:
    first, last = clock.day_bounds(on_date, zone)
    start = func.lower(Appointment.during)
    return (
        db.session.scalar(
            select(func.count()).where(
                Appointment.patient_id == patient_id,
                Appointment.service_id == found.id,
                Appointment.status.in_((*OPEN, Status.ARRIVED, Status.FULFILLED)),
                start >= first,
                start < last,
                Appointment.id.is_distinct_from(ignore_id),
            )
        )
        or 0
    )


def _conditions(found: Found, patient: Row[Any], on_date: date, zone: str) -> list[Reason]:
    out = []
    if found.for_patients == "new" and patient.is_known:
        out.append(Reason("patients", "This service is for patients who have not been here before."))
    if found.for_patients == "known" and not patient.is_known:
        out.append(Reason("patients", "This service is for patients who have been here before."))
    if found.needs_referral and not patient.is_referred:
        out.append(Reason("referral", "This service needs a referral. Please send it to the clinic first."))
    if found.min_age_years is not None and on_date < (first := _birthday(patient.birth_date, found.min_age_years)):
        sentence = f"This service is for people of {found.min_age_years} years and older."
        out.append(Reason("age", f"{sentence} Possible from {first:%-d %B %Y} on.", clock.start_of_day(first, zone)))
    if found.max_age_years is not None and on_date >= _birthday(patient.birth_date, found.max_age_years + 1):
        out.append(Reason("age", f"This service is for people of {found.max_age_years} years and younger."))
    return out


def _has_ages(found: Found) -> bool:
    return found.min_age_years is not None or found.max_age_years is not None


def _birthday(born: date, years: int) -> date:
    try:
        return born.replace(year=born.year + years)
    except ValueError:  # 29 February
        return date(born.year + years, 3, 1)


def _day(instant: datetime, zone: str) -> str:
    return f"{clock.local(instant, zone):%-d %B %Y}"
