"""Calendar feeds: the text behind a secret address, and the page on which people make and revoke theirs."""

from uuid import UUID

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from server.services import calendar_feeds, people
from server.web.forms import read_uuid
from server.web.identity import current_actor, plain_visitor
from server.web.limits import feed_limit, new_feed_limit


@feed_limit
def read_feed(secret: str) -> Response:
    """What a calendar program asks for, again and again; with the ETag it has it is told that nothing changed."""
    feed = calendar_feeds.read_feed(secret, settings=current_app.config["FRONTDESK"], actor=plain_visitor())
    if request.if_none_match.contains_weak(feed.tag):
        response = Response(status=304)
    else:
        response = Response(feed.text, content_type="text/calendar; charset=utf-8")
    response.set_etag(feed.tag)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def list_feeds() -> str:
    """The feeds of everybody whose visits the account may read."""
    return _page()


@new_feed_limit
def create_feed() -> tuple[str, int]:
    """A new address, on this page and never again."""
    created, secret = calendar_feeds.create_feed(
        patient_id=read_uuid(request.form.get("patient_id")), actor=current_actor()
    )
    address = calendar_feeds.address(secret, settings=current_app.config["FRONTDESK"])
    return _page(created.patient_id, address), 201


def revoke_feed(feed_id: UUID) -> AnyResponse:
    calendar_feeds.revoke_feed(feed_id, actor=current_actor())
    flash("This address leads nowhere any more.", "success")
    return redirect(url_for("patient_account.list_feeds"))


def _page(new_of: UUID | None = None, new_address: str = "") -> str:
    actor = current_actor()
    feeds = calendar_feeds.list_feeds(actor=actor)
    return render_template(
        "patient/calendar_feeds.html",
        persons=[
            (person, [feed for feed in feeds if feed.patient_id == person["id"]])
            for person in people.patients_of(actor)
            if actor.may_for(person["id"], "read")
        ],
        new_of=new_of,
        new_address=new_address,
    )
