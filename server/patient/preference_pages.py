"""Who is written to in which language, and reminded how: a panel of the page of visits."""

from collections.abc import Collection, Iterable
from uuid import UUID

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from server.errors import Invalid
from server.models import Patient
from server.services import addresses, directory, reminders
from server.services.own_visits import PersonVisits
from server.web.forms import read_uuid
from server.web.identity import current_actor


def preferences_of(everybody: Iterable[PersonVisits]) -> dict[UUID, Patient]:
    """What is wanted, by patient; of those for whom the account may choose."""
    ids = [each.person["id"] for each in everybody if "book" in each.person["may"]]
    return {patient_id: reminders.read_preferences(patient_id, actor=current_actor()) for patient_id in ids}


def closed_of(patients: Iterable[Patient]) -> dict[UUID, Collection[str]]:
    """Whose "email" bounces and whose "phone" said STOP; a number without a country is one of the first location's."""
    region = next((place.country for place in directory.locations() if place.country), "")
    return {patient.id: addresses.closed_of(patient, region=region).keys() for patient in patients}


def set_preferences() -> Response:
    """What was ticked, for one of those the account may book for."""
    changes = {
        "wants_email_reminders": "email" in request.form,
        "wants_sms_reminders": "sms" in request.form,
        "time_zone": request.form.get("time_zone") or None,
        "language": request.form.get("language") or None,
    }
    try:
        patient = reminders.set_preferences(read_uuid(request.form.get("patient_id")), changes, actor=current_actor())
    except Invalid as refused:
        flash(refused.detail, "danger")
    else:
        flash(f"Language and reminders of {patient.name} are set.", "success")
    return redirect(url_for("patient_account.list_visits"))
