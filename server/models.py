"""The schema's front door: every table, by name."""

from server.tables.audit import AuditArchive, AuditEvent, AuditSeal
from server.tables.background import BulkChunk, BulkJob, BulkRow, ClockLead, JobRun
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
from server.tables.people import SAME_PHONE, Patient, Practitioner, RelatedPerson
from server.tables.scheduling import Closure, ClosurePlanItem, ExternalCalendar, Schedule, schedule_services
from server.tables.security import KnownDevice, Passkey, RefreshToken, Role, TokenFamily, User, user_roles
from server.tables.waiting import FreedTime, WaitlistEntry, WaitlistOffer

__all__ = [
    "OCCUPIES",
    "OCCUPYING",
    "SAME_PHONE",
    "Appointment",
    "AppointmentSeries",
    "AuditArchive",
    "AuditEvent",
    "AuditSeal",
    "BulkChunk",
    "BulkJob",
    "BulkRow",
    "CalendarFeed",
    "ClinicSettings",
    "ClockLead",
    "ClosedAddress",
    "Closure",
    "ClosurePlanItem",
    "ExternalCalendar",
    "FreedTime",
    "GroupSession",
    "HealthcareService",
    "IdempotencyKey",
    "JobRun",
    "KnownDevice",
    "LetterText",
    "Location",
    "OutboxMessage",
    "Passkey",
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
