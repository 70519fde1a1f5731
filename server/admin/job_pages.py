"""Imports and exports: asked for, watched, read row by row, applied, stopped, fetched."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.reading import read_date
from server.errors import Conflict, Invalid
from server.models import BulkJob, BulkRow
from server.services import access, bulk_jobs, directory, exports, imports
from server.utils import clock
from server.web.identity import current_actor
from server.web.limits import bulk_limit
from server.web.uploads import attachment, takes_a_file

JOBS, ROWS = 50, 100
IMPORTS = {"patients": "Patients", "appointments": "Appointments"}
EXPORTS = {"appointments": "Appointments", "patients": "Patients (all, without dates)", "messages": "Messages"}

Page = str | Response | tuple[str, int]


def list_jobs() -> Page:
    return _list_page()


@bulk_limit
def start_export() -> Page:
    """The front desk chooses one day, administrators what and from when to when."""
    try:
        first = read_date("from")
        kind = request.form.get("kind", "appointments")
        last = read_date("to") if "to" in request.form else first
        if kind == "patients":
            first = last = None
        job = exports.start_export(kind, from_on=first, to_on=last, actor=current_actor())
    except Invalid as refused:
        return _list_page(refused.detail), refused.status
    return redirect(url_for("admin.show_job", job_id=job.id))


def show_import() -> Page:
    return _import_page()


@bulk_limit
@takes_a_file
def start_import() -> Page:
    """The file is read in part, to see whether it is CSV at all; a job checks its rows."""
    sent = request.files.get("file")
    try:
        if sent is None or not sent.filename:
            raise Invalid("Choose a file.")
        job = imports.start_import(
            request.form.get("kind", ""),
            sent.read(imports.MAX_BYTES + 1),
            file_name=sent.filename,
            letters="letters" in request.form,
            actor=current_actor(),
        )
    except Invalid as refused:
        return _import_page(refused.detail), refused.status
    return redirect(url_for("admin.show_job", job_id=job.id))


def show_job(job_id: UUID) -> str:
    """How far it is; of an import also its rows, a page of them, of one outcome if wished."""
    actor, state = current_actor(), request.args.get("rows", "")
    if state and state not in words.ROW_STATES:
        raise Invalid("There is no such outcome.")
    line = bulk_jobs.read_job(job_id, actor=actor)
    counts: dict[str, int] = {}
    rows: Sequence[BulkRow] = []
    position = None
    if line.job.step != "export":
        after = request.args.get("after", "")
        counts = bulk_jobs.count_rows(job_id, actor=actor)
        rows, position = bulk_jobs.list_rows(
            job_id,
            actor=actor,
            limit=ROWS,
            state=state or None,
            after={"number": after} if after.isascii() and after.isdigit() and len(after) < 9 else None,
        )
    return render_template(
        "admin/show_job.html",
        job=line.job,
        asked_by=line.asked_by,
        progress=words.progress_line(line.job),
        counts=counts,
        rows=rows,
        next_after=position["number"] if position else None,
        state=state,
        expires_at=bulk_jobs.expires_at(line.job),
        may_import=actor.may("import"),
        **_words(),
    )


def show_progress(job_id: UUID) -> FlaskResponse:
    """What the page asks for every two seconds, where scripts run."""
    job = bulk_jobs.read_job(job_id, actor=current_actor()).job
    return jsonify(state=job.state, step=job.step, done=job.done, total=job.total, words=words.progress_line(job))


def apply_import(job_id: UUID) -> Response:
    try:
        imports.apply_import(job_id, sha256=request.form.get("sha256", ""), actor=current_actor())
    except (Conflict, Invalid) as refused:
        flash(refused.detail, "warning")
    return redirect(url_for("admin.show_job", job_id=job_id))


def cancel_job(job_id: UUID) -> Response:
    try:
        bulk_jobs.cancel_job(job_id, actor=current_actor())
    except Conflict as refused:
        flash(refused.detail, "warning")
    else:
        flash("It is cancelled.", "success")
    return redirect(url_for("admin.show_job", job_id=job_id))


def download_result(job_id: UUID) -> FlaskResponse:
    file = exports.download(job_id, actor=current_actor())
    return attachment(file.chunks, name=file.name, size=file.size, content_type="text/csv; charset=utf-8")


# --- the parts ---


def _list_page(refused: str = "") -> str:
    actor = current_actor()
    access.demand("export-day", actor=actor)
    words_of_page = _words()
    return render_template(
        "admin/list_jobs.html",
        lines=bulk_jobs.list_lines(actor=actor, limit=JOBS),
        plans=bulk_jobs.list_plans(actor=actor),
        names={one.id: one.name for one in directory.practitioners()}
        | {one.id: one.name for one in directory.locations()},
        closures=words.CLOSURES,
        is_open=_is_open,
        progress_line=words.progress_line,
        refused=refused,
        form=request.form,
        today=clock.today(words_of_page["zone"]),
        exports=EXPORTS,
        **words_of_page,
    )


def _import_page(refused: str = "") -> str:
    access.demand("import", actor=current_actor())
    return render_template(
        "admin/show_import.html",
        refused=refused,
        form=request.form,
        kinds=IMPORTS,
        columns={name: (kind.COLUMNS, kind.NEEDED) for name, kind in imports.KINDS.items()},
        most_rows=imports.MAX_ROWS,
        most_bytes=imports.MAX_BYTES // 1_000_000,
    )


def _is_open(job: BulkJob) -> bool:
    return job.state in bulk_jobs.OPEN


def _words() -> dict[str, Any]:
    locations = directory.locations()
    zone = locations[0].time_zone if locations else "UTC"
    return {"zone": zone, "kinds": words.JOBS, "states": words.JOB_STATES, "row_states": words.ROW_STATES}
