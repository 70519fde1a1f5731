"""Booking for a patient: who, with whom, what, when; refused rules with a way around them for staff."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import DateField, EmailField, StringField, TelField
from wtforms.validators import InputRequired, Length, Optional

from server.admin.day_pages import remember_step
from server.admin.reading import read_date, read_id, read_start, read_text
from server.errors import DomainError, Invalid, NotVisible
from server.models import HealthcareService, Location, Patient, Practitioner
from server.services import access, availability, booking, directory, people, visits, why
from server.services.availability import OVERRIDABLE, TAKEN, FreeTime
from server.utils import clock
from server.utils.text import clean_line
from server.web.forms import show_errors
from server.web.identity import current_actor
from server.web.limits import booking_limit

TIMES_OF_A_DAY = 100

Page = tuple[str, int]


class NewPatientForm(FlaskForm):
    given_name = StringField("Given name", [InputRequired("Please fill this in."), Length(max=100)])
    family_name = StringField("Family name", [InputRequired("Please fill this in."), Length(max=100)])
    birth_date = DateField("Date of birth", [InputRequired("Please fill this in.")])
    phone = TelField("Phone", [Optional(), Length(max=40)])
    email = EmailField("E-mail", [Optional(), Length(max=254)])


@dataclass(frozen=True)
class Wanted:
    """What has been chosen so far; it travels as ids, in the address or in hidden fields."""

    location: Location
    day: date
    practitioner: Practitioner | None
    service: HealthcareService | None
    patient: Patient | None
    start: datetime | None

    @property
    def practitioner_id(self) -> UUID | None:
        return self.practitioner.id if self.practitioner else None

    def fields(self, **over: Any) -> dict[str, Any]:
        """Parameters of the page with this choice; `over` changes some, None leaves one out."""
        chosen = {
            "location": self.location.id,
            "date": self.day,
            "practitioner": self.practitioner_id,
            "service": self.service and self.service.id,
            "patient": self.patient and self.patient.id,
            "start": self.start and f"{self.start:%Y-%m-%dT%H:%M:%SZ}",
            **over,
        }
        return {name: value for name, value in chosen.items() if value is not None}


def show_booking() -> str:
    return _page(read_wanted())


def find_patient() -> str:
    """The page with the patients of that name. Sent as a form, because a name does not belong in an address."""
    words = clean_line(request.form.get("name", ""))[:100]
    found = people.find_patients(words, actor=current_actor()) if words else []
    return _page(read_wanted(), searched=words, patients=found)


def create_patient() -> Response | Page:
    """Take a patient on, and go on booking for them."""
    wanted, form = read_wanted(), NewPatientForm()
    if form.validate():
        try:
            created = people.create_patient(
                given_name=form.given_name.data or "",
                family_name=form.family_name.data or "",
                birth_date=form.birth_date.data or date.min,
                phone=form.phone.data or "",
                email=form.email.data or "",
                actor=current_actor(),
            )
        except Invalid as refused:
            show_errors(form, refused.extra["errors"])
        else:
            return redirect(url_for("admin.show_booking", **wanted.fields(patient=created.id)))
    return _page(wanted, new_patient=form), 422


@booking_limit
def book_appointment() -> Response | Page:
    """Book; with a reason even against rules that staff may set aside, or over another visit."""
    wanted = read_wanted(instead=request.form.get("instead", ""))
    override_reason = read_text("override_reason") if "anyway" in request.form else ""
    overbook_reason = read_text("overbook_reason") if "over" in request.form else ""
    if not (wanted.patient and wanted.practitioner and wanted.service and wanted.start):
        return _page(wanted, note="Choose a patient, a practitioner, a service and a time."), 422
    if "anyway" in request.form and not override_reason:
        return _page(wanted, note="To book against the rules, say why."), 422
    if "over" in request.form and not overbook_reason:
        return _page(wanted, note="To put a visit over another one, say why."), 422
    try:
        booked = booking.book_appointment(
            service_id=wanted.service.id,
            practitioner_id=wanted.practitioner.id,
            location_id=wanted.location.id,
            patient_id=wanted.patient.id,
            start=wanted.start,
            reason=read_text("reason"),
            override_reason=override_reason,
            overbook_reason=overbook_reason,
            actor=current_actor(),
        )
    except (booking.SlotTaken, booking.PatientBusy, booking.RulesForbid) as refused:
        return _page(wanted, refused=refused), refused.status
    return remember_step(booked, "book")


def read_wanted(*, instead: str = "") -> Wanted:
    """What the address or the form says; `instead`: another start.

    Raises NotAllowed, NotVisible for ids of nothing, Invalid for odd dates.
    """
    actor = current_actor()
    access.demand("book", actor=actor)
    location_id = read_id("location")
    location = directory.location(location_id) if location_id else next(iter(visits.locations_of(actor)), None)
    if location is None:
        raise NotVisible("There is no location yet.")
    practitioner_id, service_id, patient_id = read_id("practitioner"), read_id("service"), read_id("patient")
    start = read_start(instead or request.values.get("start", ""), location.time_zone)
    day = read_date("date")
    if start is not None and day is None:
        day = clock.local(start, location.time_zone).date()
    day = day or clock.today(location.time_zone)
    if start is not None and clock.local(start, location.time_zone).date() != day:
        start = None  # another day was chosen since
    return Wanted(
        location=location,
        day=day,
        practitioner=directory.practitioner(practitioner_id) if practitioner_id else None,
        service=directory.service(service_id) if service_id else None,
        patient=people.patient(patient_id, actor=actor) if patient_id else None,
        start=start,
    )


def _page(
    wanted: Wanted,
    *,
    searched: str = "",
    patients: Sequence[Patient] = (),
    new_patient: NewPatientForm | None = None,
    refused: DomainError | None = None,
    note: str = "",
) -> str:
    practitioners = directory.practitioners(location_id=wanted.location.id)
    services = directory.services(practitioner_id=wanted.practitioner_id, location_id=wanted.location.id)
    if wanted.service is None and len(services) == 1:
        wanted = Wanted(**{**vars(wanted), "service": services[0]})
    zone = wanted.location.time_zone
    noon = clock.start_of_day(wanted.day, zone) + timedelta(hours=12)
    return render_template(
        "admin/show_booking.html",
        wanted=wanted,
        zone=zone,
        searched=searched,
        patients=patients,
        new_patient=new_patient or NewPatientForm(formdata=None),
        practitioners=practitioners,
        names={person.id: person.name for person in practitioners},
        services=services,
        free=_free_times(wanted),
        against=_against(wanted, refused, note),
        noon=noon,
        wall_start=f"{clock.local(wanted.start or noon, zone):%Y-%m-%dT%H:%M}",
    )


def _free_times(wanted: Wanted) -> list[FreeTime]:
    """The free times of the chosen day, with the chosen practitioner or with anyone."""
    if wanted.service is None:
        return []
    from_at, to_at = clock.day_bounds(wanted.day, wanted.location.time_zone)
    return availability.search(
        wanted.service.id,
        from_at=from_at,
        to_at=to_at,
        practitioner_id=wanted.practitioner_id,
        location_id=wanted.location.id,
        limit=TIMES_OF_A_DAY,
        as_staff=True,
    )


def _against(wanted: Wanted, refused: DomainError | None, note: str) -> dict[str, Any] | None:
    """What stands against the chosen time, before or after it was sent: sentences, other times, a way around."""
    sentences = [note] if note else []
    if refused is not None:
        found = refused.extra.get("reasons", [])
        codes = {reason["code"] for reason in found} or ({"busy"} if isinstance(refused, booking.SlotTaken) else set())
        sentences += [reason["detail"] for reason in found] or [refused.detail]
    elif wanted.practitioner and wanted.service and wanted.start:
        reasons = why.explain(
            wanted.service.id,
            practitioner_id=wanted.practitioner.id,
            start=wanted.start,
            location_id=wanted.location.id,
            actor=current_actor(),
        )
        codes = {reason.code for reason in reasons}
        sentences += [reason.detail for reason in reasons]
    else:
        codes = set()
    if not sentences:
        return None
    alternatives = refused.extra.get("alternatives", []) if refused else []
    return {
        "sentences": sentences,
        "may_override": bool(codes) and codes <= OVERRIDABLE,
        "may_overbook": bool(codes) and codes <= TAKEN,
        "alternatives": alternatives,
    }
