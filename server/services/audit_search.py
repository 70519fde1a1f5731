"""Reading what is on record: for auditors and administrators all of it, for people who had to do with their record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select, tuple_

from server.extensions import db
from server.models import AuditEvent, Patient, User
from server.services import access, audit
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils.csv_files import write

FOUND_AT_MOST = 20
CSV_AT_MOST = 20_000
CSV_HEADS = (
    "Time",
    "Action",
    "In words",
    "Outcome",
    "Who",
    "Role",
    "Patient",
    "Patient id",
    "About",
    "About id",
    "Address",
    "Request",
    "Event",
)


@dataclass(frozen=True)
class Line:
    """An event with the names that belong to it now. `who`: of the account, "" without one."""

    event: AuditEvent
    who: str
    patient: str
    is_for_another: bool  # an account that acted for a patient who is somebody else

    @property
    def role(self) -> str:
        """The role on record; of a patient's account that acted for another patient: a proxy's."""
        return "proxy" if self.is_for_another and self.event.role == access.PATIENT else self.event.role

    @property
    def at(self) -> datetime:
        return self.event.created_at


def search(
    *,
    actor: Actor,
    limit: int = 50,
    patient_id: UUID | None = None,
    user_id: UUID | None = None,
    action: str | None = None,
    outcome: str | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
    after: Mapping[str, Any] | None = None,
) -> tuple[Sequence[Line], dict[str, str] | None]:
    """Events, newest first, and the position to go on from. `user_id`: what this account did, or what befell it.

    `action`: a whole one (`appointment.read`) or what it is about (`appointment`). For auditors; goes on record.
    """
    with atomic():
        access.demand("audit", actor=actor)
        query = _lines()
        if patient_id:
            query = query.where(AuditEvent.patient_id == patient_id)
        if user_id:
            query = query.where(or_(AuditEvent.user_id == user_id, AuditEvent.object_id == user_id))
        if action:
            about = action.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            query = query.where(or_(AuditEvent.action == action, AuditEvent.action.like(f"{about}.%")))
        if outcome:
            query = query.where(AuditEvent.outcome == outcome)
        if from_:
            query = query.where(AuditEvent.created_at >= from_)
        if to:
            query = query.where(AuditEvent.created_at < to)
        found = _page(query, limit=limit, after=after)
        audit.record("audit.searched", actor=actor, object_type="AuditEvent", patient_id=patient_id)
    return found


def as_csv(*, actor: Actor, in_words: Callable[[str], str], **filters: Any) -> bytes:
    """The same as a file for spreadsheets, newest first, 20,000 lines at most."""
    lines, _ = search(actor=actor, limit=CSV_AT_MOST, **filters)
    rows: list[list[object]] = [[*CSV_HEADS]]
    for line in lines:
        event = line.event
        rows.append(
            [
                line.at.isoformat(),
                event.action,
                in_words(event.action),
                event.outcome,
                line.who,
                line.role,
                line.patient,
                event.patient_id,
                event.object_type,
                event.object_id,
                event.ip,
                event.request_id,
                event.id,
            ]
        )
    return write(rows, begins=True)


def access_log(
    patient_id: UUID,
    *,
    actor: Actor,
    limit: int = 50,
    only_others: bool = False,
    after: Mapping[str, Any] | None = None,
) -> tuple[Sequence[Line], dict[str, str] | None]:
    """Who had to do with one patient's record, newest first, and the position to go on from; goes on record itself.

    For the patient, whoever may read for them, and staff. `only_others`: not what the actor did. Raises NotVisible.
    """
    with atomic():
        access.patient_id_for(patient_id, actor=actor, to="read")
        query = _lines().where(AuditEvent.patient_id == patient_id)
        if only_others:
            query = query.where(AuditEvent.user_id.is_distinct_from(actor.user_id))
        found = _page(query, limit=limit, after=after)
        audit.record("access-log.read", actor=actor, object_type="Patient", object_id=patient_id, patient_id=patient_id)
    return found


def name_of(person_id: UUID, *, actor: Actor) -> str:
    """Of a patient or an account, for the head of a search. "" when there is nobody (any more)."""
    access.demand("audit", actor=actor)
    if patient := db.session.get(Patient, person_id):
        return patient.name
    user = db.session.get(User, person_id)
    return (user.name or user.email) if user else ""


def find_people(words: str, *, actor: Actor) -> tuple[Sequence[Patient], Sequence[User]]:
    """Patients and accounts whose names (or address) begin with these words; the search goes on record."""
    with atomic():
        access.demand("audit", actor=actor)
        patients = select(Patient).order_by(Patient.family_name, Patient.given_name).limit(FOUND_AT_MOST)
        users = select(User).order_by(User.name, User.email).limit(FOUND_AT_MOST)
        for word in words.split()[:5]:
            start = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            patients = patients.where(
                or_(Patient.given_name.ilike(start), Patient.family_name.ilike(start), Patient.mrn == word)
            )
            users = users.where(or_(User.name.ilike(start), User.name.ilike(f"% {start}"), User.email.ilike(start)))
        audit.record("patients.searched", actor=actor, object_type="Patient")
        return db.session.scalars(patients).all(), db.session.scalars(users).all()


def _lines() -> Select[AuditEvent, str, str, str, str, UUID | None]:
    return (
        select(AuditEvent, User.name, User.email, Patient.given_name, Patient.family_name, Patient.user_id)
        .outerjoin(User, User.id == AuditEvent.user_id)
        .outerjoin(Patient, Patient.id == AuditEvent.patient_id)
        .order_by(AuditEvent.created_at.desc(), AuditEvent.id.desc())
    )


def _page(
    query: Select[AuditEvent, str, str, str, str, UUID | None], *, limit: int, after: Mapping[str, Any] | None
) -> tuple[Sequence[Line], dict[str, str] | None]:
    if after:
        position = (datetime.fromisoformat(after["at"]), UUID(after["id"]))
        query = query.where(tuple_(AuditEvent.created_at, AuditEvent.id) < position)
    rows = db.session.execute(query.limit(limit + 1)).all()
    lines = [
        Line(
            event,
            name or email or "",
            " ".join(filter(None, (given_name, family_name))),
            is_for_another=event.outcome == "success" and event.patient_id is not None and event.user_id != own_user_id,
        )
        for event, name, email, given_name, family_name, own_user_id in rows
    ]
    if len(lines) <= limit:
        return lines, None
    last = lines[limit - 1].event
    return lines[:limit], {"at": last.created_at.isoformat(), "id": str(last.id)}
