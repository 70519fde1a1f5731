"""The clinic that benchmarks book at: one location, many practitioners and patients, all written by SQL."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
from flask import Flask
from flask_jwt_extended import create_access_token

from server.utils import clock

ZONE = "America/New_York"
TIMES_A_DAY = 16  # every half hour from 9 to 17

FILL = """
    INSERT INTO locations (id, name, time_zone) VALUES (uuidv7(), 'Riverside', %(zone)s);
    INSERT INTO healthcare_services (id, name, duration_minutes, step_minutes, horizon_days)
    VALUES (uuidv7(), 'Visit', 30, 30, 1000);
    INSERT INTO practitioners (id, name)
    SELECT uuidv7(), 'Dr ' || lpad(n::text, 5, '0') FROM generate_series(1, %(people)s) n;
    INSERT INTO schedules (id, practitioner_id, location_id, weekday, starts_at, ends_at, valid_from)
    SELECT uuidv7(), p.id, l.id, day, '09:00', '17:00', '2024-01-01'
      FROM practitioners p, locations l, generate_series(1, 5) day;
    INSERT INTO schedule_services SELECT s.id, h.id FROM schedules s, healthcare_services h;
    INSERT INTO users (id, email, name, fs_uniquifier, confirmed_at)
    SELECT uuidv7(), n || '@example.com', 'Patient ' || n, lpad(n::text, 5, '0'), now()
      FROM generate_series(1, %(people)s) n;
    INSERT INTO user_roles SELECT u.id, r.id FROM users u, roles r WHERE r.name = 'patient';
    INSERT INTO patients (id, user_id, given_name, family_name, birth_date, email)
    SELECT uuidv7(), u.id, 'Pat', u.fs_uniquifier, '1980-01-01', u.email FROM users u;
    INSERT INTO token_families (id, user_id) SELECT uuidv7(), id FROM users
"""

# Visits on working days from `first_day` on, until `stored` are written: each day of 8 hours has `grid` times, of
# which every practitioner has `a_day` taken (7 spreads them over the day). The n-th patient sees the n-th practitioner.
STORE = """
    WITH days AS (
        SELECT day, row_number() OVER (ORDER BY day) - 1 AS number
          FROM generate_series(%(first_day)s::date, %(first_day)s::date + 3650, interval '1 day') day
         WHERE extract(isodow FROM day) < 6),
    who AS (SELECT id, row_number() OVER (ORDER BY name) - 1 AS number, count(*) OVER () AS people FROM practitioners),
    whom AS (SELECT id, row_number() OVER (ORDER BY family_name) - 1 AS number FROM patients)
    INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
    SELECT uuidv7(), h.id, who.id, l.id, whom.id, 'booked', visit.during, visit.during
      FROM generate_series(0, %(stored)s - 1) n
      JOIN who ON who.number = n %% people
      JOIN whom ON whom.number = who.number
      JOIN days ON days.number = n / people / %(a_day)s
     CROSS JOIN LATERAL (
        SELECT (days.day + time '09:00'
                + (n / people %% %(a_day)s * 7 + who.number) %% %(grid)s * interval '8 hours' / %(grid)s)
               AT TIME ZONE %(zone)s AS start) AS at
     CROSS JOIN LATERAL (SELECT tstzrange(start, start + interval '8 hours' / %(grid)s) AS during) AS visit
     CROSS JOIN healthcare_services h CROSS JOIN locations l
