"""Everything that happens by itself. Each row can be run by hand (`frontdesk job NAME`); each may run twice."""

from server.jobs import audit, calendars, letters, watching
from server.services import bulk_work, carrying_out, housekeeping, occupancy, offers, reminders, steps
from server.services.runs import BULK, LETTERS, NOW, Job

TIMETABLE: tuple[Job, ...] = (
    Job(
        "free-expired-holds",
        15,
        occupancy.free_expired_holds,
        "Held times that nobody booked become free rows.",
        NOW,
    ),
    Job("expire-requests", 60, steps.expire_requests, "Requests that nobody answered in time are void.", NOW),
    Job("mark-no-shows", 300, steps.mark_no_shows, "Only for services that say after how many minutes.", NOW),
    Job("carry-out-plans", 15, carrying_out.carry_out_due, "Moves and cancels what closures are in the way of.", NOW),
    Job(
        "fetch-external-calendars",
        60,
        calendars.fetch_due,
        "Practitioners' own calendars, each every ten minutes.",
        BULK,
    ),
    Job("offer-freed-times", 20, offers.offer_freed_times, "Time that became free is offered to those who wait.", NOW),
    Job("expire-offers", 20, offers.expire_offers, "Offers that nobody answered in time go on to the next.", NOW),
    Job("send-letters", 15, letters.send_due, "Sends what is due; the broker may have lost the wake-up call.", LETTERS),
    Job(
        "reconcile-reminders",
        300,
        reminders.reconcile,
        "Writes reminders that are missing, for whatever reason.",
        LETTERS,
    ),
    Job("heartbeat", 60, watching.beat, "Calls HEARTBEAT_URL while messages leave as they should.", LETTERS),
    Job("seal-audit", 60, audit.seal, "Events are sealed and signed; the seals go to the ledger outside.", BULK),
    Job("work-on-bulk-jobs", 15, bulk_work.work_due, "Imports and exports that wait, or that a worker left.", BULK),
    Job("forget-bulk-files", 3600, housekeeping.forget_bulk_files, "Files of imports and exports after a week.", BULK),
    Job("forget-idempotency-keys", 3600, housekeeping.forget_idempotency_keys, "Answers older than 48 hours.", BULK),
    Job("forget-refresh-tokens", 86400, housekeeping.forget_refresh_tokens, "Tokens that expired a month ago.", BULK),
    Job("forget-sign-ins", 86400, housekeeping.forget_sign_ins, "Sign-ins that ended a month ago.", BULK),
    Job("forget-text-replies", 86400, housekeeping.forget_text_replies, "Replies to texts after 90 days.", BULK),
    Job("forget-devices", 86400, housekeeping.forget_devices, "Browsers that nobody used for a year.", BULK),
)
BY_NAME = {job.name: job for job in TIMETABLE}
