"""Files for spreadsheets: whole, safe to open, and for those who may have them."""

import csv
import io
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from server.errors import DomainError, Invalid, NotAllowed, NotVisible
from server.extensions import db
from server.models import AuditEvent, BulkChunk, BulkJob, OutboxMessage, Patient
from server.services import booking, bulk_jobs, bulk_work, exports, imports
from server.services.bulk_jobs import JobState
from server.utils import csv_files
from tests.cast import Cast, Person
from tests.factories import create_patient


def made(job_id: UUID, who: Person) -> list[list[str]]:
    """The rows of a file, as `who` gets it."""
    bulk_work.work_due()
    file = exports.download(job_id, actor=who.actor)
    content = b"".join(file.chunks)
    assert file.size in (None, len(content))
    assert content.startswith(b"\xef\xbb\xbf"), "Excel knows by it that this is UTF-8"
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_olga_exports_all_patients_in_chunks(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 2)
    for number in range(3):
        create_patient(given_name="Pat", family_name=f"Number {number}", email=None)
    job = exports.start_export("patients", actor=cast.olga.actor)
    head, *rows = made(job.id, cast.olga)
    assert head == ["given_name", "family_name", "birth_date", "email", "phone", "mrn"]
    assert [row[1] for row in rows] == ["Silva", "Torres", "Number 0", "Number 1", "Number 2"]
    assert db.session.scalar(select(func.count()).select_from(BulkChunk)) == 3
    db.session.refresh(job)
    assert (job.state, job.done, job.total) == ("done", 5, 5)
    actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.object_id == job.id)).all()
    assert sorted(actions) == ["export-patients.asked", "export-patients.downloaded", "export-patients.made"]
    told = db.session.execute(select(OutboxMessage.letter, OutboxMessage.user_id)).all()
    assert told == [("account-export-ready", cast.olga.user_id)]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", " =", "＝"])
def test_no_cell_is_a_formula(begin: str) -> None:
    cell = f"{begin}HYPERLINK(1)"
    assert csv_files.safe(cell) == f"'{cell}"
    assert csv_files.without_guard(csv_files.safe(cell.strip(" "))) == cell.strip(" ")


@pytest.mark.parametrize("cell", ["Ana", "O'Neil", "'quoted'", "a=b", "1-2", ""])
def test_and_other_cells_stay_as_they_are(cell: str) -> None:
    assert csv_files.safe(cell) == cell == csv_files.without_guard(cell)


def test_what_was_exported_can_be_imported_elsewhere(cast: Cast) -> None:
    create_patient(given_name="=cmd|' /C calc'!A0", family_name="Evil", phone="+1 212 555 0133", email=None)
    job = exports.start_export("patients", actor=cast.olga.actor)
    bulk_work.work_due()
    content = b"".join(exports.download(job.id, actor=cast.olga.actor).chunks)
    assert b"'=cmd" in content
    assert b"'+1 212" in content
    db.session.execute(text("DELETE FROM patients WHERE family_name = 'Evil'"))
    job = imports.start_import("patients", content, actor=cast.olga.actor)
    bulk_work.work_due()
    imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)
    bulk_work.work_due()
    evil = db.session.scalars(select(Patient).where(Patient.family_name == "Evil")).one()
    assert (evil.given_name, evil.phone) == ("=cmd|' /C calc'!A0", "+1 212 555 0133")


