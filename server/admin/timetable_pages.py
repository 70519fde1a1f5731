"""The timetable: what happens by itself, how it went, what stands still, and a run by hand."""

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from server.errors import Unavailable
from server.services import directory, runs
from server.web.identity import current_actor


def show_timetable() -> str:
    locations = directory.locations()
    return render_template(
        "admin/show_timetable.html",
        report=runs.read_timetable(actor=current_actor()),
        zone=locations[0].time_zone if locations else "UTC",
    )


def run_job(name: str) -> Response:
    try:
        runs.run_now(name, actor=current_actor())
    except Unavailable as refused:
        flash(refused.detail, "danger")
    else:
        flash(f"A worker is asked for {name}. It stands here as soon as it ran.", "success")
    return redirect(url_for("admin.show_timetable"))
