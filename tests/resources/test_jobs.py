"""Imports, exports and the timetable over REST."""

import csv
import io
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from server.extensions import db
from server.models import AuditEvent, BulkJob, Patient
from server.services import bulk_work, imports
from tests.cast import Cast
from tests.resources.asking import Api, book

CSV = "given_name;family_name;birth_date\nNina;Okafor;1990-02-03\nOmar;;1985-04-13\n"


def uploaded(api_client: Api, cast: Cast, **over: Any) -> dict[str, Any]:
    answer = api_client(cast.olga).post("/imports", {"kind": "patients", "csv": CSV, "file_name": "p.csv", **over})
    assert answer.status_code == 202, answer.text
    return answer.json


def test_olga_imports_patients(api_client: Api, cast: Cast) -> None:
    olga = api_client(cast.olga)
    job = uploaded(api_client, cast)
    assert (job["state"], job["step"], job["done"], job["total"]) == ("waiting", "check", 0, 2)
    bulk_work.work_due()
    path = f"/jobs/{job['id']}"
    job = olga.get(path).json
    assert (job["state"], job["done"], job["has_result"]) == ("checked", 2, True)
    found = olga.get(f"{path}/rows?limit=1").json
    assert found["items"][0] == {
        "number": 2,
        "state": "ready",
        "label": "Nina Okafor, born 1990-02-03",
        "detail": "",
        "object_id": None,
    }
    rest = olga.get(f"{path}/rows?limit=1&cursor={found['next_cursor']}").json
    assert [(row["number"], row["state"]) for row in rest["items"]] == [(3, "wrong")]
    assert rest["next_cursor"] is None
    assert [row["number"] for row in olga.get(f"{path}/rows?state=wrong").json["items"]] == [3]
    wrong = olga.post(f"{path}/apply", {"sha256": "0" * 64})
    assert (wrong.status_code, wrong.json["errors"]) == (422, {"sha256": ["This is not the file that was checked."]})
    assert olga.post(f"{path}/apply", {"sha256": job["sha256"]}).json["state"] == "waiting"
    bulk_work.work_due()
    assert olga.get(path).json["state"] == "done"
    assert olga.post(f"{path}/cancel").json["type"] == "job-state"
    with olga.get(f"{path}/result") as report:
        assert report.headers["Content-Disposition"].startswith("attachment; filename=import-patients-")
        lines = list(csv.reader(io.StringIO(report.get_data(as_text=True).removeprefix("\ufeff"))))
    assert lines[1:] == [
        ["2", "Nina Okafor, born 1990-02-03", "done", ""],
        ["3", "Omar, born 1985-04-13", "wrong", "Family name: Please fill this in."],
    ]


def test_an_upload_that_is_repeated_is_one_import(api_client: Api, cast: Cast) -> None:
    olga, body = api_client(cast.olga), {"kind": "patients", "csv": CSV}
    first = olga.post("/imports", body, headers={"Idempotency-Key": "k"})
    assert olga.post("/imports", body, headers={"Idempotency-Key": "k"}).data == first.data
    assert db.session.scalar(select(func.count()).select_from(BulkJob)) == 1


def test_a_file_of_ten_megabytes_is_taken_and_elsewhere_one_is_enough(api_client: Api, cast: Cast) -> None:
    long = "given_name,family_name,birth_date,reason\n" + ("N,O,1990-01-01," + "x" * 9000 + "\n") * 1000
    assert len(long) > 9_000_000
    job = uploaded(api_client, cast, csv=long)
    assert job["total"] == 1000
    too_long = {"kind": "patients", "csv": "x" * (imports.MAX_BYTES + 1)}
    assert api_client(cast.olga).post("/imports", too_long).status_code == 422
    assert api_client(cast.olga).post("/exports", too_long).status_code == 413


def test_a_file_that_is_no_csv_is_refused(api_client: Api, cast: Cast) -> None:
    answer = api_client(cast.olga).post("/imports", {"kind": "patients", "csv": "hello"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["csv"])


def test_dana_exports_a_day_and_fetches_the_file(api_client: Api, cast: Cast) -> None:
    book(api_client, cast)
    dana, day = api_client(cast.dana), str(cast.day())
    answer = dana.post("/exports", {"kind": "appointments", "from": day, "to": day})
    assert answer.status_code == 202
    path = answer.headers["Location"]
    assert dana.get(f"{path}/result").json["type"] == "job-state"
    bulk_work.work_due()
    with dana.get(f"{path}/result") as file:
        assert (file.status_code, file.mimetype) == (200, "text/csv")
        assert file.headers["Content-Disposition"] == f"attachment; filename=appointments-{day}.csv"
        assert file.headers["Cache-Control"] == "no-store"
        assert int(file.headers["Content-Length"]) == len(file.data)
        assert "Silva" in file.text
    assert dana.post("/exports", {"kind": "patients"}).status_code == 403
    assert api_client(cast.ana).get(f"{path}/result").status_code == 403
    assert api_client(None).get(f"{path}/result").status_code == 401
    assert [job["id"] for job in dana.get("/jobs").json["items"]] == [answer.json["id"]]
    uploaded(api_client, cast)
    olga = api_client(cast.olga)
    first = olga.get("/jobs?limit=1").json
    second = olga.get(f"/jobs?limit=1&cursor={first['next_cursor']}").json
    assert [first["items"][0]["kind"], second["items"][0]["kind"]] == ["import-patients", "export-appointments"]
    assert len(olga.get("/jobs?kind=import-patients&state=waiting").json["items"]) == 1
    assert len(dana.get("/jobs").json["items"]) == 1


def test_olga_cancels(api_client: Api, cast: Cast) -> None:
    job = uploaded(api_client, cast)
    assert api_client(cast.dana).post(f"/jobs/{job['id']}/cancel").status_code == 404
    answer = api_client(cast.olga).post(f"/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    assert bulk_work.work_due() == 0
    assert db.session.scalar(select(func.count()).where(Patient.family_name == "Okafor")) == 0


def test_olga_reads_the_timetable_and_runs_a_row_now(app: Flask, api_client: Api, cast: Cast) -> None:
    client = app.config["SESSION_REDIS"]
    olga = api_client(cast.olga)
    rows = {row["name"]: row for row in olga.get("/timetable").json["items"]}
    assert rows["send-letters"]["runs"] == 0
    assert olga.post("/timetable/expire-offers/run").status_code == 202
    assert client.llen("now") == 1
    assert db.session.scalars(select(AuditEvent.object_type).where(AuditEvent.action == "timetable.run")).all() == [
        "expire-offers"
    ]
    assert olga.post("/timetable/nothing/run").status_code == 404
    for person, status in ((cast.dana, 403), (cast.ana, 403), (None, 401)):
        assert api_client(person).get("/timetable").status_code == status
        assert api_client(person).post("/timetable/expire-offers/run").status_code == status
