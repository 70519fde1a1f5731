"""`create_x(**over)`: a row with believable values, whatever a test does not care about filled in."""

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from flask_security import hash_password
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range

from server.extensions import db
from server.models import (
    Appointment,
    Closure,
    HealthcareService,
    Location,
    Patient,
    Practitioner,
    RelatedPerson,
    Role,
    Room,
    Schedule,
    User,
)
from server.utils import clock
from server.utils.tokens import new_id

PASSWORD = "a password for tests"
_count = 0


def _next() -> int:
    global _count
    _count += 1
    return _count


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)


def _add(row: Any) -> Any:
    db.session.add(row)
    db.session.flush()
    return row


def create_user(*roles: str, **over: Any) -> User:
    number = _next()
    values = {"email": f"user{number}@example.com", "name": f"User {number}", "confirmed_at": clock.now(), **over}
    found = db.session.scalars(select(Role).where(Role.name.in_(roles))).all()
    return _add(User(password=_hashed(), roles=list(found), **values))


def create_patient(**over: Any) -> Patient:
    number = _next()
    values = {
        "given_name": "Pat",
        "family_name": f"Number{number}",
        "birth_date": date(1980, 1, 1),
        "email": f"patient{number}@example.com",
        **over,
    }
    return _add(Patient(**values))


def create_proxy(user: User, patient: Patient, **over: Any) -> RelatedPerson:
    return _add(
        RelatedPerson(**{"user_id": user.id, "patient_id": patient.id, "may_read": True, "may_book": True, **over})
    )


def create_practitioner(**over: Any) -> Practitioner:
    return _add(Practitioner(**{"name": f"Dr Number {_next()}", "languages": ["en"], **over}))


def create_location(**over: Any) -> Location:
    return _add(Location(**{"name": f"Location {_next()}", "time_zone": "America/New_York", **over}))


def create_room(location: Location, **over: Any) -> Room:
    return _add(Room(**{"location_id": location.id, "name": f"Room {_next()}", **over}))


def create_service(**over: Any) -> HealthcareService:
    values = {"name": f"Service {_next()}", "duration_minutes": 30, "step_minutes": 30, "horizon_days": 60, **over}
    return _add(HealthcareService(**values))


def create_schedule(
    practitioner: Practitioner,
    location: Location,
    *services: HealthcareService,
    weekdays: Any = range(1, 6),
    **over: Any,
) -> list[Schedule]:
    """Hours from 9 to 17 on working days, one row a weekday."""
    values = {"starts_at": time(9), "ends_at": time(17), "valid_from": date(2024, 1, 1), **over}
    rows = [
        Schedule(
            practitioner_id=practitioner.id, location_id=location.id, weekday=day, services=list(services), **values
        )
        for day in weekdays
    ]
    db.session.add_all(rows)
    db.session.flush()
    return rows


def create_closure(start: datetime, end: datetime, **over: Any) -> Closure:
    return _add(Closure(during=Range(start, end, bounds="[)"), **over))


def create_appointment(
    patient: Patient | None,
    practitioner: Practitioner,
    location: Location,
    service: HealthcareService,
    start: datetime,
    **over: Any,
) -> Appointment:
    """A booked visit written straight into the table, past every rule but the database's."""
    end = start + timedelta(minutes=service.duration_minutes)
    occupied = Range(
        start - timedelta(minutes=service.buffer_before_minutes or 0),
        end + timedelta(minutes=service.buffer_after_minutes or 0),
        bounds="[)",
    )
    values = {
        "id": new_id(),
        "patient_id": patient.id if patient else None,
        "status": "booked",
        "during": Range(start, end, bounds="[)"),
        "occupied": occupied,
        **over,
    }
    if values["status"] == "pending":
        values.setdefault("answer_by", start)
    return _add(Appointment(practitioner_id=practitioner.id, location_id=location.id, service_id=service.id, **values))
