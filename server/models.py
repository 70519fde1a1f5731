"""The schema's front door: every table, by name."""

from server.tables.audit import AuditEvent
from server.tables.booking import OCCUPIES, OCCUPYING, Appointment, IdempotencyKey, Status
from server.tables.clinic import HealthcareService, Location, Room
from server.tables.messaging import OutboxMessage
from server.tables.people import Patient, Practitioner, RelatedPerson
from server.tables.scheduling import Closure, Schedule, schedule_services
from server.tables.security import RefreshToken, Role, TokenFamily, User, user_roles

__all__ = [
    "OCCUPIES",
    "OCCUPYING",
    "Appointment",
    "AuditEvent",
    "Closure",
    "HealthcareService",
    "IdempotencyKey",
    "Location",
    "OutboxMessage",
    "Patient",
    "Practitioner",
    "RefreshToken",
    "RelatedPerson",
    "Role",
    "Room",
    "Schedule",
    "Status",
    "TokenFamily",
    "User",
    "schedule_services",
    "user_roles",
]
