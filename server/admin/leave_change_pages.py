"""Other days for leave that is entered: who is newly in the way and what is free again, before it is saved."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.leave_reading import as_days, names_of, read_days, read_plan, read_reason, who_of
from server.admin.reading import read_version
from server.errors import Conflict, Invalid, Stale
from server.models import Closure
from server.services import access, closures
from server.services.closures import PlanIncomplete
from server.services.replacing import Proposal
from server.utils.spans import Span, without
from server.web.identity import current_actor

FIELDS = ("first", "last", "starts_at", "ends_at", "reason", "if_version")  # of the form; they travel to the plan

Page = str | Response | tuple[str, int]


@dataclass(frozen=True)
class Change:
    """A closure as it stands, and as the form would have it; `zone`: in which its days are."""

    closure: Closure
    zone: str
    start: datetime
    end: datetime
    reason: str

    @property
    def as_command(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, "reason": self.reason}

    @property
    def opened(self) -> list[Span]:
        """What would be free again."""
        during = self.closure.during
        assert during.lower  # a CHECK says that it is bounded
        assert during.upper
        return without([(during.lower, during.upper)], [(self.start, self.end)])


def show_change_leave(closure_id: UUID) -> str:
    closure, zone = _closure(closure_id)
    return _form_page(closure, as_days(closure, zone) | {"if_version": closure.version})


def show_change_plan(closure_id: UUID) -> Page:
    """Who would be newly in the way, and what is free again; nothing is saved yet."""
    closure, zone = _closure(closure_id)
    try:
        change = _read_change(closure, zone)
        proposals = closures.preview_change(closure_id, change.as_command, actor=current_actor())
    except Invalid as refused:
        return _form_page(closure, request.form, refused.detail), refused.status
    return _plan_page(change, proposals)


def change_leave(closure_id: UUID) -> Page:
    """Save it with the plan; when somebody booked meanwhile, the plan again, with them in it."""
    change = _read_change(*_closure(closure_id))
    try:
        closures.change_closure(
            closure_id, change.as_command, plan=read_plan(), if_version=read_version(), actor=current_actor()
        )
    except (PlanIncomplete, Invalid) as refused:
        proposals = closures.preview_change(closure_id, change.as_command, actor=current_actor())
        return _plan_page(change, proposals, refused.detail), refused.status
    except (Stale, Conflict) as refused:
        flash(refused.detail, "warning")
    else:
        flash("It is changed.", "success")
    return redirect(url_for("admin.show_leave", closure_id=closure_id))


def _closure(closure_id: UUID) -> tuple[Closure, str]:
    """Raises NotAllowed, NotVisible, Conflict for what another calendar says, Invalid where the clocks differ."""
    actor = current_actor()
    access.demand("hours", actor=actor)
    closure = closures.read_progress(closure_id, actor=actor).closure
    if closure.kind == closures.EXTERNAL:
        raise Conflict("This comes from the practitioner's own calendar and is changed there.")
    return closure, closures.zone_of(practitioner_id=closure.practitioner_id, location_id=closure.location_id)


def _read_change(closure: Closure, zone: str) -> Change:
    return Change(closure, zone, *read_days(zone), read_reason())


def _form_page(closure: Closure, form: Any, refused: str = "") -> str:
    return render_template(
        "admin/show_change_leave.html",
        closure=closure,
        form=form,
        refused=refused,
        who=who_of(closure.practitioner_id, closure.location_id),
        kind=words.CLOSURES[closure.kind],
    )


def _plan_page(change: Change, proposals: list[Proposal], refused: str = "") -> str:
    closure = change.closure
    return render_template(
        "admin/show_plan.html",
        proposals=proposals,
        names=names_of(),
        refused=refused,
        fields={name: request.form.get(name, "") for name in FIELDS},
        start=change.start,
        end=change.end,
        opened=change.opened,
        who=who_of(closure.practitioner_id, closure.location_id),
        zone=change.zone,
        action=url_for("admin.change_leave", closure_id=closure.id),
        back=url_for("admin.show_leave", closure_id=closure.id),
        chosen=request.form,
    )
