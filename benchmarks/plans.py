"""The plans of the hot statements at 10^6 stored appointments, written to docs/reference/plans.md."""

import pathlib
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import clinic as clinics
from benchmarks.measures import app_of
from benchmarks.rig import Rig
from server.extensions import db
from server.services import access, answered, availability, occupancy
from server.services.statements import Statement
from server.utils import clock
from server.utils.tokens import new_id

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "reference" / "plans.md"
HEAD = """# The plans of the hot statements

Made by `pipenv run bench plans`: PostgreSQL {version}, plans that are kept (`plan_cache_mode=force_generic_plan`),
{stored:,} appointments of 1,000 practitioners and patients (half of each working day taken), {schedules:,} rows of
hours, buffers warm.
[hot-path.md](hot-path.md) tells the story; times vary with the machine, the shape should not.
"""


def measure_plans(rig: Rig, *, quick: bool) -> dict[str, Any]:
    """EXPLAIN (ANALYZE, BUFFERS) of each hot statement; answers their execution times in ms."""
    stored = 100_000 if quick else 1_000_000
    url, app = app_of(rig, "plans")
    clinic = clinics.fill(url, people=1000, app=app)
    clinics.store(url, stored, first_day=clinics.working_day(-max(stored // 8000 - 20, 0)), a_day=8)
    first = clock.start_of_day(clinics.working_day(0), clinics.ZONE)
    wanted = clinics.Times(clinic).spread(1501)[-1]  # the afternoon of a day that is half taken
    time = {"service_id": clinic.service_id, "practitioner_id": wanted.practitioner_id, "location_id": None}
    facts = {**time, "start": wanted.start, "ignore_id": None}
    month = {**time, "from_at": first, "to_at": first + timedelta(days=30), "as_staff": False, "ignore_id": None}
    who = wanted.patient
    booking = {
        **facts,
        **{
            "id": new_id(),
            "event_id": new_id(),
            "message_id": new_id(),
            "patient_id": who.patient_id,
            "series_id": None,
        },
        **{
            "user_id": who.user_id,
            "booked_by_id": who.user_id,
            "role": "patient",
            "ip": "192.0.2.1",
            "request_id": "r",
        },
        **{"action": "appointment.booked", "letter": "appointment-booked", "reason": ""},
    }
    hot: list[tuple[str, Statement, dict[str, Any]]] = [
        ("The account and the claim on a key", access.ACTOR, {"user_id": who.user_id, "family_id": None, "key": "k"}),
        ("The usual booking: facts, visit, record, letter, reminders", occupancy.BOOK_IF_PLAIN, booking),
        (
            "The answer kept for a key",
            answered.KEEP,
            {"user_id": who.user_id, "key": "k", "request_hash": b"h", "status": 201, "headers": "{}", "body": b"{}"},
        ),
        (
            "Free times of one practitioner, 30 days",
            availability.SEARCH_OF_ONE,
            {**month, "limit": 200, "first_hours": 192},
        ),
        (
            "The first free time of any of 1,000 practitioners",
            availability.SEARCH,
            {**month, "practitioner_id": None, "limit": 1, "first_hours": 6},
        ),
    ]
    pages, figures = [], {}
    with app.app_context():
        driver: Any = db.session.connection().connection.driver_connection
        for number, (title, statement, values) in enumerate(hot):
            plan = _plan(driver, f"hot{number}", statement, values)
            figures[title] = float(plan[-1].split()[2])
            pages.append(f"## {title}\n\n```\n" + "\n".join(plan) + "\n```\n")
            driver.rollback()
        version = driver.execute("SHOW server_version").fetchone()[0]
        schedules = driver.execute("SELECT count(*) FROM schedules").fetchone()[0]
    if not quick:
        PAGE.write_text("\n".join([HEAD.format(version=version, stored=stored, schedules=schedules), *pages]))
    return {"execution ms": figures}


def _plan(driver: psycopg.Connection[Any], name: str, statement: Statement, values: dict[str, Any]) -> list[str]:
    """The plan of the statement as it is kept, the third time it runs."""
    given = sql.SQL(", ").join(sql.Literal(values[name]) for name in statement.names)
    driver.execute(sql.SQL(f"PREPARE {name} AS {statement.sql.decode()}"))
    execute = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) EXECUTE {}({})").format(sql.Identifier(name), given)
    for _ in range(3):
        driver.execute("SAVEPOINT before")
        lines = [row[0] for row in driver.execute(execute).fetchall()]
        driver.execute("ROLLBACK TO before")
    return [line for line in lines if "Planning" not in line]
