"""What a clinic consists of, as its administrators change it: services, rooms, rules of practitioners, settings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from server.errors import Invalid, NotVisible, Stale
from server.extensions import db
from server.models import ClinicSettings, HealthcareService, PractitionerRule, Referral, Room
from server.services import access, audit, directory
from server.services.access import Actor
from server.services.transaction import after_commit, atomic
from server.utils.tokens import new_id


def create_service(values: dict[str, Any], *, actor: Actor) -> HealthcareService:
    """A new service that can be booked once somebody has hours for it. Raises Invalid, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        created = HealthcareService(id=new_id(), **values)
        db.session.add(created)
        with _said_plainly("service"):
            db.session.flush()
        db.session.refresh(created)
        audit.record("service.created", actor=actor, object_type="HealthcareService", object_id=created.id)
        _forget_directory()
    return created


def update_service(
    service_id: UUID, changes: dict[str, Any], *, if_version: int | None, actor: Actor
) -> HealthcareService:
    """Change a service's description and rules, when it is still at `if_version` (None: whatever it is at).

    Raises Stale (412), Invalid, NotAllowed, NotVisible.
    """
    with atomic():
        access.demand("set-up", actor=actor)
        changed = _change(HealthcareService, service_id, changes, if_version)
        audit.record("service.changed", actor=actor, object_type="HealthcareService", object_id=service_id)
        _forget_directory()
    return changed


def list_rooms(*, actor: Actor, location_id: UUID | None = None) -> Sequence[Room]:
    """Rooms and devices by name, of one location or of all; for staff."""
    if not actor.is_staff:
        access.demand("read", actor=actor)
    query = select(Room).order_by(Room.name, Room.id)
    return db.session.scalars(query.where(Room.location_id == location_id) if location_id else query).all()


def create_room(values: dict[str, Any], *, actor: Actor) -> Room:
    """A room, or a device, at a location. Raises Invalid, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        created = Room(id=new_id(), **values)
        db.session.add(created)
        with _said_plainly("room"):
            db.session.flush()
        db.session.refresh(created)
        audit.record("room.created", actor=actor, object_type="Room", object_id=created.id)
    return created


def update_room(room_id: UUID, changes: dict[str, Any], *, if_version: int | None, actor: Actor) -> Room:
    """Change a room's name or kind, or take it out of use. Raises Stale, Invalid, NotAllowed, NotVisible."""
    with atomic():
        access.demand("set-up", actor=actor)
        changed = _change(Room, room_id, changes, if_version)
        audit.record("room.changed", actor=actor, object_type="Room", object_id=room_id)
    return changed


def list_rules(practitioner_id: UUID, *, actor: Actor) -> Sequence[PractitionerRule]:
    """Where this practitioner's rules differ from the services'; for staff."""
    if not actor.is_staff:
        access.demand("read", actor=actor)
    return db.session.scalars(
        select(PractitionerRule)
        .where(PractitionerRule.practitioner_id == practitioner_id)
        .order_by(PractitionerRule.service_id)
    ).all()


def put_rule(practitioner_id: UUID, service_id: UUID, values: dict[str, Any], *, actor: Actor) -> PractitionerRule:
    """What differs, as a whole: what is not named is the service's own again. Raises Invalid, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        key = {"practitioner_id": practitioner_id, "service_id": service_id}
        db.session.execute(delete(PractitionerRule).filter_by(**key))
        with _said_plainly("service_id"):
            db.session.execute(insert(PractitionerRule).values(**key, **values))
        audit.record("rule.changed", actor=actor, object_type="Practitioner", object_id=practitioner_id)
        return db.session.scalars(
            select(PractitionerRule).filter_by(**key).execution_options(populate_existing=True)
        ).one()


def delete_rule(practitioner_id: UUID, service_id: UUID, *, actor: Actor) -> None:
    """Nothing differs any more. Raises NotVisible, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        key = {"practitioner_id": practitioner_id, "service_id": service_id}
        if not db.session.execute(delete(PractitionerRule).filter_by(**key)).rowcount:  # type: ignore[attr-defined]
            raise NotVisible("There is no such rule.")
        audit.record("rule.deleted", actor=actor, object_type="Practitioner", object_id=practitioner_id)


