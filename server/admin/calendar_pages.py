"""A practitioner's own calendar elsewhere: its address, which is never shown again, and how fresh it is."""

from uuid import UUID

from flask import current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin.reading import read_id, read_version
from server.errors import Invalid, NotVisible, Stale
from server.services import calendar_feeds, closures, directory, external_calendars
from server.settings import Settings
from server.web.identity import current_actor
from server.web.limits import new_feed_limit

MAX_URL = 2000

Page = str | Response | tuple[str, int]


def show_calendar() -> Page:
    return _page(_chosen_id())


def set_calendar() -> Page:
    practitioner_id = _chosen_id()
    settings: Settings = current_app.config["FRONTDESK"]
    url = request.form.get("url", "").strip()
    try:
        if not 0 < len(url) <= MAX_URL:
            raise Invalid("Paste the address of the calendar.")
        external_calendars.set_calendar(
            practitioner_id,
            url=url,
            if_version=read_version(),
            private_urls=settings.allow_private_urls,
            actor=current_actor(),
        )
    except (Invalid, Stale) as refused:
        return _page(practitioner_id, refused.detail), refused.status
    flash("The address is entered. It is read within a minute.", "success")
    return redirect(url_for("admin.show_calendar", practitioner=practitioner_id))


def remove_calendar() -> Response:
    practitioner_id = _chosen_id()
    external_calendars.remove_calendar(practitioner_id, if_version=read_version(), actor=current_actor())
    flash("The calendar is removed, and its time is free again.", "success")
    return redirect(url_for("admin.show_calendar", practitioner=practitioner_id))


@new_feed_limit
def create_feed() -> Page:
    """The practitioner's own visits for another calendar; the address is on this page and never again."""
    practitioner_id = _chosen_id()
    _, secret = calendar_feeds.create_feed(
        practitioner_id=practitioner_id, shows_names="shows_names" in request.form, actor=current_actor()
    )
    settings: Settings = current_app.config["FRONTDESK"]
    return _page(practitioner_id, new_address=calendar_feeds.address(secret, settings=settings)), 201


def revoke_feed(feed_id: UUID) -> Response:
    calendar_feeds.revoke_feed(feed_id, actor=current_actor())
    flash("This address leads nowhere any more.", "success")
    return redirect(url_for("admin.show_calendar"))


def _chosen_id() -> UUID:
    """The practitioner asked for, or the reader."""
    chosen = read_id("practitioner") or current_actor().practitioner_id
    if chosen is None:
        raise NotVisible("Choose a practitioner first.")
    return chosen


def _page(practitioner_id: UUID, refused: str = "", new_address: str = "") -> str:
    actor = current_actor()
    is_own = actor.practitioner_id == practitioner_id
    return render_template(
        "admin/show_calendar.html",
        calendar=external_calendars.read_calendar(practitioner_id, actor=actor),
        practitioner=directory.practitioner(practitioner_id),
        zone=closures.zone_of(practitioner_id=None, location_id=_first_location_id()),
        refused=refused,
        is_own=is_own,
        feeds=[feed for feed in calendar_feeds.list_feeds(actor=actor) if feed.practitioner_id] if is_own else [],
        new_address=new_address,
    )


def _first_location_id() -> UUID:
    return directory.locations()[0].id
