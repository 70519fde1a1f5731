"""Who wants to be reminded how: a panel of the page of visits."""

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from server.errors import Invalid
from server.services import reminders
from server.web.forms import read_uuid
from server.web.identity import current_actor


def set_preferences() -> Response:
    """What was ticked, for one of those the account may book for."""
    changes = {
        "wants_email_reminders": "email" in request.form,
        "wants_sms_reminders": "sms" in request.form,
        "time_zone": request.form.get("time_zone") or None,
    }
    try:
        patient = reminders.set_preferences(read_uuid(request.form.get("patient_id")), changes, actor=current_actor())
    except Invalid as refused:
        flash(refused.detail, "danger")
    else:
        flash(f"The reminders of {patient.name} are set.", "success")
    return redirect(url_for("patient_account.list_visits"))
