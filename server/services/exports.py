"""Exports: patients, appointments and messages as CSV, a chunk a transaction, for whoever may have them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, func, select, tuple_

from server.errors import Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import (
    Appointment,
    BulkChunk,
    BulkJob,
    BulkRow,
    HealthcareService,
    Location,
    OutboxMessage,
    Patient,
    Practitioner,
    Room,
    Status,
)
from server.services import access, audit, bulk_jobs, bulk_turns, outbox
from server.services.access import Actor
from server.services.bulk_jobs import JobState
from server.services.bulk_turns import Turn
from server.services.transaction import atomic
from server.utils import clock, csv_files

CHUNK = 1000  # rows
MAX_DAYS = 3660
FURTHEST_ZONE = timedelta(hours=14)  # from UTC


@dataclass(frozen=True)
class Kind:
    """One export: its columns, the rows in a stable order, and where a row stands in that order."""

    columns: Sequence[str]
    query: Callable[[dict[str, Any]], Any]
    order: tuple[Any, ...]
    cells: Callable[[Row[Any]], list[Any]]
    has_dates: bool = True


@dataclass(frozen=True)
class Download:
    """A file to be handed out. `size` in bytes, None when nobody counted; each chunk is read when it is asked for."""

    name: str
    size: int | None
    chunks: Iterator[bytes]


def start_export(kind: str, *, actor: Actor, from_on: date | None = None, to_on: date | None = None) -> BulkJob:
    """Have a file made: "patients", "appointments" or "messages", of local days [from_on, to_on].

    Administrators may have all of them, the front desk the appointments of one day. Raises NotAllowed, Invalid.
    """
    with atomic():
        errors: dict[str, list[str]] = {}
        if kind not in KINDS:
            raise Invalid("There is no such export.", errors={"kind": [f"Choose one of: {', '.join(KINDS)}."]})
        if KINDS[kind].has_dates:
            errors |= {name: ["Please fill this in."] for name, day in (("from", from_on), ("to", to_on)) if not day}
            if from_on and to_on and not 0 <= (to_on - from_on).days <= MAX_DAYS:
                errors["to"] = [f"The last day comes after the first, and at most {MAX_DAYS} days later."]
        elif from_on or to_on:
            errors["from"] = ["Patients have no dates to choose from."]
        if errors:
            raise Invalid(" ".join(f"{name.capitalize()}: {lines[0]}" for name, lines in errors.items()), errors=errors)
        options = {"from": str(from_on), "to": str(to_on)} if from_on else {}
        _demand(f"export-{kind}", options, actor)
        name = f"{kind}-{from_on}" + (f"-to-{to_on}" if to_on != from_on else "") if from_on else kind
        return bulk_jobs.create(f"export-{kind}", step="export", options=options, file_name=f"{name}.csv", actor=actor)


def download(job_id: UUID, *, actor: Actor) -> Download:
    """The file of an export; of an import, what became of each row. It goes on record.

    Raises NotVisible, NotAllowed, JobState while there is none.
    """
    with atomic():
        job = bulk_jobs.read_job(job_id, actor=actor).job
        if job.files_deleted_at is not None:
            raise NotVisible("The files of this job were deleted a week after it ended.")
        if not job.has_result:
            raise JobState("There is no file yet.", state=job.state)
        if job.step == "export":
            _demand(job.kind, job.options, actor)
        else:
            access.demand("import", actor=actor)
        audit.record(f"{job.kind}.downloaded", actor=actor, object_type="BulkJob", object_id=job.id)
        if job.step == "export":
            return Download(job.file_name, job.result_bytes, _chunks(job_id))
        return Download(f"{job.kind}-{job.created_at:%Y-%m-%d}-report.csv", None, _report(job_id))


# --- for the worker ---


def write_chunks(turn: Turn, until: float) -> int:
    """Write chunks until it is `until` (monotonic); returns how many rows."""
    did = 0
    while time.monotonic() < until:
        with bulk_turns.work(turn) as job:
            actor = bulk_turns.actor_of(job)
            _demand(job.kind, job.options, actor)
            written = _write_chunk(job)
            did += written
            if written < CHUNK:
                bulk_turns.finish(job)
                audit.record(f"{job.kind}.made", actor=actor, object_type="BulkJob", object_id=job.id)
                outbox.post("account-export-ready", user_id=actor.user_id)
                break
    return did


def _write_chunk(job: BulkJob) -> int:
    kind = KINDS[job.kind.removeprefix("export-")]
    query = kind.query(job.options)
    position = job.position
    if position is None:
        job.total = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
        position = {"number": 0, "after": None}
    columns = [column.label(f"position_{n}") for n, column in enumerate(kind.order)]
    query = query.add_columns(*columns).order_by(*kind.order).limit(CHUNK)
    if position["after"]:
        after = [datetime.fromisoformat(value) for value in position["after"][:-1]] + [UUID(position["after"][-1])]
        query = query.where(tuple_(*kind.order) > tuple_(*after) if len(after) > 1 else kind.order[0] > after[0])
    rows = db.session.execute(query).all()
    number = position["number"]
    lines = [list(kind.columns)] if number == 0 else []
    content = csv_files.write([*lines, *map(kind.cells, rows)], begins=number == 0)
    if content:
        db.session.add(BulkChunk(job_id=job.id, number=number, content=content))
    if rows:
        last = [getattr(rows[-1], f"position_{n}") for n in range(len(kind.order))]
        position["after"] = [value.isoformat() if isinstance(value, datetime) else str(value) for value in last]
    job.position = {"number": number + 1, "after": position["after"]}
    job.result_bytes += len(content)
    job.done += len(rows)
    job.total = max(job.total, job.done)  # some came while it was written
    return len(rows)


def _demand(kind: str, options: dict[str, Any], actor: Actor) -> None:
    if actor.may("export"):
        return
    is_a_day = kind == "export-appointments" and options["from"] == options["to"]
    if not (is_a_day and actor.may("export-day")):
        raise NotAllowed("Your role allows the list of one day, and no other export.")


def _chunks(job_id: UUID) -> Iterator[bytes]:
    number = 0
    while True:
        with atomic():  # no connection is kept while somebody with a slow line reads
            content = db.session.scalar(
                select(BulkChunk.content).where(BulkChunk.job_id == job_id, BulkChunk.number == number)
            )
        if content is None:
            return
        yield content
        number += 1


def _report(job_id: UUID) -> Iterator[bytes]:
    """What became of each row of an import."""
    yield csv_files.write([["row", "what", "outcome", "detail"]], begins=True)
    after = 0
    while True:
        with atomic():
            rows = db.session.execute(
                select(BulkRow.number, BulkRow.label, BulkRow.state, BulkRow.detail)
                .where(BulkRow.job_id == job_id, BulkRow.number > after)
                .order_by(BulkRow.number)
                .limit(CHUNK)
            ).all()
        if not rows:
            return
        after = rows[-1].number
        yield csv_files.write([list(row) for row in rows])


# --- what is exported ---


def _patients(_options: dict[str, Any]) -> Any:
    return select(
        Patient.given_name, Patient.family_name, Patient.birth_date, Patient.email, Patient.phone, Patient.mrn
    )


def _appointments(options: dict[str, Any]) -> Any:
    first, last = date.fromisoformat(options["from"]), date.fromisoformat(options["to"])
    start = func.lower(Appointment.during)
    on_date = func.date(func.timezone(Location.time_zone, start))
    return (
        select(
            start.label("start"),
            func.upper(Appointment.during).label("end"),
            Location.time_zone,
            HealthcareService.name.label("service"),
            Practitioner.name.label("practitioner"),
            Location.name.label("location"),
            Room.name.label("room"),
            Appointment.status,
            Patient.given_name,
            Patient.family_name,
            Patient.birth_date,
            Patient.mrn,
            Patient.email,
            Patient.phone,
            Appointment.reason,
        )
        .join(Location, Location.id == Appointment.location_id)
        .join(HealthcareService, HealthcareService.id == Appointment.service_id)
        .join(Practitioner, Practitioner.id == Appointment.practitioner_id)
        .outerjoin(Room, Room.id == Appointment.room_id)
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .where(
            Appointment.status != Status.PROPOSED,
            # On the clocks of each location; the wide bounds are for the index.
            and_(
                start >= clock.start_of_day(first, "UTC") - FURTHEST_ZONE,
                start < clock.start_of_day(last, "UTC") + timedelta(days=1) + FURTHEST_ZONE,
            ),
            on_date.between(first, last),
        )
    )


def _messages(options: dict[str, Any]) -> Any:
    first, last = date.fromisoformat(options["from"]), date.fromisoformat(options["to"])
    zone = select(Location.time_zone).where(Location.is_active).order_by(Location.name).limit(1).scalar_subquery()
    on_date = func.date(func.timezone(func.coalesce(zone, "UTC"), OutboxMessage.due_at))
    return (
        select(
            OutboxMessage.due_at,
            OutboxMessage.letter,
            OutboxMessage.channel,
            func.coalesce(OutboxMessage.outcome, "waiting").label("outcome"),
            OutboxMessage.outcome_at,
            OutboxMessage.attempts,
            Patient.given_name,
            Patient.family_name,
            Patient.mrn,
            OutboxMessage.detail,
        )
        .outerjoin(Patient, Patient.id == OutboxMessage.patient_id)
        .where(on_date.between(first, last))
    )


def _visit(row: Row[Any]) -> list[Any]:
    """Local wall time, as the import reads it."""
    start, end = clock.local(row.start, row.time_zone), clock.local(row.end, row.time_zone)
    return [f"{start:%Y-%m-%d %H:%M}", f"{end:%H:%M}", *row[2:15]]


def _message(row: Row[Any]) -> list[Any]:
    return [row.due_at.isoformat(timespec="seconds"), *row[1:4], _instant(row.outcome_at), *row[5:10]]


def _instant(value: datetime | None) -> str:
    return value.isoformat(timespec="seconds") if value else ""


KINDS = {
    "patients": Kind(
        columns=("given_name", "family_name", "birth_date", "email", "phone", "mrn"),
        query=_patients,
        order=(Patient.id,),
        cells=lambda row: list(row[:6]),
        has_dates=False,
    ),
    "appointments": Kind(
        columns=(
            *("start", "end", "time_zone", "service", "practitioner", "location", "room", "status"),
            *("given_name", "family_name", "birth_date", "patient_mrn", "patient_email", "patient_phone", "reason"),
        ),
        query=_appointments,
        order=(func.lower(Appointment.during), Appointment.id),
        cells=_visit,
    ),
    "messages": Kind(
        columns=(
            *("due_at", "letter", "channel", "outcome", "outcome_at", "attempts"),
            *("given_name", "family_name", "patient_mrn", "detail"),
        ),
        query=_messages,
        order=(OutboxMessage.due_at, OutboxMessage.id),
        cells=_message,
    ),
}
