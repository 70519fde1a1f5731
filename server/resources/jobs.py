"""Imports and exports with their progress, and the timetable of what happens by itself."""

from typing import Any
from uuid import UUID

from flask import Response, url_for

from server.resources.schemas.fields import NothingSchema
from server.resources.schemas.jobs import (
    ApplyRequestSchema,
    BulkJobListSchema,
    BulkJobSchema,
    ExportRequestSchema,
    ImportRequestSchema,
    JobQuerySchema,
    RowListSchema,
    RowQuerySchema,
    TimetableSchema,
)
from server.services import bulk_jobs, runs
from server.services import exports as exporting
from server.services import imports as importing
from server.web.guards import account_by_api, guard
from server.web.idempotency import idempotent
from server.web.identity import current_actor
from server.web.limits import bulk_limit
from server.web.paging import decode_cursor, encode_cursor
from server.web.rest import Blueprint, MethodView
from server.web.uploads import attachment, takes_a_file

jobs = Blueprint("jobs", __name__, url_prefix="/api/v1/jobs", description="Imports and exports (staff)")
imports = Blueprint("imports", __name__, url_prefix="/api/v1/imports", description="Imports (administrators)")
exports = Blueprint("exports", __name__, url_prefix="/api/v1/exports", description="Exports (staff)")
timetable = Blueprint(
    "timetable", __name__, url_prefix="/api/v1/timetable", description="What happens by itself (administrators)"
)
for blueprint in (jobs, imports, exports, timetable):
    guard(blueprint, account_by_api)


def _page(found: Any, position: dict[str, str] | None) -> dict[str, Any]:
    return {"items": found, "next_cursor": encode_cursor(position) if position else None}


@imports.route("")
class Imports(MethodView):
    decorators = [bulk_limit, idempotent, takes_a_file]

    @imports.doc(refusals=[403, 429], shows=["Location"])
    @imports.arguments(ImportRequestSchema)
    @imports.response(202, BulkJobSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Have a CSV file checked; nothing is imported yet

        A job checks it row by row (`GET /jobs/{id}/rows`). When it is `checked`, `POST /jobs/{id}/apply` imports the
        rows that are `ready`.
        """
        job = importing.start_import(body.pop("kind"), body.pop("csv").encode(), **body, actor=current_actor())
        return job, {"Location": url_for("jobs.JobById", job_id=job.id)}


@exports.route("")
class Exports(MethodView):
    decorators = [bulk_limit, idempotent]

    @exports.doc(refusals=[403, 429], shows=["Location"])
    @exports.arguments(ExportRequestSchema)
    @exports.response(202, BulkJobSchema)
    def post(self, body: dict[str, Any]) -> Any:
        """Have a CSV file made; the front desk may have the appointments of one day

        When the job is `done`, `GET /jobs/{id}/result` answers the file.
        """
        job = exporting.start_export(
            body["kind"], from_on=body.get("from_"), to_on=body.get("to"), actor=current_actor()
        )
        return job, {"Location": url_for("jobs.JobById", job_id=job.id)}


@jobs.route("")
class Jobs(MethodView):
    @jobs.doc(refusals=[403])
    @jobs.arguments(JobQuerySchema, location="query")
    @jobs.response(200, BulkJobListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Imports and exports, newest first; to the front desk their own

        How far the plan of a closure is stands in `GET /closures/{id}`.
        """
        after = decode_cursor(query.pop("cursor", None))
        return _page(*bulk_jobs.list_jobs(**query, after=after, actor=current_actor()))


@jobs.route("/<uuid:job_id>")
class JobById(MethodView):
    @jobs.doc(refusals=[403, 404])
    @jobs.response(200, BulkJobSchema)
    def get(self, job_id: UUID) -> Any:
        """How far a job is"""
        return bulk_jobs.read_job(job_id, actor=current_actor()).job


@jobs.route("/<uuid:job_id>/rows")
class JobRows(MethodView):
    @jobs.doc(refusals=[403, 404])
    @jobs.arguments(RowQuerySchema, location="query")
    @jobs.response(200, RowListSchema)
    def get(self, query: dict[str, Any], job_id: UUID) -> dict[str, Any]:
        """Rows of an import: what the check found, or what became of them"""
        after = decode_cursor(query.pop("cursor", None))
        return _page(*bulk_jobs.list_rows(job_id, **query, after=after, actor=current_actor()))


@jobs.route("/<uuid:job_id>/apply")
class JobApply(MethodView):
    decorators = [idempotent]

    @jobs.doc(refusals=[403, 404, 409])
    @jobs.arguments(ApplyRequestSchema)
    @jobs.response(202, BulkJobSchema)
    def post(self, body: dict[str, Any], job_id: UUID) -> Any:
        """Import the rows that the check found ready (administrators)"""
        return importing.apply_import(job_id, **body, actor=current_actor())


@jobs.route("/<uuid:job_id>/cancel")
class JobCancel(MethodView):
    decorators = [idempotent]

    @jobs.doc(refusals=[403, 404, 409])
    @jobs.arguments(NothingSchema, required=False)
    @jobs.response(200, BulkJobSchema)
    def post(self, _body: dict[str, Any], job_id: UUID) -> Any:
        """Stop a job before its next row; what was imported stays"""
        return bulk_jobs.cancel_job(job_id, actor=current_actor())


@jobs.route("/<uuid:job_id>/result")
class JobResult(MethodView):
    @jobs.doc(refusals=[403, 404, 409])
    @jobs.response(
        200,
        {"type": "string", "example": "given_name,family_name,birth_date\r\n..."},
        content_type="text/csv",
        description="UTF-8 with a byte order mark; a cell that would be a formula begins with an apostrophe",
    )
    def get(self, job_id: UUID) -> Response:
        """The file of an export, or the report of an import"""
        file = exporting.download(job_id, actor=current_actor())
        return attachment(file.chunks, name=file.name, size=file.size, content_type="text/csv; charset=utf-8")


@timetable.route("")
class Timetable(MethodView):
    @timetable.doc(refusals=[403])
    @timetable.response(200, TimetableSchema)
    def get(self) -> dict[str, Any]:
        """What happens by itself: how it ran last, when it runs next, and which clock leads"""
        report = runs.read_timetable(actor=current_actor())
        return {"clock": report.clock, "troubles": report.troubles, "items": list(map(_row, report.lines))}


@timetable.route("/<string:name>/run")
class TimetableRun(MethodView):
    decorators = [idempotent]

    @timetable.doc(refusals=[403, 404])
    @timetable.arguments(NothingSchema, required=False)
    @timetable.response(202)
    def post(self, _body: dict[str, Any], name: str) -> None:
        """Run one row of the timetable now"""
        runs.run_now(name, actor=current_actor())


def _row(line: runs.Line) -> dict[str, Any]:
    job, run = line.job, line.run
    names = ("started_at", "ended_at", "took_ms", "did", "failed_at")
    return {
        "name": job.name,
        "what": job.what,
        "every_seconds": job.every_seconds,
        "queue": job.queue,
        "next_at": line.next_at,
        **{name: getattr(run, name, None) for name in names},
        "runs": run.runs if run else 0,
        "did_in_all": run.did_in_all if run else 0,
        "failures": run.failures if run else 0,
        "error": run.error if run else "",
    }
