"""The checker: it reads only the database (and the letters), never what a client believes."""

from collections import Counter
from typing import Any

import psycopg
from psycopg.rows import dict_row

OCCUPYING = "('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"
# name: who, when, and how two that share a time on purpose differ
CONSTRAINTS = {
    "ex_appointments_practitioner_id_occupied": ("practitioner_id", "occupied", ", lane WITH ="),
    "ex_appointments_room_id_occupied": ("room_id", "occupied", ", lane WITH ="),
    "ex_appointments_device_id_occupied": ("device_id", "occupied", ", lane WITH ="),
    "ex_appointments_patient_id_during": ("patient_id", "during", ""),
}

Connection = psycopg.Connection[dict[str, Any]]


def connect(database_url: str) -> Connection:
    """A connection of its own; rows are dicts, every statement commits."""
    return psycopg.connect(database_url, autocommit=True, row_factory=dict_row)


def overlaps(connection: Connection) -> int:
    """Pairs of rows that occupy the same practitioner, room, device or patient at the same time, and not on purpose:
    what was overbooked lies over another visit, and the seats of a group beside each other."""
    return sum(
        connection.execute(f"""
            SELECT count(*) AS n FROM appointments a JOIN appointments b
                ON a.{who} = b.{who} AND a.{when} && b.{when} AND a.id < b.id
               AND ('{who}' = 'patient_id' OR a.lane = b.lane)
             WHERE a.status IN {OCCUPYING} AND b.status IN {OCCUPYING}""").fetchone()["n"]  # type: ignore[arg-type, index]
        for who, when, _ in CONSTRAINTS.values()
    )


def booked(connection: Connection, service_ids: list[str]) -> list[dict[str, Any]]:
    """The visits of these services that stand, with how often each is in the audit and in the outbox."""
    return connection.execute(
        """
        SELECT a.*, lower(a.during) AS start,
               (SELECT count(*) FROM audit_events e WHERE e.object_id = a.id
                   AND e.action IN ('appointment.booked', 'appointment.overridden')) AS events,
               (SELECT count(*) FROM outbox_messages m
                 WHERE m.appointment_id = a.id AND m.letter = 'appointment-booked') AS letters
          FROM appointments a WHERE a.service_id = ANY(%s::uuid[]) AND a.status = 'booked' ORDER BY start""",
        [service_ids],
    ).fetchall()


def check(connection: Connection, service_ids: list[str]) -> list[dict[str, Any]]:
    """No overlap; every visit with one audit event and one letter. Answers the visits."""
    visits = booked(connection, service_ids)
    assert overlaps(connection) == 0
    assert Counter((visit["events"], visit["letters"]) for visit in visits) in ({}, {(1, 1): len(visits)})
    return visits


class NoConstraints:
    """The database without its last line, for a negative control; what was booked in between is thrown away."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        for name in CONSTRAINTS:
            self.connection.execute(f"ALTER TABLE appointments DROP CONSTRAINT {name}")  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self.connection.execute("TRUNCATE appointments CASCADE")
        for name, (who, when, lane) in CONSTRAINTS.items():
            self.connection.execute(
                f"ALTER TABLE appointments ADD CONSTRAINT {name}"  # type: ignore[arg-type]
                f" EXCLUDE USING gist ({who} WITH =, {when} WITH &&{lane}) WHERE (status IN {OCCUPYING})"
            )
