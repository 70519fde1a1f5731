"""The REST door: one file a noun, each with its blueprint."""

from server.resources.account import account
from server.resources.appearance import appearance
from server.resources.appointments import appointments
from server.resources.audit_events import audit_events
from server.resources.auth import auth
from server.resources.availability import availability
from server.resources.calendar_feeds import calendar_feeds
from server.resources.closures import closures
from server.resources.directory import directory
from server.resources.docs import api_docs
from server.resources.external_calendars import external_calendars
from server.resources.group_sessions import group_sessions, group_sessions_of_staff
from server.resources.holds import holds
from server.resources.hooks import hooks
from server.resources.jobs import exports, imports, jobs, timetable
from server.resources.letters import letters
from server.resources.messages import messages
from server.resources.schedules import schedules
from server.resources.series import series
from server.resources.set_up import set_up
from server.resources.stranded import stranded
from server.resources.waitlist import freed_times, waitlist, waitlist_offers, waitlist_report

api_blueprints = (
    auth,
    account,
    directory,
    set_up,
    appearance,
    letters,
    availability,
    holds,
    appointments,
    group_sessions,
    group_sessions_of_staff,
    series,
    messages,
    audit_events,
    schedules,
    closures,
    stranded,
    external_calendars,
    calendar_feeds,
    waitlist,
    waitlist_offers,
    freed_times,
    waitlist_report,
    jobs,
    imports,
    exports,
    timetable,
)

__all__ = ["api_blueprints", "api_docs", "hooks"]
