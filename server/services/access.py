"""Who may. Fetching is asking: a row comes back, locked when it will be changed, or the answer is an error.

Invisible is 404, visible but not allowed is 403. Lists start from `visible_...`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, text
from sqlalchemy.orm import joinedload

from server.errors import DomainError, NotAllowed, NotVisible
from server.extensions import db
from server.models import Appointment, Patient, Status, User
from server.services import answered
from server.services.answered import Claim
from server.services.statements import Statement

ADMINISTRATOR, FRONT_DESK, PRACTITIONER, PATIENT = "administrator", "front-desk", "practitioner", "patient"
AUDITOR = "auditor"
STAFF = frozenset({ADMINISTRATOR, FRONT_DESK, PRACTITIONER})
AT_WORK = STAFF | {AUDITOR}  # whoever sees what is others' by their work

_DESK = frozenset(
    {
        "read",
        "book",
        "cancel",
        "reschedule",
        "confirm",
        "step",
        "approve",
        "override",
        "overbook",
        "hours",
        "resend",
        "export-day",
    }
)
# What each role may do to any appointment or patient. People and their proxies act through `grants`.
MAY: Mapping[str, frozenset[str]] = {
    ADMINISTRATOR: _DESK | {"set-up", "import", "export", "jobs", "accounts", "audit"},
    FRONT_DESK: _DESK,
    PRACTITIONER: frozenset({"read", "step", "approve"}),  # their own appointments only
    AUDITOR: frozenset({"audit"}),  # what is on record, and nothing else
    PATIENT: frozenset(),
}
# What somebody may do for themselves or, within what was granted, for somebody else.
BY_GRANT: Mapping[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "book": frozenset({"read", "book", "cancel", "reschedule", "confirm"}),
}

# What a reader of one appointment sees beside it, loaded with it: nothing is fetched row by row.
WITH_NAMES = (
    joinedload(Appointment.service),
    joinedload(Appointment.practitioner),
    joinedload(Appointment.location),
    joinedload(Appointment.patient),
    joinedload(Appointment.room),
    joinedload(Appointment.device),
)


class SecondFactorMissing(DomainError):
    """Staff do not get in with a password alone, where the clinic wants it so."""

    status, slug, title = 403, "second-factor-missing", "Please set up a second factor"


class Unauthenticated(DomainError):
    """Nobody the server knows."""

    status, slug, title = 401, "unauthenticated", "Please sign in"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts: an account (or a visitor without one), what it may do, and from where."""

    user_id: UUID | None = None
    email: str = ""
    name: str = ""
    roles: frozenset[str] = frozenset()
    practitioner_id: UUID | None = None
    own_patient_id: UUID | None = None
    grants: Mapping[UUID, frozenset[str]] = field(default_factory=dict)  # patient id -> {"read", "book"}
    has_second_factor: bool = False  # a password alone does not sign in
    visitor_id: UUID | None = None  # of a browser before it signed in
    is_link: bool = False  # somebody who has a letter with a signed link, and did not sign in
    is_text: bool = False  # somebody who has the phone that a text went to
    ip: str = ""
    request_id: str = ""

    @property
    def is_staff(self) -> bool:
        return bool(self.roles & STAFF)

    @property
    def is_at_work(self) -> bool:
        return bool(self.roles & AT_WORK)

    @property
    def role(self) -> str:
        """The role under which the audit remembers this actor."""
        for role in (ADMINISTRATOR, FRONT_DESK, PRACTITIONER, AUDITOR, PATIENT):
            if role in self.roles:
                return role
        if self.is_link or self.is_text:
            return "link" if self.is_link else "text"
        return "proxy" if self.grants else "visitor"

    def may(self, action: str) -> bool:
        """Whether a role of this actor allows `action` on anybody's data."""
        return any(action in MAY.get(role, ()) for role in self.roles - {PRACTITIONER})

    def may_for(self, patient_id: UUID | None, action: str) -> bool:
        """Whether this actor may do `action` for one patient."""
        if self.may(action):
            return True
        granted = self.grants.get(patient_id, frozenset()) if patient_id else frozenset()
        return any(action in BY_GRANT[grant] for grant in granted)


SYSTEM = Actor(name="Frontdesk", roles=frozenset({ADMINISTRATOR}))

ACTOR = Statement(f"""
    SELECT u.email, u.name, claim.*,
           (u.tf_primary_method IS NOT NULL OR EXISTS (SELECT FROM passkeys WHERE user_id = u.id)) AS second_factor,
           ARRAY(SELECT r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id) AS roles,
           (SELECT id FROM practitioners WHERE user_id = u.id) AS practitioner_id,
           (SELECT id FROM patients WHERE user_id = u.id) AS own_patient_id,
           (SELECT json_agg(json_build_array(patient_id, may_read, may_book)) FROM related_persons
             WHERE user_id = u.id AND (ends_at IS NULL OR ends_at > statement_timestamp())) AS proxied
      FROM users u
      LEFT JOIN LATERAL ({answered.CLAIM} WHERE CAST(:key AS text) IS NOT NULL) AS claim ON true
     WHERE u.id = :user_id AND u.active
       AND (CAST(:family_id AS uuid) IS NULL OR EXISTS (
            SELECT FROM token_families f WHERE f.id = :family_id AND f.user_id = u.id AND f.revoked_at IS NULL
               AND (f.expires_at IS NULL OR f.expires_at > statement_timestamp())))
""")


def actor_for(user_id: UUID, *, family_id: UUID | None = None, ip: str = "", request_id: str = "") -> Actor:
    """The account as an actor.

    Raises Unauthenticated when the account is gone or switched off, or its token family was revoked.
    """
    return actor_and_claim(user_id, family_id=family_id, key=None, ip=ip, request_id=request_id)[0]


