"""Messages: what goes out on a day, what was missed or failed, and the story of one."""

import re
from datetime import timedelta
from uuid import UUID

from flask import current_app, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.reading import read_date
from server.errors import Invalid
from server.services import addresses, directory, messages, watch
from server.services.rules import WrongState
from server.utils import clock
from server.web.identity import current_actor

ROWS, TROUBLES, TROUBLE_DAYS = 200, 50, 14
# The letter's own styles and nothing else; the frame is nobody's origin and runs nothing.
LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def show_messages() -> str:
    """Today and tomorrow unless a day is chosen, on the clocks of the first location."""
    actor, zone = current_actor(), _zone()
    outcome = request.args.get("outcome", "")
    if outcome and outcome not in words.OUTCOMES:
        raise Invalid("There is no such outcome.")
    today, chosen = clock.today(zone), read_date("date")
    days = [chosen] if chosen else [today, today + timedelta(days=1)]
    listed = []
    for day in days:
        from_at, to_at = clock.day_bounds(day, zone)
        lines, counts = messages.list_lines(
            from_at=from_at, to_at=to_at, outcome=outcome or None, limit=ROWS + 1, actor=actor
        )
        listed.append((day, lines[:ROWS], counts, len(lines) > ROWS))
    bouncing, bouncing_count = addresses.list_bouncing(limit=TROUBLES, actor=actor)
    return render_template(
        "admin/show_messages.html",
        bouncing=bouncing,
        bouncing_count=bouncing_count,
        can_retry=messages.can_be_retried,
        listed=listed,
        troubles=messages.list_troubles(
            from_at=clock.now() - timedelta(days=TROUBLE_DAYS), limit=TROUBLES, actor=actor
        ),
        trouble_days=TROUBLE_DAYS,
        watch=watch.state(),
        zone=zone,
        now=clock.now(),
        chosen=chosen,
        today=today,
        outcome=outcome,
        letters=words.LETTERS,
        channels=words.WAYS,
        outcomes=words.OUTCOMES,
    )


def show_message(message_id: UUID) -> str:
    story = messages.read_message(message_id, settings=current_app.config["FRONTDESK"], actor=current_actor())
    g.inline_styles = True  # what the frame shows inherits the policy of this page
    return render_template(
        "admin/show_message.html",
        story=story,
        line=story.line,
        message=story.line.message,
        zone=_zone(),
        may_retry=current_actor().may("resend") and messages.can_be_retried(story.line.message),
        receipts=words.RECEIPTS,
        framed=_framed(story.letter.html) if story.letter else "",
        letters=words.LETTERS,
        channels=words.WAYS,
        outcomes=words.OUTCOMES,
    )


def _framed(html: str) -> str:
    """The letter with a policy of its own at its head."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{LETTER_POLICY}">'
    return re.sub(r"<head[^>]*>", lambda head: head[0] + policy, html, count=1)


def retry_message(message_id: UUID) -> Response:
    try:
        messages.retry(message_id, actor=current_actor())
    except WrongState as refused:
        flash(refused.detail, "danger")
    else:
        flash("It is tried again now.", "success")
    return redirect(url_for("admin.show_message", message_id=message_id))


def _zone() -> str:
    locations = directory.locations()
    return locations[0].time_zone if locations else "UTC"
