"""Patients as their accounts, proxies and the front desk see them."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Select, insert, or_, select

from server.errors import Invalid
from server.extensions import db
from server.models import AuditEvent, Patient, RelatedPerson
from server.services import access, audit
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils import clock
from server.utils.text import clean_line


def patients_of(actor: Actor) -> list[dict[str, Any]]:
    """The patients an account may act for: {id, name, relationship, may}; itself first."""
    return _listed(_patients_of(actor), actor) if actor.grants else []


def read_own(*, actor: Actor) -> list[dict[str, Any]]:
    """`patients_of` the account, as it asks for itself; that it did goes on record, in the same statement."""
    with atomic():
        event = audit.values("account.read", actor=actor, object_type="User", object_id=actor.user_id)
        return _listed(_patients_of(actor).add_cte(insert(AuditEvent).values(event).cte("audited")), actor)


def _patients_of(actor: Actor) -> Select[Patient, str]:
    return (
        select(Patient, RelatedPerson.relationship_name)
        .outerjoin(RelatedPerson, (RelatedPerson.patient_id == Patient.id) & (RelatedPerson.user_id == actor.user_id))
        .where(Patient.id.in_(actor.grants))
        .order_by(Patient.family_name, Patient.given_name)
    )


def _listed(query: Select[Patient, str], actor: Actor) -> list[dict[str, Any]]:
    rows = db.session.execute(query)
    listed = [
        {
            "id": patient.id,
            "name": patient.name,
            "relationship": "self" if patient.id == actor.own_patient_id else (relationship or "proxy"),
            "may": sorted(actor.grants[patient.id]),
        }
        for patient, relationship in rows
    ]
    return sorted(listed, key=lambda entry: entry["relationship"] != "self")


def find_patients(words: str, *, actor: Actor, limit: int = 20) -> Sequence[Patient]:
    """Patients whose names begin with these words, in any order; for staff. The search goes on record."""
    with atomic():
        access.demand("read", actor=actor)
        query = select(Patient).order_by(Patient.family_name, Patient.given_name).limit(limit)
        for word in words.split()[:5]:
            start = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            query = query.where(
                or_(Patient.given_name.ilike(start), Patient.family_name.ilike(start), Patient.mrn == word)
            )
        found = db.session.scalars(query).all()
        audit.record("patients.searched", actor=actor, object_type="Patient")
    return found


def patient(patient_id: UUID, *, actor: Actor) -> Patient:
    """One patient this actor may read; it goes on record. Raises NotVisible."""
    with atomic():
        access.patient_id_for(patient_id, actor=actor, to="read")
        audit.record("patient.read", actor=actor, object_type="Patient", object_id=patient_id, patient_id=patient_id)
        return db.session.get_one(Patient, patient_id)


def create_patient(
    *,
    given_name: str,
    family_name: str,
    birth_date: date,
    actor: Actor,
    phone: str = "",
    email: str = "",
    mrn: str = "",
) -> Patient:
    """A patient without an account, as the front desk takes them on.

    Raises NotAllowed, and Invalid with a sentence for each field that is wrong.
    """
    with atomic():
        access.demand("book", actor=actor)
        values = checked_patient(
            given_name=given_name, family_name=family_name, birth_date=birth_date, phone=phone, email=email, mrn=mrn
        )
        created = Patient(**values)
        db.session.add(created)
        db.session.flush()
        audit.record("patient.created", actor=actor, object_type="Patient", object_id=created.id, patient_id=created.id)
    return created


def checked_patient(
    *, given_name: str, family_name: str, birth_date: date | None, phone: str, email: str, mrn: str
) -> dict[str, Any]:
    """The columns of a new patient, as they are kept. Raises Invalid with a sentence for each field that is wrong."""
    given_name, family_name, phone, email, mrn = map(clean_line, (given_name, family_name, phone, email, mrn))
    errors: dict[str, list[str]] = {}
    for name, value, longest in (
        ("given_name", given_name, 100),
        ("family_name", family_name, 100),
        ("phone", phone, 40),
        ("mrn", mrn, 40),
    ):
        if not value and name in ("given_name", "family_name"):
            errors[name] = ["Please fill this in."]
        elif len(value) > longest:
            errors[name] = [f"At most {longest} characters."]
    if birth_date is None or not date(1900, 1, 1) <= birth_date <= clock.today("UTC"):
        errors["birth_date"] = ["This is not a date of birth."]
    if email:
        try:
            email = validate_email(email, check_deliverability=False).normalized
        except EmailNotValidError as problem:
            errors["email"] = [str(problem)]
    if errors:
        raise Invalid("Some of what was sent is not right.", errors=errors)
    return {
        "given_name": given_name,
        "family_name": family_name,
        "birth_date": birth_date,
        "phone": phone or None,
        "email": email or None,
        "mrn": mrn or None,
    }