def test_dana_exports_the_list_of_one_day_and_nothing_more(cast: Cast) -> None:
    for hour, who in ((9, cast.ana), (17 - 1, cast.bea)):
        booking.book_appointment(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            actor=who.actor,
            reason="-2+3",
        )
    day = cast.day()
    job = exports.start_export("appointments", from_on=day, to_on=day, actor=cast.dana.actor)
    head, *rows = made(job.id, cast.dana)
    assert [dict(zip(head, row, strict=True))["start"] for row in rows] == [f"{day} 09:00", f"{day} 16:00"]
    assert rows[0][1:6] == ["09:30", "America/New_York", "Check-up", "Dr Min Cho", "Riverside"]
    assert rows[0][-1] == "'-2+3"
    for kind, last in (("appointments", day + timedelta(days=1)), ("messages", day)):
        with pytest.raises(NotAllowed):
            exports.start_export(kind, from_on=day, to_on=last, actor=cast.dana.actor)
    with pytest.raises(NotAllowed):
        exports.start_export("patients", actor=cast.dana.actor)
    next_day = exports.start_export(
        "appointments", from_on=day + timedelta(days=1), to_on=day + timedelta(days=2), actor=cast.olga.actor
    )
    assert len(made(next_day.id, cast.olga)) == 1


def test_messages_are_exported_without_what_they_say(cast: Cast) -> None:
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
        reason="a secret",
    )
    today = date.today()  # noqa: DTZ011 - wide enough
    job = exports.start_export(
        "messages", from_on=today - timedelta(days=2), to_on=today + timedelta(days=2), actor=cast.olga.actor
    )
    _, row = made(job.id, cast.olga)
    assert row[1:4] == ["appointment-booked", "email", "waiting"]
    assert row[6:8] == ["Ana", "Silva"]
    assert "secret" not in " ".join(row)


def test_a_file_is_for_who_asked_and_for_administrators(cast: Cast) -> None:
    day = cast.day()
    job = exports.start_export("appointments", from_on=day, to_on=day, actor=cast.olga.actor)
    with pytest.raises(JobState):
        exports.download(job.id, actor=cast.olga.actor)
    bulk_work.work_due()
    for person in (cast.dana, cast.dr_cho, cast.ana):
        with pytest.raises(DomainError) as refused:
            exports.download(job.id, actor=person.actor)
        assert refused.value.status in (403, 404)
    by_dana = exports.start_export("appointments", from_on=day, to_on=day, actor=cast.dana.actor)
    assert made(by_dana.id, cast.olga)
    found, _ = bulk_jobs.list_jobs(actor=cast.dana.actor)
    assert [each.id for each in found] == [by_dana.id]
    assert len(bulk_jobs.list_jobs(actor=cast.olga.actor)[0]) == 2


def test_a_cancelled_export_leaves_no_file(cast: Cast) -> None:
    job = exports.start_export("patients", actor=cast.olga.actor)
    bulk_jobs.cancel_job(job.id, actor=cast.olga.actor)
    assert bulk_work.work_due() == 0
    with pytest.raises(JobState):
        exports.download(job.id, actor=cast.olga.actor)


def test_files_are_deleted_after_a_week(cast: Cast) -> None:
    job = exports.start_export("patients", actor=cast.olga.actor)
    made(job.id, cast.olga)
    assert bulk_jobs.delete_files() == 0
    db.session.execute(text("UPDATE bulk_jobs SET ended_at = ended_at - interval '8 days'"))
    assert bulk_jobs.delete_files() == 1
    assert db.session.scalar(select(func.count()).select_from(BulkChunk)) == 0
    with pytest.raises(NotVisible):
        exports.download(job.id, actor=cast.olga.actor)
    assert bulk_jobs.read_job(job.id, actor=cast.olga.actor).job.state == "done", "it stays in the list"
    db.session.execute(text("UPDATE bulk_jobs SET ended_at = ended_at - interval '90 days'"))
    bulk_jobs.delete_files()
    assert db.session.scalar(select(func.count()).select_from(BulkJob)) == 0


@pytest.mark.parametrize("days", [None, -1, exports.MAX_DAYS + 1])
def test_dates_are_asked_for_and_make_sense(cast: Cast, days: int | None) -> None:
    day = cast.day()
    with pytest.raises(Invalid):
        exports.start_export(
            "appointments",
            from_on=day,
            to_on=None if days is None else day + timedelta(days=days),
            actor=cast.olga.actor,
        )
