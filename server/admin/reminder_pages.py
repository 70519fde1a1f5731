"""When patients are reminded: the rules in words, a new one, and a test of each."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.reading import read_id, read_number
from server.errors import Invalid
from server.services import directory, reminders
from server.web.identity import current_actor
from server.web.limits import test_letter_limit

UNITS = {"days": 1440, "hours": 60, "minutes": 1}
LONGEST, SHORTEST = 60 * 1440, 15  # minutes, as the table keeps them

Page = str | tuple[str, int] | Response


def list_reminder_rules() -> Page:
    return _page()


def create_reminder_rule() -> Page:
    try:
        reminders.create_rule(_read_rule(), actor=current_actor())
    except Invalid as refused:
        return _page(refused.detail), refused.status
    flash("The rule is added. It holds for visits that are booked already, too.", "success")
    return redirect(url_for("admin.list_reminder_rules"))


@test_letter_limit
def send_test(rule_id: UUID) -> Response:
    reminders.send_test(rule_id, actor=current_actor())
    flash(f"A test is on its way to {current_actor().email}.", "success")
    return redirect(url_for("admin.list_reminder_rules"))


def ask_delete_rule(rule_id: UUID) -> str:
    """Deleting is asked for once more: what waits goes with the rule."""
    rule = reminders.read_rule(rule_id, actor=current_actor())
    return render_template("admin/delete_reminder_rule.html", rule=rule, **_words())


def delete_rule(rule_id: UUID) -> Response:
    reminders.delete_rule(rule_id, actor=current_actor())
    flash("The rule is deleted. Reminders that were waiting by it are not sent.", "success")
    return redirect(url_for("admin.list_reminder_rules"))


def _read_rule() -> dict[str, Any]:
    unit, channel = request.form.get("unit", ""), request.form.get("channel", "")
    kind = request.form.get("kind", "before")
    if unit not in UNITS or channel not in words.CHANNELS or kind not in words.KINDS:
        raise Invalid("This form is incomplete. Open the page again.")
    minutes = read_number("amount", most=9999) * UNITS[unit]
    if not SHORTEST <= minutes <= LONGEST:
        raise Invalid("A letter comes from 15 minutes to 60 days before or after the visit.")
    return {
        "kind": kind,
        "minutes_before": minutes,
        "channel": channel,
        "asks_to_confirm": "asks_to_confirm" in request.form,
        "service_id": read_id("service"),
        "location_id": read_id("location"),
    }


def _page(refused: str = "") -> str:
    actor = current_actor()
    return render_template(
        "admin/list_reminder_rules.html",
        rules=reminders.list_rules(actor=actor),
        services=directory.services(),
        locations=directory.locations(),
        may_change=actor.may("set-up"),
        refused=refused,
        form=request.form,
        units=UNITS,
        **_words(),
    )


def _words() -> dict[str, Any]:
    names = {one.id: one.name for one in directory.services()} | {one.id: one.name for one in directory.locations()}
    return {"names": names, "channels": words.CHANNELS, "kinds": words.KINDS}
