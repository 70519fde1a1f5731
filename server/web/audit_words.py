"""What is on record, in words that come after a name: for auditors, and for patients who ask who read their record."""

WORDS = {
    "access-log.read": "looked at who had to do with the record",
    "account.confirmed": "confirmed the e-mail address",
    "account.created": "made an account",
    "account.password-reset": "set a new password",
    "account.read": "looked at their own account",
    "account.registered": "registered",
    "account.reset-asked": "asked for a new password",
    "account.signed-in": "signed in",
    "account.signed-out": "signed out",
    "address.bounced": "had mail come back",
    "appointment.approved": "approved a request",
    "appointment.arrive": "noted an arrival",
    "appointment.booked": "booked a visit",
    "appointment.cancelled": "cancelled a visit",
    "appointment.capacity-changed": "changed the places of a group",
    "appointment.complete": "noted that a visit is done",
    "appointment.confirmed": "confirmed a visit",
    "appointment.declined": "declined a request",
    "appointment.expired": "let a request end without an answer",
    "appointment.no-show": "noted that nobody came",
    "appointment.overbooked": "put a visit over another one",
    "appointment.overridden": "booked a visit against the rules",
    "appointment.read": "looked at a visit",
    "appointment.requested": "asked for a visit",
    "appointment.rescheduled": "moved a visit",
    "appointment.room-changed": "changed the room of a visit",
    "appointment.start": "began a visit",
    "appointment.undo": "took a step back",
    "appointments.listed": "looked at a list of visits",
    "audit.archived": "moved old events into a file",
    "audit.searched": "searched what is on record",
    "availability.explained": "asked why a time is not free",
    "calendar-feed.created": "made a calendar address",
    "calendar-feed.read": "read the visits with a calendar program",
    "calendar-feed.revoked": "revoked a calendar address",
    "calendar-feeds.listed": "looked at their calendar addresses",
    "closure.added": "entered leave",
    "closure.changed": "changed leave",
    "closure.previewed": "looked at who is in the way of leave",
    "closure.read": "looked at leave and its plan",
    "closure.removed": "removed leave",
    "day.read": "looked at the day",
    "external-calendar.removed": "removed a practitioner’s own calendar",
    "external-calendar.set": "set a practitioner’s own calendar",
    "hold.made": "held a time",
    "hold.released": "let a held time go",
    "message.read": "looked at a message",
    "message.retried": "had a message sent again",
    "messages.listed": "looked at a list of messages",
    "patient.created": "took on a patient",
    "patient.preferences-changed": "changed how letters and reminders come",
    "patient.preferences-read": "looked at how letters and reminders come",
    "patient.read": "looked at the patient’s details",
    "patients.searched": "searched for a patient",
    "referral.added": "added a referral",
    "referral.removed": "removed a referral",
    "referrals.listed": "looked at the referrals",
    "reminder-rule.created": "added a reminder rule",
    "reminder-rule.deleted": "deleted a reminder rule",
    "reminder-rule.tested": "tested a reminder rule",
    "report.read": "looked at a report",
    "request.refused": "was refused",
    "room.changed": "changed a room",
    "room.created": "added a room",
    "rule.changed": "changed a practitioner’s rules",
    "rule.deleted": "deleted a practitioner’s rules",
    "schedule.added": "added hours",
    "schedule.changed": "changed hours",
    "schedule.removed": "removed hours",
    "series.booked": "booked a series of visits",
    "series.cancelled": "cancelled a series of visits",
    "series.planned": "looked at a plan of a series",
    "series.read": "looked at a series of visits",
    "service.changed": "changed a service",
    "service.created": "added a service",
    "session.created": "planned a group session",
    "session.read": "looked at who comes to a group",
    "settings.changed": "changed the settings",
    "texts.started": "wrote START, so that texts come again",
    "texts.stopped": "wrote STOP, so that no texts come",
    "timetable.run": "started a job",
    "token.issued": "signed in with an app",
    "token.reused": "used an old sign-in again",
    "token.revoked": "signed out of an app",
    "waitlist.accepted": "took an offered time",
    "waitlist.declined": "declined an offered time",
    "waitlist.expired": "let an offer end without an answer",
    "waitlist.joined": "joined the waitlist",
    "waitlist.left": "left the waitlist",
    "waitlist.listed": "looked at the waitlist",
    "waitlist.offer-read": "looked at an offer",
    "waitlist.offered": "offered a time",
    "waitlist.offers-listed": "looked at the offers",
    "waitlist.read": "looked at an entry of the waitlist",
    "waitlist.stories-read": "looked at what became of freed times",
    "waitlist.withdrawn": "took an offer back",
}
_OF_FILES = {
    "asked": "asked for",
    "made": "made",
    "downloaded": "fetched",
    "read": "looked at the rows of",
    "applied": "applied",
    "cancelled": "stopped",
}
ROLES = {
    "administrator": "administrator",
    "front-desk": "front desk",
    "practitioner": "practitioner",
    "auditor": "auditor",
    "patient": "patient",
    "proxy": "acting for the patient",
    "link": "with the link of a letter",
    "text": "by text message",
    "visitor": "not signed in",
}


def in_words(action: str) -> str:
    """What somebody did, after their name: "looked at a visit"."""
    if action in WORDS:
        return WORDS[action]
    about, _, what = action.rpartition(".")
    if about.startswith(("import-", "export-")) and what in _OF_FILES:
        way, _, of = about.partition("-")
        return f"{_OF_FILES[what]} an {way} of {of}"
    if about in ("letter-text", "appearance"):
        return f"letters and looks: {what.replace('-', ' ')}"
    return f"{about}: {what}".replace("-", " ")


def who(name: str, role: str) -> str:
    """Who did it, when no account is named: the clinic's own doing, a link, a text."""
    if name:
        return name
    return {"administrator": "Frontdesk, by itself", "visitor": "Somebody", "link": "Somebody", "text": "Somebody"}.get(
        role, "An account that is gone"
    )
