"""Putting a patient on the waitlist from the desk: who, for which service or which visit, and what would suit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin.reading import read_id
from server.errors import Conflict, Invalid
from server.models import Appointment, HealthcareService, Patient
from server.services import access, directory, people, visits, waitlist
from server.utils.text import clean_line
from server.web.identity import current_actor
from server.web.limits import booking_limit
from server.web.wishes import as_asked, read_wishes

Page = tuple[str, int]


@dataclass(frozen=True)
class Wanted:
    """Who waits for what; with a visit, for an earlier time of it."""

    patient: Patient | None
    service: HealthcareService | None
    visit: Appointment | None

    def fields(self, **over: Any) -> dict[str, Any]:
        """Parameters of the page with this choice; `over` changes some, None leaves one out."""
        if self.visit is not None:
            return {"visit": self.visit.id}
        chosen = {"patient": self.patient and self.patient.id, "service": self.service and self.service.id, **over}
        return {name: value for name, value in chosen.items() if value is not None}


def show_joining() -> str:
    return _page(_read_wanted())


def find_patient_who_waits() -> str:
    """The page with the patients of that name. Sent as a form, because a name does not belong in an address."""
    words = clean_line(request.form.get("name", ""))[:100]
    found = people.find_patients(words, actor=current_actor()) if words else []
    return _page(_read_wanted(), searched=words, patients=found)


@booking_limit
def join_waitlist() -> Response | Page:
    """Put them on the list, with all that would suit."""
    wanted = _read_wanted()
    wishes, errors = read_wishes()
    if not (wanted.patient and wanted.service):
        errors["form"] = ["Choose a patient and a service."]
    if errors:
        return _page(wanted, errors=errors), 422
    assert wanted.patient
    assert wanted.service
    target: dict[str, Any] = {"service_id": wanted.service.id, "patient_id": wanted.patient.id}
    if wanted.visit is not None:
        target = {"appointment_id": wanted.visit.id}
    try:
        waitlist.join(**target, **wishes, actor=current_actor())
    except Invalid as refused:
        return _page(wanted, errors=refused.extra.get("errors", {"form": [refused.detail]})), refused.status
    except Conflict as refused:
        return _page(wanted, errors={"form": [refused.detail]}), refused.status
    flash(f"{wanted.patient.name} is on the waitlist.", "success")
    return redirect(f"{url_for('admin.show_waitlist')}#waiting")


def _read_wanted() -> Wanted:
    """What the address or the form says. Raises NotAllowed, NotVisible."""
    actor = current_actor()
    access.demand("book", actor=actor)
    if visit_id := read_id("visit"):
        visit = visits.visit_to_change(visit_id, action="reschedule", actor=actor)
        return Wanted(visit.patient, visit.service, visit)
    patient_id, service_id = read_id("patient"), read_id("service")
    return Wanted(
        people.patient(patient_id, actor=actor) if patient_id else None,
        directory.service(service_id) if service_id else None,
        None,
    )


def _page(
    wanted: Wanted,
    *,
    searched: str = "",
    patients: Sequence[Patient] = (),
    errors: dict[str, list[str]] | None = None,
) -> str:
    service = wanted.service
    return render_template(
        "admin/show_joining.html",
        wanted=wanted,
        searched=searched,
        patients=patients,
        # Nothing is offered to patients that they could not book themselves.
        services=[each for each in directory.services() if each.self_bookable],
        practitioners=directory.practitioners(service_id=service.id) if service else (),
        locations=directory.places_of_services().get(service.id, []) if service else (),
        errors=errors or {},
        asked=as_asked(),
    )
