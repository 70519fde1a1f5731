"""Olga imports and exports on the pages, dana takes the list of a day, and both see how far it is."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from server.extensions import db
from server.jobs.timetable import BY_NAME
from server.models import BulkJob, Patient
from server.services import bulk_work, closures, exports, imports, runs
from tests.cast import Cast, Person
from tests.clients import PageClient
from tests.factories import create_appointment

Pages = Callable[[Person | None], PageClient]

CSV = b"First name;Last name;Date of birth;Shoe size\nNina;Okafor;1990-02-03;38\nOmar;;1985-04-13;44\n"


def upload(page: PageClient, content: bytes = CSV, **over: Any) -> PageClient:
    page.get("/admin/jobs/import", status=200)
    return page._keep(send(page, content, **over), None)


def send(page: PageClient, content: bytes, **over: Any) -> Any:
    file = FileStorage(io.BytesIO(content), "patients.csv")
    boundary, body = encode_multipart({"csrf_token": page.csrf_token(), "kind": "patients", "file": file, **over})
    return page.client.post("/admin/jobs/import", data=body, content_type=f"multipart/form-data; boundary={boundary}")


def test_olga_imports_a_file_in_two_steps(cast: Cast, page_client: Pages) -> None:
    page = upload(page_client(cast.olga))
    path = page.location
    page.get(path, status=200)
    assert page.says("It begins as soon as a worker is free.")
    assert 'http-equiv="refresh"' in page.text, "without scripts the page looks again"
    assert f'data-progress-url="{path}/progress"' in page.text
    bulk_work.work_due()
    page.get(path, status=200)
    assert page.says("2 of 2 rows checked.")
    assert page.says("These columns are not read: Shoe size")
    assert page.says("Nothing is imported yet.")
    assert page.says("2 Nina Okafor, born 1990-02-03 New")
    assert page.says("3 Omar, born 1985-04-13 Wrong Family name: Please fill this in.")
    assert 'http-equiv="refresh"' not in page.text
    page.get(f"{path}?rows=wrong", status=200)
    assert not page.says("Nina Okafor")
    page.get(path)
    sha256 = re.search(r'name="sha256" value="(\w+)"', page.text)
    assert sha256
    page.post(f"{path}/apply", sha256=sha256[1], status=302)
    bulk_work.work_due()
    page.get(path, status=200)
    assert page.says("1 of 1 row done.")
    assert page.says("Imported (1)")
    assert db.session.scalar(select(func.count()).where(Patient.family_name == "Okafor")) == 1
    page.post(f"{path}/cancel", follow=True, status=200)
    assert page.says("This job is over already.")


def test_the_bar_asks_for_a_few_numbers(cast: Cast, page_client: Pages) -> None:
    page = upload(page_client(cast.olga))
    answer = page.client.get(f"{page.location}/progress")
    assert answer.json == {
        "state": "waiting",
        "step": "check",
        "done": 0,
        "total": 2,
        "words": "It begins as soon as a worker is free.",
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "The file is empty."), (b"PK\x03\x04", "spreadsheet"), (b"a,b\n1,2\n", "is missing")],
)
def test_a_file_that_is_no_csv_is_refused_on_the_page(
    cast: Cast, page_client: Pages, content: bytes, sentence: str
) -> None:
    page = upload(page_client(cast.olga), content)
    assert page.response.status_code == 422
    assert sentence in page.text


def test_a_large_file_is_taken_from_olga_and_from_nobody_else(cast: Cast, page_client: Pages) -> None:
    large = CSV + b"A;B;1990-01-01;" + b"x" * 100_000 + b"\n" + b"C;D;1990-01-01;" + b"x" * 1000 * 100 + b"\n"
    large += b"".join(b"E%d;F;1990-01-01;" % n + b"x" * 100_000 + b"\n" for n in range(20))
    assert len(large) > 2_000_000
    assert upload(page_client(cast.olga), large).response.status_code == 302
    dana = page_client(cast.dana).get("/admin/jobs", status=200)
    assert send(dana, large).status_code == 413
    assert dana.client.get("/admin/jobs/import").status_code == 403


def test_dana_takes_the_list_of_a_day(cast: Cast, page_client: Pages) -> None:
    create_appointment(cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(9))
    db.session.commit()
    page = page_client(cast.dana).get("/admin/jobs", status=200)
    assert page.says("Export the list of a day")
    assert not page.says("Import a file")
    page.post("/admin/jobs/exports", **{"from": cast.day()}, status=302)
    path = page.location
    bulk_work.work_due()
    page.get(path, status=200)
    assert page.says("1 of 1 row written.")
    file = page.client.get(f"{path}/file")
    assert file.headers["Content-Disposition"] == f"attachment; filename=appointments-{cast.day()}.csv"
    assert [row[8:10] for row in csv.reader(io.StringIO(file.text))][1] == ["Ana", "Silva"]
    page.get("/admin/jobs")
    page.post("/admin/jobs/exports", **{"from": ""}, status=422)
    assert page.says("From: Please fill this in.")
    page.post("/admin/jobs/exports", kind="patients", status=403)


def test_others_have_no_jobs(cast: Cast, page_client: Pages) -> None:
    job = exports.start_export("patients", actor=cast.olga.actor)
    for person, status in ((cast.dr_cho, 403), (cast.ana, 403)):
        for path in ("/admin/jobs", f"/admin/jobs/{job.id}", f"/admin/jobs/{job.id}/file", "/admin/timetable"):
            assert page_client(person).client.get(path).status_code == status
    assert page_client(cast.dana).client.get(f"/admin/jobs/{job.id}").status_code == 404
    assert page_client(cast.dana).client.get("/admin/timetable").status_code == 403


def test_olga_cancels_and_sees_it_in_the_list(cast: Cast, page_client: Pages) -> None:
    job = imports.start_import("patients", CSV, actor=cast.olga.actor, file_name="p.csv")
    page = page_client(cast.olga).get("/admin/jobs", status=200)
    assert page.says("Import of patients p.csv")
    assert page.says("Waiting")
    page.post(f"/admin/jobs/{job.id}/cancel", follow=True, status=200)
    assert page.says("It is cancelled.")
    assert db.session.get_one(BulkJob, job.id, populate_existing=True).state == "cancelled"


def test_a_day_that_is_replaced_stands_in_the_same_list(cast: Cast, page_client: Pages) -> None:
    visit = create_appointment(
        cast.patient(cast.ana), cast.practitioner(cast.dr_cho), cast.location, cast.checkup, cast.at(9)
    )
    db.session.commit()
    closures.create_closure(
        start=cast.at(8),
        end=cast.at(18),
        practitioner_id=cast.dr_cho.practitioner_id,
        kind="leave",
        plan=[{"appointment_id": visit.id, "action": "cancel"}],
        actor=cast.dana.actor,
    )
    page = page_client(cast.dana).get("/admin/jobs", status=200)
    assert page.says("Dr Min Cho: Leave")
    assert page.says("0 of 1 visit settled. Running")
    BY_NAME["carry-out-plans"].run()
    page.get("/admin/jobs")
    assert page.says("1 of 1 visit settled. Done")


def test_olga_reads_the_timetable_and_runs_a_row(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.olga).get("/admin/timetable", status=200)
    assert page.says("No clock has led yet, so nothing happens by itself.")
    db.session.execute(
        text(
            "INSERT INTO clock_leads (id, clock, since, seen_at)"
            " VALUES (1, 'desk-1, process 7', clock_timestamp(), clock_timestamp())"
        )
    )
    runs.carry_out(BY_NAME["expire-offers"])
    db.session.commit()
    page.get("/admin/timetable", status=200)
    assert page.says("The clock and the workers run.")
    assert page.says("The clock that leads is desk-1, process 7, since")
    assert page.says("s, did 0; 1 run, 0 in all")
    page.post("/admin/timetable/expire-offers/run", follow=True, status=200)
    assert page.says("A worker is asked for expire-offers.")
    page.post("/admin/timetable/nothing/run", status=404)
