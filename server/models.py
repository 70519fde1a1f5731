"""The schema's front door: every table, by name."""

from server.tables.audit import AuditEvent
from server.tables.booking import (
    OCCUPIES,
    OCCUPYING,
    Appointment,
    AppointmentSeries,
    GroupSession,
    IdempotencyKey,
    Status,
)
from server.tables.clinic import ClinicSettings, HealthcareService, Location, PractitionerRule, Referral, Room
from server.tables.feeds import CalendarFeed
from server.tables.messaging import ClosedAddress, LetterText, OutboxMessage, ReminderRule, TextReply
from server.tables.people import Patient, Practitioner, RelatedPerson
from server.tables.scheduling import Closure, ClosurePlanItem, ExternalCalendar, Schedule, schedule_services
from server.tables.security import KnownDevice, RefreshToken, Role, TokenFamily, User, user_roles
from server.tables.waiting import FreedTime, WaitlistEntry, WaitlistOffer

__all__ = [
    "OCCUPIES",
    "OCCUPYING",
    "Appointment",
    "AppointmentSeries",
    "AuditEvent",
    "CalendarFeed",
    "ClinicSettings",
    "ClosedAddress",
    "Closure",
    "ClosurePlanItem",
    "ExternalCalendar",
    "FreedTime",
    "GroupSession",
    "HealthcareService",
    "IdempotencyKey",
    "KnownDevice",
    "LetterText",
    "Location",
    "OutboxMessage",
    "Patient",
    "Practitioner",
    "PractitionerRule",
    "Referral",
    "RefreshToken",
    "RelatedPerson",
    "ReminderRule",
    "Role",
    "Room",
    "Schedule",
    "Status",
    "TextReply",
    "TokenFamily",
    "User",
    "WaitlistEntry",
    "WaitlistOffer",
    "schedule_services",
    "user_roles",
]