"""


@dataclass(frozen=True)
class Patient:
    patient_id: UUID
    user_id: UUID
    token: str


@dataclass(frozen=True)
class Clinic:
    """As many patients as practitioners."""

    service_id: UUID
    location_id: UUID
    practitioners: list[UUID]
    patients: list[Patient]


@dataclass(frozen=True)
class Try:
    """One time that somebody wants."""

    practitioner_id: UUID
    patient: Patient
    start: datetime


def fill(database_url: str, *, people: int, app: Flask) -> Clinic:
    """Write the clinic into a migrated database, with an access token for each patient that `app` signs."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in FILL.split(";"):
            connection.execute(statement, {"zone": ZONE, "people": people})  # type: ignore[call-overload]
        connection.execute("VACUUM ANALYZE")
        ids: Any = connection.execute("SELECT h.id, l.id FROM healthcare_services h, locations l").fetchone()
        who = [row[0] for row in connection.execute("SELECT id FROM practitioners ORDER BY name")]
        whom = connection.execute(
            "SELECT p.id, p.user_id, f.id FROM patients p JOIN token_families f USING (user_id) ORDER BY p.family_name"
        ).fetchall()
    with app.app_context():
        patients = [
            Patient(patient_id, user_id, create_access_token(str(user_id), additional_claims={"fam": str(family_id)}))
            for patient_id, user_id, family_id in whom
        ]
    return Clinic(*ids, who, patients)


def store(database_url: str, stored: int, *, first_day: date, a_day: int, grid: int = TIMES_A_DAY) -> None:
    """Write `stored` booked visits; STORE says how they are spread."""
    values = {"stored": stored, "first_day": first_day, "a_day": a_day, "grid": grid, "zone": ZONE}
    with psycopg.connect(database_url, autocommit=True) as connection:
        # The constraints are put back afterwards: building their indexes at once is many times faster.
        constraints = connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'appointments'::regclass AND contype = 'x'"
        ).fetchall()
        with connection.transaction():
            for name, _ in constraints:
                connection.execute(f"ALTER TABLE appointments DROP CONSTRAINT {name}")  # type: ignore[call-overload]
            connection.execute(STORE, values)
            for name, definition in constraints:
                connection.execute(f"ALTER TABLE appointments ADD CONSTRAINT {name} {definition}")  # type: ignore[call-overload]
        connection.execute("VACUUM ANALYZE")


def working_day(number: int) -> date:
    """The `number`-th working day from Monday of the week after next on; negative ones lie before it."""
    today = clock.today(ZONE)
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=2)
    return monday + timedelta(weeks=number // 5, days=number % 5)


@cache
def _time(number: int) -> datetime:
    """The `number`-th half hour of opening, from working day 0 on."""
    day, time_of_day = divmod(number, TIMES_A_DAY)
    nine = datetime.combine(working_day(day), time(9))
    return clock.to_instant(nine + timedelta(minutes=30) * time_of_day, ZONE)


class Times:
    """Hands out times that nobody has yet, so that no two trials meet."""

    BUSY, FOUGHT_FOR = 200 * TIMES_A_DAY, 400 * TIMES_A_DAY  # where these kinds begin, in half hours of opening

    def __init__(self, clinic: Clinic) -> None:
        self.clinic = clinic
        self._spread = self._busy = self._fought_for = 0

    def spread(self, count: int) -> list[Try]:
        """Free times over all practitioners in turn, each for another patient."""
        clinic, people = self.clinic, len(self.clinic.practitioners)
        numbers = range(self._spread, self._spread + count)
        self._spread += count
        return [Try(clinic.practitioners[n % people], clinic.patients[n % people], _time(n // people)) for n in numbers]

    def busy(self, count: int) -> list[Try]:
        """Free times of one practitioner, each for another patient."""
        clinic = self.clinic
        numbers = range(self._busy, self._busy + count)
        self._busy += count
        return [
            Try(clinic.practitioners[0], clinic.patients[n % len(clinic.patients)], _time(self.BUSY + n))
            for n in numbers
        ]

    def fought_for(self, *, times: int, patients: int) -> list[Try]:
        """`times` times of one practitioner, each wanted by `patients` different patients at once."""
        clinic, first = self.clinic, self._fought_for
        self._fought_for += times
        turn = first // times * patients  # other patients than last time, so that nobody reaches a rate limit
        return [
            Try(
                clinic.practitioners[1],
                clinic.patients[(turn + who) % len(clinic.patients)],
                _time(self.FOUGHT_FOR + first + n),
            )
            for n in range(times)
            for who in range(patients)
        ]
