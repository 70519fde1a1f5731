"""Leave, holidays and blocks: entered with a plan for every visit in the way, which is then carried out."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.leave_reading import names_of, read_days, read_plan, read_reason, who_of, zone_of
from server.admin.reading import read_id, read_version
from server.errors import Conflict, Invalid, Stale
from server.services import closures, directory, public_holidays, stranded
from server.services.closures import PlanIncomplete
from server.services.replacing import Proposal
from server.utils import clock
from server.web.forms import read_uuid
from server.web.identity import current_actor

ROWS = 200
KINDS = {kind: word for kind, word in words.CLOSURES.items() if kind != "external"}
FIELDS = ("whose", "kind", "first", "last", "starts_at", "ends_at", "reason")  # of the form; they travel to the plan

Page = str | Response | tuple[str, int]


@dataclass(frozen=True)
class Wanted:
    """What the form asks to close, for the commands; and the zone in which its days are."""

    command: dict[str, Any]
    kind: str
    reason: str
    zone: str


def list_leave() -> str:
    actor = current_actor()
    found, _ = closures.list_closures(actor=actor, from_at=clock.now(), limit=ROWS)
    lost, more = stranded.list_stranded(actor=actor, limit=ROWS)
    rows = [(each, zone_of(each)) for each in sorted(found, key=lambda each: each.during.lower or each.created_at)]
    return render_template(
        "admin/list_leave.html",
        rows=rows,
        names=names_of(),
        kinds=words.CLOSURES,
        stranded=f"{len(lost)}{'+' if more else ''}" if lost else "",
        may_change=actor.may("hours"),
    )


def show_new_leave() -> str:
    return _form_page(request.args)


def show_plan() -> Page:
    """Who would be in the way, and what could become of them; nothing is saved yet."""
    try:
        wanted = _read_wanted()
        proposals = closures.preview_closure(**wanted.command, actor=current_actor())
    except Invalid as refused:
        return _form_page(request.form, refused.detail), refused.status
    return _plan_page(proposals, wanted)


def enter_leave() -> Page:
    """Save it with the plan; when somebody booked meanwhile, the plan again, with them in it."""
    wanted = _read_wanted()
    try:
        made = closures.create_closure(
            **wanted.command, kind=wanted.kind, reason=wanted.reason, plan=read_plan(), actor=current_actor()
        )
    except (PlanIncomplete, Invalid) as refused:
        proposals = closures.preview_closure(**wanted.command, actor=current_actor())
        return _plan_page(proposals, wanted, refused.detail), refused.status
    flash("It is entered.", "success")
    return redirect(url_for("admin.show_leave", closure_id=made.id))


def show_leave(closure_id: UUID) -> str:
    """How far the plan is. While something waits the page looks again by itself."""
    progress = closures.read_progress(closure_id, actor=current_actor())
    visits = {visit.id: visit for visit in stranded.read([item.appointment_id for item in progress.items])}
    return render_template(
        "admin/show_leave.html",
        progress=progress,
        closure=progress.closure,
        zone=zone_of(progress.closure),
        visits=visits,
        names=names_of(),
        kinds=words.CLOSURES,
        may_change=current_actor().may("hours"),
    )


def show_new_plan(closure_id: UUID) -> str:
    """For visits that are in the way and undecided: those that failed, and who slipped in."""
    proposals = closures.preview_change(closure_id, {}, actor=current_actor())
    return _new_plan_page(closure_id, proposals)


def decide_anew(closure_id: UUID) -> Page:
    try:
        closures.change_closure(closure_id, {}, plan=read_plan(), if_version=None, actor=current_actor())
    except (PlanIncomplete, Invalid) as refused:
        proposals = closures.preview_change(closure_id, {}, actor=current_actor())
        return _new_plan_page(closure_id, proposals, refused.detail), refused.status
    return redirect(url_for("admin.show_leave", closure_id=closure_id))


def remove_leave(closure_id: UUID) -> Response:
    try:
        closures.delete_closure(closure_id, if_version=read_version(), actor=current_actor())
    except (Stale, Conflict) as refused:
        flash(refused.detail, "warning")
        return redirect(url_for("admin.show_leave", closure_id=closure_id))
    flash("It is withdrawn, and its time is free again.", "success")
    return redirect(url_for("admin.list_leave"))


def list_stranded_visits() -> str:
    found, more = stranded.list_stranded(actor=current_actor(), limit=ROWS)
    causes = {**words.CLOSURES, "hours": "Outside of the hours"}
    may_change = current_actor().may("hours")
    return render_template(
        "admin/list_stranded.html", found=found, more=more is not None, causes=causes, may_change=may_change
    )


def show_holidays() -> Page:
    return _holidays_page()


def enter_holidays() -> Page:
    """Enter the days that are ticked. A day with visits in its way is entered by itself, with its plan."""
    year, location_id = _read_year(), read_id("location")
    if location_id is None:
        raise Invalid("Choose a location.")
    ticked = set(request.form.getlist("on"))
    entered, busy = 0, []
    for day in public_holidays.propose_holidays(location_id, year=year, actor=current_actor()):
        if str(day.on) not in ticked:
            continue
        try:
            closures.create_closure(
                start=day.start,
                end=day.end,
                location_id=location_id,
                kind="holiday",
                reason=day.name,
                actor=current_actor(),
            )
            entered += 1
        except PlanIncomplete:
            busy.append(day)
    if entered:
        flash(f"{entered} {'holiday is' if entered == 1 else 'holidays are'} entered.", "success")
    if busy:
        return _holidays_page(busy)
    return redirect(url_for("admin.show_holidays", location=location_id, year=year))


# --- the parts ---


def _form_page(form: Any, refused: str = "") -> str:
    return render_template(
        "admin/show_new_leave.html",
        form=form,
        refused=refused,
        practitioners=directory.practitioners(),
        locations=directory.locations(),
        kinds=KINDS,
    )


def _plan_page(proposals: list[Proposal], wanted: Wanted, refused: str = "") -> str:
    return render_template(
        "admin/show_plan.html",
        proposals=proposals,
        names=names_of(),
        refused=refused,
        fields={name: request.form.get(name, "") for name in FIELDS},
        start=wanted.command["start"],
        end=wanted.command["end"],
        who=who_of(wanted.command["practitioner_id"], wanted.command["location_id"]),
        zone=wanted.zone,
        action=url_for("admin.enter_leave"),
        chosen=request.form,
    )


def _new_plan_page(closure_id: UUID, proposals: list[Proposal], refused: str = "") -> str:
    closure = closures.read_progress(closure_id, actor=current_actor()).closure
    return render_template(
        "admin/show_plan.html",
        proposals=proposals,
        names=names_of(),
        refused=refused,
        fields={},
        start=closure.during.lower,
        end=closure.during.upper,
        who=who_of(closure.practitioner_id, closure.location_id),
        zone=zone_of(closure),
        action=url_for("admin.decide_anew", closure_id=closure_id),
        chosen=request.form,
    )


def _holidays_page(busy: list[public_holidays.Holiday] | None = None) -> Page:
    locations = directory.locations()
    if not locations:
        return render_template("admin/no_location.html")
    location = directory.location(read_id("location") or locations[0].id)
    year = _read_year() if request.values.get("year") else clock.today(location.time_zone).year
    refused = ""
    found: list[public_holidays.Holiday] = []
    try:
        found = public_holidays.propose_holidays(location.id, year=year, actor=current_actor())
    except Invalid as error:
        refused = error.detail
    return render_template(
        "admin/show_holidays.html",
        locations=locations,
        location=location,
        year=year,
        found=found,
        busy=busy or [],
        refused=refused,
    )


def _read_year() -> int:
    value = request.values.get("year", "")
    if not (value.isascii() and value.isdigit() and 2000 <= int(value) <= 2100):
        raise Invalid("Choose a year from 2000 to 2100.")
    return int(value)


def _read_wanted() -> Wanted:
    """The form: whose, which days (the last one included), between which times. Raises Invalid."""
    whose, _, key = request.form.get("whose", "").partition(" ")
    key_id = read_uuid(key)
    if whose not in ("practitioner", "location", "all") or (key_id is None) != (whose == "all"):
        raise Invalid("Say who is away, or what is closed.")
    practitioner_id = key_id if whose == "practitioner" else None
    location_id = key_id if whose == "location" else None
    kind, reason = request.form.get("kind", ""), read_reason()
    if kind not in KINDS:
        raise Invalid("Choose what it is.")
    zone = closures.zone_of(practitioner_id=practitioner_id, location_id=location_id)
    start, end = read_days(zone)
    command = {"practitioner_id": practitioner_id, "location_id": location_id, "start": start, "end": end}
    return Wanted(command, kind, reason, zone)
