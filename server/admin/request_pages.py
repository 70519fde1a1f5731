"""Requests that wait for an answer, whatever day they are for: the one that is void first comes first."""

from flask import render_template

from server.models import Status
from server.services import visits
from server.utils import clock
from server.web.identity import current_actor

ROWS = 200


def list_requests() -> str:
    asked, more = visits.list_visits(status=Status.PENDING, from_=clock.now(), limit=ROWS, actor=current_actor())
    return render_template(
        "admin/list_requests.html",
        found=sorted(asked, key=lambda visit: (visit.answer_by or visit.start, visit.id)),
        more=more is not None,
    )
