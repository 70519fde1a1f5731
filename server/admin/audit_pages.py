"""What is on record: a search for auditors, and the same as a file."""

from datetime import timedelta
from typing import Any

from flask import render_template, request
from werkzeug.wrappers import Response

from server.admin.reading import read_date, read_id
from server.errors import Invalid
from server.services import audit_search, directory
from server.utils import clock
from server.utils.text import clean_line
from server.web.audit_words import ROLES, WORDS, in_words, who
from server.web.identity import current_actor
from server.web.limits import bulk_limit
from server.web.paging import decode_cursor, encode_cursor

ROWS, DAYS = 100, 7
OUTCOMES = {"success": "Done", "refused": "Refused"}
# What somebody may look for: what it is about, and then each action.
ABOUT = {
    "": "Everything",
    "account": "Accounts and sign-ins",
    "appointment": "Visits",
    "patient": "Patients",
    "waitlist": "The waitlist",
    "message": "Messages",
    "closure": "Leave",
    "schedule": "Hours",
    "request": "Refusals",
    "audit": "This record",
}


def show_audit() -> str:
    """The last seven days, unless others are chosen; ids alone stand in the address, never a name."""
    return _page()


def find_people() -> str:
    """Patients and accounts of that name, each with a link to what is on record of them."""
    words = clean_line(request.form.get("name", ""))[:100]
    patients, users = audit_search.find_people(words, actor=current_actor()) if words else ((), ())
    return _page(searched=words, patients=patients, users=users)


@bulk_limit
def download_audit() -> Response:
    """What the search finds, for a spreadsheet."""
    content = audit_search.as_csv(actor=current_actor(), in_words=in_words, **_filters()[0])
    return Response(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f"attachment; filename=on-record-{clock.today('UTC')}.csv"},
    )


def _filters() -> tuple[dict[str, Any], dict[str, Any]]:
    """What is looked for, and the days as the form shows them."""
    zone = _zone()
    today = clock.today(zone)
    last = read_date("to") or today
    first = read_date("from") or last - timedelta(days=DAYS - 1)
    action, outcome = request.values.get("action", ""), request.values.get("outcome", "")
    if action not in ABOUT and action not in WORDS:
        raise Invalid("There is nothing like that on record.")
    if outcome and outcome not in OUTCOMES:
        raise Invalid("There is no such outcome.")
    filters = {
        "patient_id": read_id("patient"),
        "user_id": read_id("person"),
        "action": action or None,
        "outcome": outcome or None,
        "from_": clock.start_of_day(first, zone),
        "to": clock.start_of_day(last + timedelta(days=1), zone),
    }
    return filters, {"first": first, "last": last, "zone": zone}


def _page(searched: str = "", patients: Any = (), users: Any = ()) -> str:
    actor, (filters, days) = current_actor(), _filters()
    lines, position = audit_search.search(
        actor=actor, limit=ROWS, after=decode_cursor(request.args.get("cursor")), **filters
    )
    chosen = {
        name: audit_search.name_of(filters[name], actor=actor) for name in ("patient_id", "user_id") if filters[name]
    }
    kept = {
        "patient": filters["patient_id"],
        "person": filters["user_id"],
        "action": filters["action"],
        "outcome": filters["outcome"],
        "from": days["first"],
        "to": days["last"],
    }
    return render_template(
        "admin/show_audit.html",
        lines=lines,
        next_cursor=encode_cursor(position) if position else None,
        is_first=not request.args.get("cursor"),
        filters=filters,
        kept={name: value for name, value in kept.items() if value},
        chosen=chosen,
        about=ABOUT,
        words=WORDS,
        outcomes=OUTCOMES,
        roles=ROLES,
        in_words=in_words,
        who=who,
        searched=searched,
        patients=patients,
        users=users,
        now=clock.now(),
        **days,
    )


def _zone() -> str:
    locations = directory.locations()
    return locations[0].time_zone if locations else "UTC"