def list_referrals(patient_id: UUID | None, *, actor: Actor) -> Sequence[Referral]:
    """A patient's referrals, newest first; their own, or for staff anybody's. Raises NotVisible."""
    with atomic():
        patient_id = access.patient_id_for(patient_id, actor=actor, to="read")
        audit.record("referrals.listed", actor=actor, object_type="Referral", patient_id=patient_id)
        return db.session.scalars(
            select(Referral).where(Referral.patient_id == patient_id).order_by(Referral.id.desc())
        ).all()


def add_referral(
    patient_id: UUID, *, service_id: UUID, actor: Actor, valid_until: date | None = None, note: str = ""
) -> Referral:
    """Somebody sent this patient for this service; staff take it down. Raises Invalid, NotAllowed, NotVisible."""
    with atomic():
        access.demand("book", actor=actor)
        access.patient_id_for(patient_id, actor=actor, to="book")
        added = Referral(id=new_id(), patient_id=patient_id, service_id=service_id, valid_until=valid_until, note=note)
        db.session.add(added)
        with _said_plainly("service_id"):
            db.session.flush()
        db.session.refresh(added)
        audit.record("referral.added", actor=actor, object_type="Referral", object_id=added.id, patient_id=patient_id)
    return added


def remove_referral(referral_id: UUID, *, actor: Actor) -> None:
    """Raises NotVisible, NotAllowed."""
    with atomic():
        access.demand("book", actor=actor)
        found = db.session.get(Referral, referral_id)
        if found is None:
            raise NotVisible("There is no such referral.")
        db.session.execute(delete(Referral).where(Referral.id == referral_id))
        audit.record(
            "referral.removed",
            actor=actor,
            object_type="Referral",
            object_id=referral_id,
            patient_id=found.patient_id,
        )


def read_settings() -> ClinicSettings:
    """What the clinic decided for itself."""
    return db.session.scalars(select(ClinicSettings).execution_options(populate_existing=True)).one()


def update_settings(changes: dict[str, Any], *, if_version: int | None, actor: Actor) -> ClinicSettings:
    """Raises Stale, Invalid, NotAllowed."""
    with atomic():
        access.demand("set-up", actor=actor)
        changed = _change(ClinicSettings, True, changes, if_version)
        audit.record("settings.changed", actor=actor, object_type="ClinicSettings")
    return changed


def _change(table: Any, key: Any, changes: dict[str, Any], if_version: int | None) -> Any:
    query = select(table).where(table.id == key).with_for_update().execution_options(populate_existing=True)
    if table is HealthcareService:
        query = query.where(table.is_active)
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotVisible("There is nothing here with this id.")
    if if_version is not None and found.version != if_version:
        raise Stale("It has changed since you read it. Read it again, then decide.")
    for name, value in changes.items():
        setattr(found, name, value)
    found.version += 1
    with _said_plainly({HealthcareService: "service", Room: "room"}.get(table, "settings")):
        db.session.flush()
    return found


@contextmanager
def _said_plainly(field: str) -> Iterator[None]:
    """What a constraint of a table means, in a sentence; its name says it already."""
    try:
        yield
    except IntegrityError as error:
        name = getattr(getattr(error.orig, "diag", None), "constraint_name", "") or ""
        kind, _, rest = name.partition("_")
        table = getattr(getattr(error.orig, "diag", None), "table_name", "") or ""
        words = rest.removeprefix(f"{table}_").replace("_", " ")
        sentence = {
            "uq": "There is another one with this name.",
            "fk": f"There is no such {words.removesuffix(' id')}.",
        }.get(kind, f"This breaks a rule: {words}.")
        raise Invalid(sentence, errors={field: [sentence]}) from error


def _forget_directory() -> None:
    if directory.forget is not None:
        after_commit(directory.forget)
