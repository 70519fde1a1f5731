"""Who had to do with a record: for the person whose record it is, and whoever may read for them."""

from uuid import UUID

from flask import render_template, request

from server.services import audit_search, directory, people
from server.utils import clock
from server.web.audit_words import ROLES, in_words, who
from server.web.identity import current_actor
from server.web.paging import decode_cursor, encode_cursor

ROWS = 50


def show_access(patient_id: UUID) -> str:
    """What others did, newest first; with `?all=1` what the reader did, too."""
    actor, is_all = current_actor(), request.args.get("all") == "1"
    lines, position = audit_search.access_log(
        patient_id,
        actor=actor,
        limit=ROWS,
        only_others=not is_all,
        after=decode_cursor(request.args.get("cursor")),
    )
    locations = directory.locations()
    return render_template(
        "patient/access.html",
        person=next((person for person in people.patients_of(actor) if person["id"] == patient_id), None),
        patient_id=patient_id,
        lines=lines,
        next_cursor=encode_cursor(position) if position else None,
        is_all=is_all,
        zone=locations[0].time_zone if locations else "UTC",
        now=clock.now(),
        roles=ROLES,
        in_words=in_words,
        who=who,
    )
