"""The sample clinic: a believable practice around today, with the demo accounts."""

import random
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from flask_security import hash_password
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql import insert as insert_or_nothing

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
    schedule_services,
    user_roles,
)
from server.services.transaction import atomic
from server.trial import sample_cast as cast
from server.trial.sample_calendar import Diary
from server.trial.sample_desk import Desk
from server.utils import clock
from server.utils.tokens import new_id

SEED = 20_260_101
WEEKS = 6  # of appointments before and after today
Ids = dict[Any, UUID]


def fill(app: Flask) -> None:
    """Make the sample clinic in a migrated database; nothing when there is a clinic already."""
    with app.app_context(), atomic():
        if db.session.scalar(select(Location.id).limit(1)):
            return
        chance = random.Random(SEED)
        users = _add_accounts()
        locations = _add(Location, [dict(row) for row in cast.LOCATIONS], key="name")
        rooms = _add(
            Room,
            [{"location_id": locations[place], "name": name, "kind": kind} for place, name, kind in cast.ROOMS],
            key=("location_id", "name"),
        )
        services = _add(HealthcareService, [dict(row) for row in cast.SERVICES], key="name")
        practitioners = _add(
            Practitioner,
            [
                {
                    "name": person.name,
                    "specialty": person.specialty,
                    "languages": list(person.languages),
                    "user_id": users[cast.DR_CHO_EMAIL] if person.name == cast.DR_CHO else None,
                }
                for person in cast.PRACTITIONERS
            ],
            key="name",
        )
        own, patients = _add_patients(users, chance)
        _add_hours(practitioners, locations, rooms, services)
        at_the_desk = [patients[cast.LISBON].pop() for _ in range(Desk.NEEDS)]
        closures = _add_closures(practitioners, locations)
        diary = Diary(
            chance=chance,
            weeks=WEEKS,
            locations=locations,
            rooms=rooms,
            services=services,
            practitioners=practitioners,
            patients=patients,
            with_account=frozenset(own.values()),
            closures=closures,
            desk_id=users[cast.DANA],
        )
        # The diary keeps practitioners and patients apart; a room that two share is the database's to judge.
        _run(insert_or_nothing(Appointment).on_conflict_do_nothing(), diary.appointments())
        Desk(services=services, practitioners=practitioners, patients=at_the_desk, users=users).arrange()


def _add(table: Any, rows: list[dict[str, Any]], *, key: str | tuple[str, str] = "id") -> Ids:
    """Insert the rows with one statement; answers their ids by what `key` names."""
    for row in rows:
        row["id"] = new_id()
    _run(insert(table), rows)
    if isinstance(key, tuple):
        return {tuple(row[name] for name in key): row["id"] for row in rows}
    return {row[key]: row["id"] for row in rows}


def _run(statement: Any, rows: list[dict[str, Any]]) -> None:
    """One executemany; the ORM's own bulk insert would make a new one wherever a NULL comes or goes."""
    db.session.connection().execute(statement, rows)


def _add_accounts() -> Ids:
    """The demo accounts, all with the one password, which is hashed once because that is slow on purpose."""
    password, now = hash_password(cast.PASSWORD), clock.now()
    users = _add(
        User,
        [
            {"email": account.email, "name": account.name, "password": password, "confirmed_at": now}
            for account in cast.ACCOUNTS
        ],
        key="email",
    )
    roles = {role.name: role.id for role in db.session.scalars(select(Role))}
    _run(
        insert(user_roles),
        [{"user_id": users[account.email], "role_id": roles[account.role]} for account in cast.ACCOUNTS],
    )
    return users