def actor_and_claim(
    user_id: UUID, *, family_id: UUID | None, key: str | None, ip: str, request_id: str
) -> tuple[Actor, Claim]:
    """The account as an actor and, with an Idempotency-Key, the claim on it (`answered.claim`), in one statement.

    Raises Unauthenticated as `actor_for` does.
    """
    row = ACTOR.first({"user_id": user_id, "family_id": family_id, "key": key})
    if row is None:
        raise Unauthenticated("This sign-in has ended. Please sign in again.")
    grants: dict[UUID, frozenset[str]] = {}
    for patient_id, may_read, may_book in row.proxied or ():
        grants[UUID(patient_id)] = frozenset(name for name, given in (("read", may_read), ("book", may_book)) if given)
    if row.own_patient_id:
        grants[row.own_patient_id] = frozenset({"read", "book"})
    actor = Actor(
        user_id=user_id,
        email=row.email,
        name=row.name,
        roles=frozenset(row.roles),
        practitioner_id=row.practitioner_id,
        own_patient_id=row.own_patient_id,
        grants=grants,
        has_second_factor=row.second_factor,
        ip=ip,
        request_id=request_id,
    )
    return actor, row


def visitor(visitor_id: UUID | None = None, *, ip: str = "", request_id: str = "") -> Actor:
    """Somebody without an account, or not signed in yet."""
    return Actor(visitor_id=visitor_id, ip=ip, request_id=request_id)


def as_visitor(actor: Actor, visitor_id: UUID | None) -> Actor:
    """The same actor, still owning what the browser held before it signed in."""
    return replace(actor, visitor_id=visitor_id)


def in_person(actor: Actor, user: User) -> Actor:
    """A visitor who has just shown that this account is theirs, as the record knows them; without what it may do."""
    return replace(actor, user_id=user.id, roles=frozenset(role.name for role in user.roles))


def as_private(actor: Actor) -> Actor:
    """The same person without what their work lets them do."""
    return replace(actor, roles=actor.roles - AT_WORK, practitioner_id=None)


def visible_appointments(actor: Actor) -> Select[Appointment]:
    """Appointments this actor may know of, holds left out; doors filter and sort further."""
    query = select(Appointment).where(Appointment.status != Status.PROPOSED)
    if actor.may("read"):
        return query
    readable = [patient_id for patient_id in actor.grants if actor.may_for(patient_id, "read")]
    condition: ColumnElement[bool] = Appointment.patient_id.in_(readable)
    if actor.practitioner_id:
        condition = condition | (Appointment.practitioner_id == actor.practitioner_id)
    return query.where(condition)


def appointment(appointment_id: UUID, *, actor: Actor, to: str) -> Appointment:
    """One appointment with its service, practitioner, location and patient; locked unless `to` is "read".

    Raises NotVisible (404) or NotAllowed (403).
    """
    query = visible_appointments(actor).where(Appointment.id == appointment_id).options(*WITH_NAMES)
    if to != "read":
        query = query.with_for_update(of=Appointment, key_share=True).execution_options(populate_existing=True)
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotVisible("There is no such appointment, or it is not yours to see.")
    if not may_do(to, found, actor=actor):
        what = "change" if to == "step" else to  # a step is a word of ours
        raise NotAllowed(f"You may see this appointment, but not {what} it.")
    return found


def may_do(action: str, found: Appointment, *, actor: Actor) -> bool:
    """Whether the actor may do `action` to this appointment: by a role, a grant, or as its practitioner."""
    own_as_practitioner = (
        actor.practitioner_id == found.practitioner_id and action in MAY[PRACTITIONER] and PRACTITIONER in actor.roles
    )
    return own_as_practitioner or actor.may_for(found.patient_id, action)


def hold(hold_id: UUID, *, actor: Actor) -> Appointment:
    """A hold of this actor that has not expired, locked. Raises NotVisible."""
    owners = [owner for owner in (actor.user_id, actor.visitor_id) if owner]
    query = (
        select(Appointment)
        .where(
            Appointment.id == hold_id,
            Appointment.status == Status.PROPOSED,
            Appointment.hold_owner_id.in_(owners),
            Appointment.hold_expires_at > text("clock_timestamp()"),
        )
        .options(*WITH_NAMES)
        .with_for_update(of=Appointment)
    )
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotVisible("This hold has expired, or it is not yours.")
    return found


def patient_id_for(patient_id: UUID | None, *, actor: Actor, to: str) -> UUID:
    """The patient an actor acts for: the one named, or themselves.

    Raises NotVisible for somebody else's patient, NotAllowed when the grant does not reach that far.
    """
    chosen = patient_id or actor.own_patient_id
    if chosen is None:
        raise NotAllowed("Say for which patient: this account is not a patient itself.")
    if actor.may(to):
        if db.session.scalar(select(Patient.id).where(Patient.id == chosen)) is None:
            raise NotVisible("There is no such patient.")
    elif chosen not in actor.grants:
        raise NotVisible("There is no such patient, or they are not yours to see.")
    elif not actor.may_for(chosen, to):
        raise NotAllowed(f"You may see this patient's visits, but not {to} them.")
    return chosen


def demand(action: str, *, actor: Actor) -> None:
    """Raises NotAllowed unless a role of the actor allows `action`."""
    if not actor.may(action):
        raise NotAllowed("Your role does not allow this.")


def demand_second_factor(*, actor: Actor) -> None:
    """Raises SecondFactorMissing for staff who have none yet; for doors of a clinic whose settings want it."""
    if actor.is_at_work and not actor.has_second_factor:
        raise SecondFactorMissing(
            "Staff need a second factor. Sign in on the pages with a browser, and set one up under Sign-in and devices."
        )
