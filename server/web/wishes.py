"""What would suit somebody who waits, as the forms of patients and staff ask for it."""

from datetime import time
from typing import Any

from flask import request

from server.services import waitlist
from server.web.forms import read_date, read_uuid

# minutes -> how the page says it
NOTICES = {120: "2 hours", 720: "12 hours", 1440: "1 day", 2880: "2 days", 10080: "1 week"}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def read_wishes() -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The wishes of the form, and what cannot be read of it."""
    form, errors = request.form, {}
    wishes: dict[str, Any] = {
        "practitioner_id": read_uuid(form.get("practitioner_id")),
        "location_id": read_uuid(form.get("location_id")),
        "weekdays": [int(day) for day in form.getlist("weekday") if day in ("1", "2", "3", "4", "5", "6", "7")],
    }
    for name in ("from_time", "until_time"):
        try:
            wishes[name] = time.fromisoformat(form[name]).replace(tzinfo=None) if form.get(name) else None
        except ValueError:
            errors[name] = ["Write a time of the day as 09:30."]
    for name in ("from_on", "until_on"):
        wishes[name] = read_date(form.get(name))
        if form.get(name) and wishes[name] is None:
            errors[name] = ["Write a day as 2026-12-31."]
    notice = form.get("notice_minutes", "")
    wishes["notice_minutes"] = int(notice) if notice.isdecimal() and int(notice) in NOTICES else waitlist.A_DAY
    return wishes, errors


def as_asked() -> dict[str, Any]:
    """The form as it was sent and its choices, for the fields of `macros/wishes.html`."""
    return {
        "form": request.form,
        "weekdays": list(enumerate(WEEKDAYS, 1)),
        "notices": NOTICES,
        "notice": request.form.get("notice_minutes", str(waitlist.A_DAY)),
    }
