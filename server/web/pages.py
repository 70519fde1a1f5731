"""What every template may use: times in a zone, the clinic's name, who is signed in."""

from datetime import datetime, time, timedelta

from flask import Flask

from server.utils import clock
from server.utils.languages import LANGUAGES
from server.utils.text import clean_line, minutes_in_words
from server.web.identity import current_actor
from server.web.look import clinic_name, look


def init_app(app: Flask) -> None:
    """Template globals and filters."""
    settings = app.config["FRONTDESK"]
    app.jinja_env.globals.update(clinic_name=clinic_name, look=look, is_demo=settings.demo, actor=current_actor)
    app.jinja_env.filters.update(
        moment=show_moment,
        time=show_time,
        day=show_day,
        day_and_time=show_day_and_time,
        span=show_span,
        zone_name=show_zone,
        in_words=minutes_in_words,
        local=clock.local,
        one_line=clean_line,
        language_name=lambda code: LANGUAGES.get(code, code),
    )


def show_moment(at: datetime) -> str:
    """2026-12-07 14:30:05, of a time on the clocks of the place."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def show_time(instant: datetime, zone: str) -> str:
    """14:30 on the clocks of `zone`."""
    return f"{clock.local(instant, zone):%H:%M}"


def show_day(instant: datetime, zone: str) -> str:
    """Monday, 7 December 2026, on the calendar of `zone`."""
    at = clock.local(instant, zone)
    return f"{at:%A}, {at.day} {at:%B %Y}"


def show_day_and_time(instant: datetime, zone: str) -> str:
    return f"{show_day(instant, zone)}, {show_time(instant, zone)}"


def show_span(start: datetime, end: datetime, zone: str) -> str:
    """From when to when: whole days as days, and within one day the day once."""
    first, last = clock.local(start, zone), clock.local(end, zone)
    if first.time() == last.time() == time.min:
        until = show_day(end - timedelta(hours=1), zone)  # whatever the clocks do, an hour ago it was the day before
        day = show_day(start, zone)
        return f"{day}, all day" if until == day else f"{day} to {until}"
    if first.date() == last.date():
        return f"{show_day(start, zone)}, {first:%H:%M} to {last:%H:%M}"
    return f"{show_day_and_time(start, zone)} to {show_day_and_time(end, zone)}"


def show_zone(instant: datetime, zone: str) -> str:
    """ "New York time (UTC−05:00)": the zone in words, with its offset at that instant."""
    offset = f"{clock.local(instant, zone):%z}".replace("-", "−")  # a minus, which never ends a line
    city = zone.rpartition("/")[2].replace("_", " ")
    return f"{city} time (UTC{offset[:3]}:{offset[3:]})"
