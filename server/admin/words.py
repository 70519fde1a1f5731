"""What staff read: the states of a visit and the steps of its history, in words."""

from server.models import Appointment, Status

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
    "appointment-moved": "Your visit is moved",
    "appointment-cancelled": "Your visit is cancelled",
    "appointment-requested": "We have your request",
    "appointment-declined": "Your request is declined",
    "appointment-expired": "Your request was not answered",
    "appointment-reminder": "Reminder",
    "appointment-confirm": "Will you come?",
    "appointment-follow-up": "After your visit",
    "appointment-missed": "We missed you",
    "series-booked": "Your visits are booked",
    "series-changed": "Your visits have changed",
    "waitlist-offer": "An earlier time is offered",
    "waitlist-offer-expired": "The offer is over",
    "account-confirm": "Confirm your e-mail address",
    "account-exists": "You already have an account",
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


def state_of(appointment: Appointment) -> tuple[str, str]:
    """The mark and the word of its state; a booked visit that the patient has confirmed says so."""
    if appointment.status == Status.BOOKED and appointment.confirmed_at is not None:
        return "confirmed", "Confirmed"
    return STATES[Status(appointment.status)]


def history_line(action: str) -> str:
    """An audit action in words; one that is not listed stays readable."""
    return HISTORY.get(action, action.rpartition(".")[2].replace("-", " ").capitalize())
