"""Fills a live database with clinics made to measure; runs as a process of its own: `python -m tests.bars.fill`.

Each line of its input is a wish in JSON, each line of its output the clinic that was made.
"""

import json
import sys
from datetime import date, datetime, time, timedelta
from typing import Any

from flask_jwt_extended import create_access_token

from server.app import create_app
from server.extensions import db
from server.models import User
from server.services import tokens
from server.services.access import SYSTEM
from server.settings import load
from server.utils import clock
from server.utils.tokens import new_secret
from tests.factories import (
    create_location,
    create_patient,
    create_practitioner,
    create_room,
    create_schedule,
    create_service,
    create_user,
)

ZONE = "America/New_York"


def fill(*, practitioners: int, patients: int, rooms: int, pool: int, service: dict[str, Any]) -> dict[str, Any]:
    """`rooms`: with some, practitioner i works in room (i + j) % rooms for service j; without, anywhere. `pool`: so
    many rooms of the kind "pool", and one device of the kind "scope"."""
    tag = new_secret()[:8].lower()
    location = create_location(name=f"Clinic {tag}", time_zone=ZONE)
    places = [create_room(location, name=f"{tag} {n}") for n in range(rooms)]
    for n in range(pool):
        create_room(location, name=f"{tag} pool {n}", kind="pool")
    if pool:
        create_room(location, name=f"{tag} scope", kind="scope", is_device=True)
    services = [create_service(**{"name": f"Service {tag} {n}", **service}) for n in range(max(rooms, 1))]
    doctors = [create_practitioner(name=f"Dr {tag} {n}") for n in range(practitioners)]
    for i, doctor in enumerate(doctors):
        for j, one in enumerate(services):
            room_id = places[(i + j) % rooms].id if rooms else None
            create_schedule(
                doctor, location, one, room_id=room_id, weekdays=range(1, 8), starts_at=time(8), ends_at=time(20)
            )
    people = []
    for n in range(patients):
        user = create_user("patient", email=f"{tag}.{n}@example.com")
        patient = create_patient(user_id=user.id, email=user.email)
        people.append({"patient_id": str(patient.id), "user_id": str(user.id), "token": token_of(user)})
    desks = [token_of(create_user("front-desk", email=f"{tag}.desk{n}@example.com")) for n in range(8)]
    administrator = token_of(create_user("administrator", email=f"{tag}.administrator@example.com"))
    db.session.commit()
    return {
        "location_id": str(location.id),
        "service_ids": [str(one.id) for one in services],
        "practitioner_ids": [str(one.id) for one in doctors],
        "people": people,
        "desks": [{"token": token} for token in desks],
        "administrator": {"token": administrator},
        "mornings": [at.isoformat() for at in mornings()],
    }


def token_of(user: User) -> str:
    family_id = tokens.begin_family(user.id, secret=new_secret(), lifetime=timedelta(days=1), actor=SYSTEM)
    claims = {"fam": str(family_id)}
    return create_access_token(str(user.id), additional_claims=claims, expires_delta=timedelta(hours=2))


def mornings() -> list[datetime]:
    """Eight in the morning of the next fifty days, from the day after tomorrow on."""
    today: date = clock.today(ZONE)
    return [clock.to_instant(datetime.combine(today + timedelta(days=n), time(8)), ZONE) for n in range(2, 52)]


if __name__ == "__main__":
    app = create_app(load())
    for line in sys.stdin:
        with app.app_context():
            print(json.dumps(fill(**json.loads(line))), flush=True)  # noqa: T201 - this is the answer
