"""Imports of CSV: a file is checked row by row, somebody reads what that says, and then exactly that is applied."""

import hashlib
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, text

from server.errors import DomainError, Invalid, Unavailable
from server.extensions import db
from server.models import BulkJob, BulkRow
from server.services import access, audit, bulk_jobs, bulk_turns, import_patients, import_visits
from server.services.access import Actor
from server.services.bulk_jobs import JobState
from server.services.bulk_turns import Turn
from server.services.import_rows import in_words
from server.services.transaction import atomic, retried
from server.utils import csv_files
from server.utils.csv_files import NotCsv, Table

MAX_BYTES = 10_000_000
MAX_ROWS = 20_000
BATCH = 100  # rows that are checked in one transaction
KINDS: Mapping[str, Any] = {"patients": import_patients, "appointments": import_visits}
# Two imports at once take turns with each row, so that the same row of both is seen by the second.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('import ' || :kind, 0))")


def start_import(kind: str, content: bytes, *, actor: Actor, file_name: str = "", letters: bool = False) -> BulkJob:
    """Have a file checked: "patients" or "appointments". Nothing is imported until `apply_import`.

    `letters`: whether patients get the letter that their visit is booked. Raises NotAllowed, Invalid.
    """
    with atomic():
        access.demand("import", actor=actor)
        if kind not in KINDS:
            raise _wrong("kind", f"Choose one of: {', '.join(KINDS)}.")
        if len(content) > MAX_BYTES:
            raise _wrong("csv", f"The file is larger than {MAX_BYTES // 1_000_000} MB. Send it in parts.")
        table = _read(kind, content)
        try:
            total = sum(1 for _ in islice(table, MAX_ROWS + 1))
        except NotCsv as error:
            raise _wrong("csv", str(error)) from error
        if total > MAX_ROWS:
            raise _wrong("csv", f"The file has more than {MAX_ROWS:,} rows. Send it in parts.")
        if not total:
            raise _wrong("csv", "The file has no rows below the names of the columns.")
        return bulk_jobs.create(
            f"import-{kind}",
            step="check",
            options={"letters": letters, "ignored": [name[:60] for name in table.ignored[:50]]},
            total=total,
            file_name=file_name,
            file_hash=hashlib.sha256(content).digest(),
            input_file=content,
            actor=actor,
        )


def apply_import(job_id: UUID, *, sha256: str, actor: Actor) -> BulkJob:
    """Import the rows that the check found ready, and no others. `sha256`: of the file, as the check named it.

    Raises NotVisible, NotAllowed, Invalid for the hash of another file, JobState.
    """
    with atomic():
        access.demand("import", actor=actor)
        job = bulk_jobs.locked(job_id, actor=actor)
        if job.state != "checked":
            raise JobState("Only an import that was checked, and not applied yet, can be applied.", state=job.state)
        if sha256.lower() != job.sha256:
            raise _wrong("sha256", "This is not the file that was checked.")
        job.step, job.state, job.done = "apply", "waiting", 0
        job.total = _count(job_id, "ready")
        job.leased_until = func.clock_timestamp()  # since when it waits
        job.asked_by_id = actor.user_id  # whoever presses the button answers for it
        audit.record(f"{job.kind}.applied", actor=actor, object_type="BulkJob", object_id=job_id)
        bulk_jobs.hurry()
        db.session.flush()
        db.session.refresh(job)
    return job


# --- for the worker ---


def check_rows(turn: Turn, until: float) -> int:
    """Check rows and write down what was found, until it is `until` (monotonic); returns how many."""
    job = bulk_turns.read(turn)
    kind, actor = _kind(job), _actor(job)
    with atomic():
        checker = kind.Checker(actor=actor)
        for number, fields in db.session.execute(
            select(BulkRow.number, BulkRow.fields)
            .where(BulkRow.job_id == job.id, BulkRow.state == "ready")
            .order_by(BulkRow.number)
        ):
            checker.remember(number, fields)
    last = (job.position or {}).get("number", 0)
    left = ((number, cells) for number, cells in _read(_name(job), job.input_file or b"") if number > last)
    did = 0
    while rows := list(islice(left, BATCH)):
        if time.monotonic() >= until:
            return did
        _check_batch(turn, checker, rows)
        did += len(rows)
    with bulk_turns.work(turn) as job:
        job.state, job.position, job.input_file = "checked", None, None  # what it said stands in the rows
        job.lease = job.leased_until = None
    return did


def apply_rows(turn: Turn, until: float) -> int:
    """Import rows that are ready, each in a transaction of its own, until it is `until`; returns how many."""
    job = bulk_turns.read(turn)
    kind, actor, did = _kind(job), _actor(job), 0
    while time.monotonic() < until:
        if not _apply_one(turn, kind, actor):
            with bulk_turns.work(turn) as job:
                bulk_turns.finish(job)
            break
        did += 1
    return did


def _check_batch(turn: Turn, checker: Any, rows: list[tuple[int, dict[str, str]]]) -> None:
    with bulk_turns.work(turn) as job:
        found = checker.check(rows)
        db.session.execute(
            insert(BulkRow),
            [
                {
                    "job_id": job.id,
                    "number": one.number,
                    "state": one.state,
                    "fields": one.fields,
                    "label": one.label[:250],
                    "detail": one.detail[:1000],
                    "object_id": one.object_id,
                }
                for one in found
            ],
        )
        job.done += len(rows)
        job.position = {"number": rows[-1][0]}


@retried
def _apply_one(turn: Turn, kind: Any, actor: Actor) -> bool:
    """The next row, with the command that everybody uses. False when there is none left."""
    with bulk_turns.work(turn) as job:
        last = (job.position or {}).get("number", 0)  # so that the rows before are not looked through each time
        row = db.session.scalars(
            select(BulkRow)
            .where(BulkRow.job_id == job.id, BulkRow.state == "ready", BulkRow.number > last)
            .order_by(BulkRow.number)
            .limit(1)
            .execution_options(populate_existing=True)
        ).one_or_none()
        if row is None:
            return False
        db.session.execute(_TAKE_TURNS, {"kind": job.kind})
        try:
            with db.session.begin_nested():
                row.object_id, refused = kind.apply(row.fields, options=job.options, actor=actor)
        except Unavailable:
            raise
        except DomainError as error:
            row.state, row.detail = "failed", in_words(error)[:1000]
        else:
            row.state, row.detail = ("skipped", refused[:1000]) if refused else ("done", "")
        job.done += 1
        job.position = {"number": row.number}
        return True


def _read(kind: str, content: bytes) -> Table:
    try:
        return csv_files.read(content, columns=KINDS[kind].COLUMNS, needed=KINDS[kind].NEEDED)
    except NotCsv as error:
        raise _wrong("csv", str(error)) from error


def _count(job_id: UUID, state: str) -> int:
    query = select(func.count()).where(BulkRow.job_id == job_id, BulkRow.state == state)
    return db.session.scalar(query) or 0


def _name(job: BulkJob) -> str:
    return job.kind.removeprefix("import-")


def _kind(job: BulkJob) -> Any:
    return KINDS[_name(job)]


def _actor(job: BulkJob) -> Actor:
    actor = bulk_turns.actor_of(job)
    access.demand("import", actor=actor)
    return actor


def _wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, errors={field: [sentence]})
