"""Everything that happens by itself. Each row can be run by hand (`frontdesk job NAME`); each may run twice."""

from collections.abc import Callable
from dataclasses import dataclass

from server.jobs import calendars, letters, watching
from server.services import carrying_out, housekeeping, occupancy, offers, reminders, steps


@dataclass(frozen=True)
class Job:
    """`every_seconds`: the rhythm of the clock; `run` answers how much there was to do."""

    name: str
    every_seconds: int
    run: Callable[[], int]
    what: str


TIMETABLE: tuple[Job, ...] = (
    Job(
        "free-expired-holds",
        15,
        occupancy.free_expired_holds,
        "Held times that nobody booked become free rows.",
    ),
    Job("expire-requests", 60, steps.expire_requests, "Requests that nobody answered in time are void."),
    Job("mark-no-shows", 300, steps.mark_no_shows, "Only for services that say after how many minutes."),
    Job("carry-out-plans", 15, carrying_out.carry_out_due, "Moves and cancels what closures are in the way of."),
    Job("fetch-external-calendars", 60, calendars.fetch_due, "Practitioners' own calendars, each every ten minutes."),
    Job("offer-freed-times", 20, offers.offer_freed_times, "Time that became free is offered to those who wait."),
    Job("expire-offers", 20, offers.expire_offers, "Offers that nobody answered in time go on to the next."),
    Job("send-letters", 15, letters.send_due, "Sends what is due; the broker may have lost the wake-up call."),
    Job("reconcile-reminders", 300, reminders.reconcile, "Writes reminders that are missing, for whatever reason."),
    Job("heartbeat", 60, watching.beat, "Calls HEARTBEAT_URL while messages leave as they should."),
    Job("forget-idempotency-keys", 3600, housekeeping.forget_idempotency_keys, "Answers older than 48 hours."),
    Job("forget-refresh-tokens", 86400, housekeeping.forget_refresh_tokens, "Tokens that expired a month ago."),
)
BY_NAME = {job.name: job for job in TIMETABLE}
