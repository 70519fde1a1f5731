"""B: whoever imports or exports dies, at named points and by kill -9; nothing is lost, nothing is there twice."""

import csv
import io
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from server.app import create_app
from server.extensions import db
from server.jobs import schema
from server.jobs.sending import send
from server.models import AuditEvent, BulkJob, BulkRow, Patient
from server.services import bulk_work, exports, imports
from server.services.access import Actor, actor_for
from server.settings import Settings, load
from tests.bars.live_clinic import eventually
from tests.bars.processes import children, frontdesk, kill
from tests.conftest import SECRETS
from tests.factories import create_user

pytestmark = pytest.mark.processes


@dataclass
class Archive:
    """A clinic that imports and exports, and the processes that work on it."""

    app: Flask
    env: dict[str, str]
    olga_id: UUID

    @property
    def olga(self) -> Actor:
        return actor_for(self.olga_id)

    def work(self, *command: str) -> int:
        """One process that works until there is nothing left, or until it dies; its exit code."""
        done = subprocess.run([sys.executable, *command], env=self.env, capture_output=True, timeout=60)
        assert done.returncode in (0, 9), done.stderr[-2000:]
        return done.returncode

    def a_minute_passes(self) -> None:
        """The lease of whoever died is over."""
        db.session.execute(text("UPDATE bulk_jobs SET leased_until = clock_timestamp() WHERE state = 'running'"))
        db.session.commit()

    def checked_import(self, patients: int, *, work: bool = True) -> BulkJob:
        lines = [f"Pat,Number {n},{1940 + n % 60}-01-{1 + n % 28:02}" for n in range(patients)]
        content = "\n".join(["given_name,family_name,birth_date", *lines]).encode()
        job = imports.start_import("patients", content, actor=self.olga)
        if not work:
            return job
        bulk_work.work_due()
        return imports.apply_import(job.id, sha256=job.sha256 or "", actor=self.olga)

    def state(self, job_id: UUID) -> tuple[str, int]:
        db.session.rollback()
        job = db.session.get_one(BulkJob, job_id, populate_existing=True)
        return job.state, job.done

    def count(self, *where: object) -> int:
        return db.session.scalar(select(func.count()).where(*where)) or 0  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def building(new_database: Callable[[str], str], settings: Settings) -> Iterator[Archive]:
    url, broker = new_database("frontdesk_archive"), settings.redis_url  # Celery knows one, and other tests look there
    app = create_app(load({}, **SECRETS, database_url=url, redis_url=broker))
    schema.upgrade(app)
    with app.app_context():
        olga_id = create_user("administrator", email="olga@example.com").id
        db.session.commit()
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DATABASE", "REDIS", "MAIL"))},
            **{name.upper(): value for name, value in SECRETS.items()},
            "DATABASE_URL": url,
            "REDIS_URL": broker,
        }
        yield Archive(app, env, olga_id)
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def archive(building: Archive) -> Archive:
    db.session.execute(text("SET LOCAL frontdesk.archived = 'yes'"))  # what is on record is kept, but here
    for table in ("bulk_jobs", "patients", "audit_events"):
        db.session.execute(text(f"DELETE FROM {table}"))
    db.session.commit()
    return building


def test_B_an_import_whose_worker_dies_goes_on_with_the_row_that_was_not_committed(archive: Archive) -> None:
    job = archive.checked_import(30)
    assert archive.work("-m", "tests.bars.dying_bulk_work", "import", "8") == 9
    assert archive.state(job.id) == ("running", 7), "the eighth was written, and not committed"
    assert archive.count(Patient.given_name == "Pat") == 7
    assert bulk_work.work_due() == 0, "as long as the lease lasts nobody else takes it"
    archive.a_minute_passes()
    bulk_work.work_due()
    assert archive.state(job.id) == ("done", 30)
    assert archive.count(Patient.given_name == "Pat") == 30
    assert archive.count(AuditEvent.action == "patient.created") == 30
    assert archive.count(BulkRow.job_id == job.id, BulkRow.state == "done") == 30


def test_B_an_export_whose_worker_dies_has_every_row_once(archive: Archive) -> None:
    archive.checked_import(45)
    bulk_work.work_due()
    job_id = exports.start_export("patients", actor=archive.olga).id
    assert archive.work("-m", "tests.bars.dying_bulk_work", "export", "3") == 9
    assert archive.state(job_id) == ("running", 20)
    archive.a_minute_passes()
    bulk_work.work_due()
    assert archive.state(job_id) == ("done", 45)
    content = b"".join(exports.download(job_id, actor=archive.olga).chunks).decode("utf-8-sig")
    names = [row[1] for row in csv.reader(io.StringIO(content, newline=""))]
    assert names == ["family_name", *(f"Number {n}" for n in range(45))]


def test_B_two_workers_import_the_same_file_at_once_and_each_patient_is_there_once(archive: Archive) -> None:
    jobs = [archive.checked_import(40, work=False) for _ in range(2)]
    bulk_work.work_due()
    for job in jobs:
        imports.apply_import(job.id, sha256=job.sha256 or "", actor=archive.olga)
    command = [sys.executable, "-m", "server", "job", "work-on-bulk-jobs"]
    workers = [subprocess.Popen(command, env=archive.env, stdout=subprocess.DEVNULL) for _ in jobs]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert [archive.state(job.id) for job in jobs] == [("done", 40)] * 2
    assert archive.count(Patient.given_name == "Pat") == 40
    assert archive.count(BulkRow.state == "done") == archive.count(BulkRow.state == "skipped") == 40


def test_B_a_worker_of_celery_is_killed_in_the_middle_and_the_work_is_ended_by_another(
    archive: Archive, tmp_path: pathlib.Path
) -> None:
    """The real thing: `frontdesk worker` with all its queues, killed with -9, and none of its processes stays."""
    job = archive.checked_import(500)
    with frontdesk("worker", "--concurrency", "1", env=archive.env, log=tmp_path / "worker.log") as worker:
        assert send("work-on-bulk-jobs")
        assert eventually(lambda: archive.state(job.id)[1] >= 20, within=60), (tmp_path / "worker.log").read_text()
        family = [worker.pid, *(pid for child in children(worker.pid) for pid in (child, *children(child)))]
        assert len(family) >= 7, "one, and for each of three queues a Celery with its process"
        for pid in family:
            if not children(pid):
                kill(pid)  # those that work, in the middle of whatever it is
        kill(worker.pid)
        assert eventually(lambda: not any(map(is_alive, family[1:])), within=30), "nobody works on without them"
    state, done = archive.state(job.id)
    assert state == "running"
    assert 20 <= done < 500
    assert archive.count(Patient.given_name == "Pat") == done, "what was counted is there, and nothing else"
    archive.a_minute_passes()
    bulk_work.work_due()
    assert archive.state(job.id) == ("done", 500)
    assert archive.count(Patient.given_name == "Pat") == 500
    assert archive.count(AuditEvent.action == "patient.created") == 500


def is_alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
