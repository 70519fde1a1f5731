"""What staff read: the states of a visit and the steps of its history, in words."""

from datetime import timedelta

from server.models import Appointment, BulkJob, Status
from server.utils import clock
from server.utils.text import minutes_in_words

# state -> (name of its mark and colour, word)
STATES = {
    Status.PROPOSED: ("hold", "Held"),
    Status.PENDING: ("pending", "Asked for"),
    Status.BOOKED: ("booked", "Booked"),
    Status.ARRIVED: ("arrived", "Arrived"),
    Status.FULFILLED: ("done", "Done"),
    Status.NOSHOW: ("no-show", "No-show"),
    Status.CANCELLED: ("cancelled", "Cancelled"),
    Status.ENTERED_IN_ERROR: ("cancelled", "Entered in error"),
}
# What is listed in the legend of the board, in the order of a visit's life.
LEGEND = [
    ("hold", "Held"),
    ("booked", "Booked"),
    ("confirmed", "Confirmed"),
    ("arrived", "Arrived"),
    ("done", "Done"),
    ("no-show", "No-show"),
    ("pending", "Asked for"),
    ("override", "Against the rules"),
    ("overbooked", "Overbooked"),
]
HISTORY = {
    "hold.made": "Held",
    "appointment.booked": "Booked",
    "appointment.overridden": "Booked against the rules",
    "appointment.overbooked": "Put over another visit",
    "appointment.requested": "Asked for",
    "appointment.approved": "Request approved",
    "appointment.declined": "Request declined",
    "appointment.expired": "Request not answered in time",
    "appointment.room-changed": "Other room",
    "appointment.capacity-changed": "Other number of places",
    "session.created": "Group session planned",
    "appointment.start": "Begun",
    "appointment.rescheduled": "Moved",
    "appointment.cancelled": "Cancelled",
    "appointment.confirmed": "Confirmed",
    "appointment.arrive": "Arrived",
    "appointment.complete": "Done",
    "appointment.no-show": "Did not come",
    "appointment.undo": "Last step taken back",
}
# step -> what the page says once it is done
STEP_DONE = {
    "confirm": "Confirmed.",
    "arrive": "Marked as arrived.",
    "start": "Begun.",
    "approve": "Approved. The patient is told.",
    "decline": "Declined. The patient is told.",
    "room": "The room is changed.",
    "complete": "Marked as done.",
    "no-show": "Marked as a no-show.",
    "undo": "The last step is taken back.",
    "book": "Booked.",
    "move": "Moved.",
    "cancel": "Cancelled.",
}
CLOSURES = {"leave": "Leave", "holiday": "Holiday", "block": "Blocked", "external": "Busy elsewhere"}

LETTERS = {
    "appointment-booked": "Your visit is booked",
    "appointment-approved": "Your request is approved",
    "appointment-moved": "Your visit is moved",
    "appointment-moved-leave": "We had to move your visit",
    "appointment-cancelled": "Your visit is cancelled",
    "appointment-cancelled-by-clinic": "We had to cancel your visit",
    "appointment-cancelled-leave": "We had to cancel your visit, somebody is away",
    "appointment-requested": "We have your request",
    "appointment-declined": "Your request is declined",
    "appointment-expired": "Your request was not answered",
    "appointment-reminder": "Reminder",
    "appointment-confirm": "Will you come?",
    "appointment-missed": "We missed you",
    "appointment-follow-up": "Thank you for your visit",
    "series-booked": "Your visits are booked",
    "series-changed": "Your visits have changed",
    "waitlist-offer": "An earlier time is offered",
    "waitlist-offer-expired": "The offer is over",
    "account-confirm": "Confirm your e-mail address",
    "account-exists": "You already have an account",
    "account-reset": "Choose a new password",
    "account-password-changed": "Your password was changed",
    "account-new-sign-in": "A new sign-in",
    "account-export-ready": "A file is ready",
    "account-sign-in-changed": "Second factor or passkeys changed",
    "account-new-address": "Confirm a new e-mail address",
    "account-address-changed": "The e-mail address was changed",
    "account-invited": "Invitation of staff",
}
# audit action -> what became of the clinic's own words in a letter
LETTER_TEXT_HISTORY = {
    "letter-text.subject-changed": "Subject changed",
    "letter-text.introduction-changed": "Introduction changed",
    "letter-text.closing-changed": "Closing changed",
    "letter-text.subject-reset": "Standard subject again",
    "letter-text.introduction-reset": "Introduction removed",
    "letter-text.closing-reset": "Closing removed",
}
CHANNELS = {"email": "by e-mail", "sms": "by text"}
WAYS = CHANNELS | {"webhook": "to the clinic's own system"}
# kind of a reminder rule -> when its letter comes
KINDS = {"before": "before a visit", "after": "after a visit", "noshow": "after a visit that nobody came to"}
# outcome of a message -> (kind of its tag, word)
OUTCOMES = {
    "waiting": ("info", "Waiting"),
    "sent": ("good", "Sent"),
    "skipped": ("", "Not needed any more"),
    "failed": ("bad", "Failed"),
    "missed": ("warn", "Missed"),
}
# what came back about it later
RECEIPTS = {"delivered": "Delivered", "failed": "Could not be delivered", "undelivered": "Could not be delivered"}
JOBS = {
    "import-patients": "Import of patients",
    "import-appointments": "Import of appointments",
    "export-patients": "Export of patients",
    "export-appointments": "Export of appointments",
    "export-messages": "Export of messages",
}
# state of a job, of a row of an import -> (kind of its tag, word)
JOB_STATES = {
    "waiting": ("info", "Waiting"),
    "running": ("info", "Running"),
    "checked": ("warn", "Checked, not imported yet"),
    "done": ("good", "Done"),
    "failed": ("bad", "Failed"),
    "cancelled": ("", "Cancelled"),
}
ROW_STATES = {
    "ready": ("info", "New"),
    "skipped": ("", "There already"),
    "wrong": ("bad", "Wrong"),
    "done": ("good", "Imported"),
    "failed": ("bad", "Not possible"),
}
STEPS = {"check": "checked", "apply": "done", "export": "written"}


def progress_line(job: BulkJob) -> str:
    """How far a job is, in words; and when nobody works on it, for how long."""
    silent = clock.now() - (job.leased_until or job.created_at)
    if job.state in ("waiting", "running") and silent > timedelta(minutes=1):
        minutes = minutes_in_words(int(silent.total_seconds()) // 60)
        so_far = f" {job.done:,} of {job.total:,} rows are {STEPS[job.step]}." if job.total else ""
        return f"No worker has taken it for {minutes}.{so_far}"
    if job.state == "waiting" or (job.state == "running" and not job.total):
        return "It begins as soon as a worker is free."
    rows = "row" if job.total == 1 else "rows"
    return f"{job.done:,} of {job.total:,} {rows} {STEPS[job.step]}."


def state_of(appointment: Appointment) -> tuple[str, str]:
    """The mark and the word of its state; a booked visit that the patient has confirmed says so."""
    if appointment.status == Status.BOOKED and appointment.confirmed_at is not None:
        return "confirmed", "Confirmed"
    return STATES[Status(appointment.status)]


def history_line(action: str) -> str:
    """An audit action in words; one that is not listed stays readable."""
    return HISTORY.get(action, action.rpartition(".")[2].replace("-", " ").capitalize())


# Roles of staff, as administrators give them.
ROLES = {
    "administrator": "Administrator",
    "front-desk": "Front desk",
    "practitioner": "Practitioner",
    "auditor": "Auditor",
}