def _add_patients(users: Ids, chance: random.Random) -> tuple[Ids, dict[str, list[UUID]]]:
    """The patients with an account by e-mail address, and all patients by location."""
    accounts = [
        {
            "user_id": users[account.email],
            "mrn": f"FD-{number:05}",
            "given_name": account.name.partition(" ")[0],
            "family_name": account.name.partition(" ")[2],
            "birth_date": account.birth_date,
            "email": account.email,
            "phone": account.phone,
            "language": "en",
        }
        for number, account in enumerate(cast.ACCOUNTS, start=1)
        if account.birth_date
    ]
    own = _add(Patient, accounts, key="email")
    proxy = {"user_id": users[cast.CARL], "patient_id": own[cast.ANA], "relationship_name": "Partner"}
    _add(RelatedPerson, [proxy | {"may_read": True, "may_book": True}])
    patients = {cast.NEW_YORK: list(own.values()), cast.LISBON: []}
    for at, (location, (given_names, family_names)) in enumerate(cast.NAMES.items(), start=1):
        pairs = [(given, family) for given in given_names for family in family_names]
        rows = [
            {
                "mrn": f"FD-{at * 1000 + number:05}",
                "given_name": given,
                "family_name": family,
                "birth_date": date(chance.randint(1936, 2024), chance.randint(1, 12), chance.randint(1, 28)),
                "email": f"{_plain(given)}.{_plain(family)}@example.com",
                "phone": f"+1 212 555 {number:04}" if location == cast.NEW_YORK else f"+351 210 000 {number:03}",
                "language": cast.LANGUAGES[location][number % 4],
            }
            for number, (given, family) in enumerate(chance.sample(pairs, cast.PATIENTS_PER_LOCATION), start=150)
        ]
        patients[location] += _add(Patient, rows, key="mrn").values()
    return own, patients


def _plain(name: str) -> str:
    """A name in the letters of an e-mail address."""
    letters = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())


def _add_hours(practitioners: Ids, locations: Ids, rooms: Ids, services: Ids) -> None:
    first_monday = Diary.first_monday(WEEKS)
    rows, offered = [], []
    for person in cast.PRACTITIONERS:
        location_id = locations[person.location]
        for hours in person.hours:
            for weekday in hours.weekdays:
                row = {
                    "id": new_id(),
                    "practitioner_id": practitioners[person.name],
                    "location_id": location_id,
                    "room_id": rooms[location_id, hours.room] if hours.room else None,
                    "weekday": int(weekday),
                    "starts_at": hours.starts_at,
                    "ends_at": hours.ends_at,
                    "valid_from": first_monday,
                    "every_n_weeks": hours.every_n_weeks,
                }
                rows.append(row)
                offered += [{"schedule_id": row["id"], "service_id": services[name]} for name in hours.services]
    _run(insert(Schedule), rows)
    _run(insert(schedule_services), offered)


def _add_closures(practitioners: Ids, locations: Ids) -> list[dict[str, Any]]:
    """A holiday of one location, leave in the past and to come, and a meeting; none of them today or tomorrow."""
    new_york, lisbon = (row["time_zone"] for row in cast.LOCATIONS)

    def span(zone: str, first_day: int, days: int) -> Range[datetime]:
        first = clock.today(zone) + timedelta(days=first_day)
        return Range(clock.start_of_day(first, zone), clock.start_of_day(first + timedelta(days=days), zone))

    meeting_on = clock.today(lisbon) + timedelta(days=3)
    meeting = Range(*(clock.to_instant(datetime.combine(meeting_on, time(hour)), lisbon) for hour in (16, 17)))
    rows: list[dict[str, Any]] = [
        {"kind": "holiday", "location_id": locations[cast.NEW_YORK], "during": span(new_york, 24, 1)},
        {"kind": "leave", "practitioner_id": practitioners["Dr. Samuel Ortiz"], "during": span(new_york, 8, 7)},
        {"kind": "leave", "practitioner_id": practitioners["Sofia Matos"], "during": span(lisbon, -20, 5)},
        {"kind": "block", "location_id": locations[cast.LISBON], "during": meeting},
    ]
    reasons = ("Public holiday", "Annual leave", "Annual leave", "Team meeting")
    for row, reason in zip(rows, reasons, strict=True):
        row.setdefault("location_id", None)
        row.setdefault("practitioner_id", None)
        row["reason"] = reason
    _add(Closure, rows)
    return rows
