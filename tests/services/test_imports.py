"""Olga brings patients and visits from another system: checked first, then exactly that, and never twice."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import func, select, text, update

from server.errors import DomainError, Invalid, NotAllowed
from server.extensions import db
from server.models import Appointment, BulkJob, BulkRow, OutboxMessage, Patient, Status
from server.services import booking, bulk_jobs, bulk_turns, bulk_work, closures, imports
from server.services.bulk_jobs import JobState
from tests.cast import Cast
from tests.factories import create_patient, create_service

PATIENTS = """\
given_name;family_name;birth_date;email;phone
Nina;Okafor;1990-02-03;nina@example.com;+1 212 555 0111
Omar;Haddad;13.04.1985;;
;Nobody;1990-01-01;;
Paul;Late;1990-31-31;;
ana;SILVA;1980-01-01;;
Niña;Okafor;1990-02-03;other@example.com;
Rita;Other;1991-01-01;NINA@example.com;
Sam;Phone;1992-01-01;;(212) 555-0111
"""


def check(cast: Cast, content: str | bytes, kind: str = "patients", **over: object) -> BulkJob:
    """Uploaded by olga and checked by a worker."""
    sent = content.encode() if isinstance(content, str) else content
    job = imports.start_import(kind, sent, actor=cast.olga.actor, **over)  # type: ignore[arg-type]
    bulk_work.work_due()
    return db.session.get_one(BulkJob, job.id, populate_existing=True)


def apply(cast: Cast, job: BulkJob) -> BulkJob:
    imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)
    bulk_work.work_due()
    return db.session.get_one(BulkJob, job.id, populate_existing=True)


def rows(job: BulkJob) -> Sequence[tuple[int, str, str]]:
    found = db.session.execute(
        select(BulkRow.number, BulkRow.state, BulkRow.detail).where(BulkRow.job_id == job.id).order_by(BulkRow.number)
    )
    return [(row.number, row.state, row.detail) for row in found]


def count(table: type) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def test_the_check_says_of_each_row_what_becomes_of_it_and_writes_nothing(cast: Cast) -> None:
    db.session.execute(update(Patient).where(Patient.id == cast.ana.patient_id).values(birth_date=date(1980, 1, 1)))
    before = count(Patient)
    job = check(cast, PATIENTS)
    assert (job.state, job.done, job.total) == ("checked", 8, 8)
    assert rows(job) == [
        (2, "ready", ""),
        (3, "ready", ""),
        (4, "wrong", "Given name: Please fill this in."),
        (5, "wrong", "Birth date: “1990-31-31” is not a date. Write it as 1980-12-31."),
        (6, "skipped", "Already a patient: the same name and date of birth as Ana Silva, born 1980-01-01."),
        (7, "skipped", "The same name and date of birth as row 2 of this file."),
        (8, "skipped", "The same e-mail address as row 2 of this file."),
        (9, "skipped", "The same phone number as row 2 of this file."),
    ]
    assert count(Patient) == before
    assert job.input_file is None, "what the file said stands in the rows"


def test_what_the_check_found_ready_is_imported_and_a_second_time_nothing_is(cast: Cast) -> None:
    before = count(Patient)
    job = apply(cast, check(cast, PATIENTS))
    assert (job.state, job.done, job.total) == ("done", 2, 2)
    assert count(Patient) == before + 2
    omar = db.session.scalars(select(Patient).where(Patient.family_name == "Haddad")).one()
    assert (omar.given_name, omar.birth_date, omar.email) == ("Omar", date(1985, 4, 13), None)
    again = check(cast, PATIENTS)
    assert [state for _, state, _ in rows(again)].count("ready") == 0
    assert apply(cast, again).state == "done"
    assert count(Patient) == before + 2


def test_who_came_by_another_way_since_the_check_is_not_doubled(cast: Cast) -> None:
    job = check(cast, "given_name,family_name,birth_date,mrn\nNina,Okafor,1990-02-03,A1\n")
    create_patient(given_name="Nina", family_name="Okafor", birth_date=date(1990, 2, 3))
    job = apply(cast, job)
    assert db.session.scalar(select(func.count()).where(Patient.family_name == "Okafor")) == 1
    ((_, state, detail),) = rows(job)
    assert state == "skipped"
    assert "Already a patient by now" in detail


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"PK\x03\x04rest", "This is a spreadsheet"),
        ("given_name;family_name;birth_date\nJosé;X;1990-01-01".encode("latin-1"), "not UTF-8"),
        (b"\xff\xfeg\x00", "UTF-16"),
        (b"given_name,family_name\nA,B\n", "The column birth_date is missing."),
        (b"given_name,given_name,family_name,birth_date\n", "The column given_name is there twice."),
        (b"given_name,family_name,birth_date\n\n , ,\n", "no rows"),
        (b'given_name,family_name,birth_date\nA,"B,1990-01-01\n', "Row 2 cannot be read"),
        (
            b"given_name,family_name,birth_date\n" + b"A,B,1990-01-01\n" * (imports.MAX_ROWS + 1),
            "more than 20,000 rows",
        ),
        (b"x" * (imports.MAX_BYTES + 1), "larger than 10 MB"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(cast: Cast, content: bytes, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        imports.start_import("patients", content, actor=cast.olga.actor)
    assert sentence in refused.value.detail


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_whatever_stands_between_the_cells(cast: Cast, delimiter: str, mark: bytes) -> None:
    lines = [["First name", "Surname", "Date of birth", "Shoe size"], ["Zoë", "D'Arc", "1990-01-02", "38"]]
    job = check(cast, mark + "\r\n".join(delimiter.join(line) for line in lines).encode())
    assert rows(job) == [(2, "ready", "")]
    assert job.options["ignored"] == ["Shoe size"]


def test_only_administrators_import(cast: Cast) -> None:
    for person in (cast.dana, cast.dr_cho, cast.ana):
        with pytest.raises(NotAllowed):
            imports.start_import("patients", PATIENTS.encode(), actor=person.actor)
    job = check(cast, PATIENTS)
    for person in (cast.dana, cast.dr_cho, cast.ana):
        with pytest.raises(DomainError):
            imports.apply_import(job.id, sha256=job.sha256 or "", actor=person.actor)
        with pytest.raises(DomainError):
            bulk_jobs.list_rows(job.id, actor=person.actor)


def test_only_the_file_that_was_checked_is_applied_and_once(cast: Cast) -> None:
    job = check(cast, PATIENTS)
    with pytest.raises(Invalid, match="not the file"):
        imports.apply_import(job.id, sha256=hashlib.sha256(b"another").hexdigest(), actor=cast.olga.actor)
    apply(cast, job)
    with pytest.raises(JobState):
        imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)


def test_a_cancelled_import_keeps_what_is_in_and_brings_no_more(cast: Cast) -> None:
    before = count(Patient)
    job = check(cast, PATIENTS)
    imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)
    turn = bulk_turns.lease()
    assert turn is not None
    assert imports._apply_one(turn, imports.KINDS["patients"], cast.olga.actor)
    bulk_jobs.cancel_job(job.id, actor=cast.olga.actor)
    with pytest.raises(bulk_turns.Lost):
        imports._apply_one(turn, imports.KINDS["patients"], cast.olga.actor)
    bulk_work.work_due()
    assert count(Patient) == before + 1
    with pytest.raises(JobState):
        bulk_jobs.cancel_job(job.id, actor=cast.olga.actor)


def test_a_worker_that_was_thought_dead_finds_out_before_it_writes(cast: Cast) -> None:
    job = check(cast, PATIENTS)
    imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)
    first = bulk_turns.lease()
    assert first is not None
    assert bulk_turns.lease() is None, "nobody else takes it meanwhile"
    db.session.execute(text("UPDATE bulk_jobs SET leased_until = clock_timestamp() - interval '1 second'"))
    second = bulk_turns.lease()
    assert second is not None
    with pytest.raises(bulk_turns.Lost):
        imports._apply_one(first, imports.KINDS["patients"], cast.olga.actor)
    assert imports._apply_one(second, imports.KINDS["patients"], cast.olga.actor)


def test_control_without_asking_for_the_lease_it_would_write(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    job = check(cast, PATIENTS)
    imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)
    first = bulk_turns.lease()
    assert first is not None
    db.session.execute(text("UPDATE bulk_jobs SET leased_until = clock_timestamp() - interval '1 second'"))
    assert bulk_turns.lease() is not None
    monkeypatch.setattr(bulk_turns, "_of", lambda turn: select(BulkJob).where(BulkJob.id == turn.job_id))
    assert imports._apply_one(first, imports.KINDS["patients"], cast.olga.actor), "two workers, one row each time"


def test_an_import_ends_when_olga_is_no_administrator_any_more(cast: Cast) -> None:
    job = check(cast, PATIENTS)
    imports.apply_import(job.id, sha256=job.sha256 or "", actor=cast.olga.actor)
    db.session.execute(text("DELETE FROM user_roles WHERE user_id = :id"), {"id": cast.olga.user_id})
    bulk_work.work_due()
    db.session.refresh(job)
    assert (job.state, job.error) == ("failed", "Your role does not allow this.")


def test_a_job_that_ends_its_worker_every_time_fails_in_the_end(cast: Cast) -> None:
    job = imports.start_import("patients", PATIENTS.encode(), actor=cast.olga.actor)
    for _ in range(bulk_work.MAX_ATTEMPTS):
        assert bulk_turns.lease() is not None  # and the worker dies
        db.session.execute(text("UPDATE bulk_jobs SET leased_until = clock_timestamp() - interval '1 second'"))
    bulk_work.work_due()
    db.session.refresh(job)
    assert job.state == "failed"
    assert "came to no end" in job.error


# --- visits ---


def visits(cast: Cast, *lines: str) -> str:
    return "\n".join(["start,service,practitioner,patient_email,reason", *lines])


def wall(cast: Cast, hour: int, minute: int = 0) -> str:
    return f"{cast.day():%Y-%m-%d} {hour:02}:{minute:02}"


def test_visits_are_checked_by_the_rules_and_against_each_other(cast: Cast) -> None:
    closures.create_closure(
        start=cast.at(15), end=cast.at(17), practitioner_id=cast.dr_diaz.practitioner_id, actor=cast.dana.actor
    )
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(12),
        actor=cast.ana.actor,
    )
    job = check(
        cast,
        visits(
            cast,
            f"{wall(cast, 9)},Check-up,Dr Min Cho,ana@example.com,back pain",
            f"{wall(cast, 9)},Check-up,dr min cho,bea@example.com,",
            f"{wall(cast, 9)},Check-up,Dr Eva Diaz,ana@example.com,",
            f"{wall(cast, 9)},check-up,DR MIN CHO,ANA@example.com,again",
            f"{wall(cast, 10)},Surgery,Dr No,who@example.com,",
            f"{wall(cast, 15)},Check-up,Dr Eva Diaz,bea@example.com,",
            f"{wall(cast, 12)},Check-up,Dr Min Cho,bea@example.com,",
            f"{wall(cast, 12)},Check-up,Dr Min Cho,ana@example.com,",
            f"{wall(cast, 20)},Check-up,Dr Min Cho,ana@example.com,",
            "2020-01-01 09:00,Check-up,Dr Min Cho,ana@example.com,",
            "soon,Check-up,Dr Min Cho,ana@example.com,",
        ),
        kind="appointments",
    )
    found = rows(job)
    assert [state for _, state, _ in found] == [
        "ready",
        "wrong",
        "wrong",
        "skipped",
        *["wrong"] * 3,
        "skipped",
        *["wrong"] * 3,
    ]
    said = [detail for _, _, detail in found]
    assert said[1] == "The practitioner has another visit then, in row 2 of this file."
    assert said[2] == "The patient has another visit then, in row 2 of this file."
    assert said[3] == "The same visit as in row 2 of this file."
    assert said[4].startswith("There is no service “Surgery”. There is no practitioner “Dr No”. There is no patient")
    assert "away" in said[5]
    assert said[6] == f"This time is taken. The next free one is {wall(cast, 12, 30)}."
    assert said[7] == "This visit is booked already."
    assert "no opening hours" in said[8]
    assert "in the past" in said[9]
    assert "is not a time" in said[10]
    assert count(Appointment) == 1


def test_imported_visits_send_no_letters_unless_olga_wishes(cast: Cast) -> None:
    content = visits(cast, f"{wall(cast, 9)},Check-up,Dr Min Cho,ana@example.com,")
    assert apply(cast, check(cast, content, kind="appointments")).state == "done"
    visit = db.session.scalars(select(Appointment)).one()
    assert (visit.status, visit.start, visit.patient_id) == (Status.BOOKED, cast.at(9), cast.ana.patient_id)
    assert count(OutboxMessage) == 0
    content = visits(cast, f"{wall(cast, 10)},Check-up,Dr Min Cho,ana@example.com,")
    apply(cast, check(cast, content, kind="appointments", letters=True))
    assert db.session.scalars(select(OutboxMessage.letter)).all() == ["appointment-booked"]


def test_a_time_that_was_taken_since_the_check_is_reported_and_the_rest_goes_on(cast: Cast) -> None:
    job = check(
        cast,
        visits(
            cast,
            f"{wall(cast, 9)},Check-up,Dr Min Cho,ana@example.com,",
            f"{wall(cast, 10)},Check-up,Dr Min Cho,ana@example.com,",
        ),
        kind="appointments",
    )
    booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=cast.bea.actor
    )
    job = apply(cast, job)
    assert job.state == "done"
    assert [(number, state) for number, state, _ in rows(job)] == [(2, "failed"), (3, "done")]
    assert rows(job)[0][2].startswith("This time is taken. The next free one is")
    again = check(
        cast,
        visits(cast, f"{wall(cast, 10)},Check-up,Dr Min Cho,ana@example.com,"),
        kind="appointments",
    )
    assert rows(again) == [(2, "skipped", "This visit is booked already.")]


def test_a_check_that_its_time_limit_cut_knows_the_rows_before(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    real, cuts = imports._check_batch, [False, True, False]

    def cut_once(*args: Any) -> None:
        if cuts.pop(0):
            raise SoftTimeLimitExceeded
        real(*args)

    monkeypatch.setattr(imports, "BATCH", 1)
    monkeypatch.setattr(imports, "_check_batch", cut_once)
    content = visits(
        cast,
        f"{wall(cast, 9)},Check-up,Dr Min Cho,ana@example.com,",
        f"{wall(cast, 9)},Check-up,Dr Min Cho,bea@example.com,",
    )
    job = check(cast, content, kind="appointments")
    assert (job.state, job.done, job.lease) == ("running", 1, None), "put back, with what was done"
    db.session.execute(text("UPDATE bulk_jobs SET leased_until = NULL"))
    bulk_work.work_due()
    db.session.refresh(job)
    assert (job.state, job.done) == ("checked", 2)
    assert [state for _, state, _ in rows(job)] == ["ready", "wrong"]


def test_a_patient_is_found_by_what_the_row_says_and_only_if_it_is_one(cast: Cast) -> None:
    for mrn in ("T1", "T2"):
        create_patient(given_name="Twin", family_name="Two", birth_date=date(2000, 1, 1), mrn=mrn, email=None)
    create_service(name="Unoffered")
    head = "start,service,practitioner,given_name,family_name,birth_date,patient_mrn\n"
    start = wall(cast, 9)
    job = check(
        cast,
        head
        + f"{start},Check-up,Dr Min Cho,Twin,Two,2000-01-01,\n"
        + f"{start},Check-up,Dr Min Cho,Twin,Two,2000-01-01,T2\n"
        + f"{wall(cast, 10)},Check-up,Dr Min Cho,Twin,Other,2000-01-01,T2\n"
        + f"{wall(cast, 10)},Check-up,Dr Min Cho,,,,\n",
        kind="appointments",
    )
    found = rows(job)
    assert [state for _, state, _ in found] == ["wrong", "ready", "wrong", "wrong"]
    assert found[0][2] == "2 patients have this name and date of birth. Add more about them."
    assert found[2][2].startswith("There is no patient with this record number and name and date of birth.")
    assert found[3][2].startswith("Say which patient")
