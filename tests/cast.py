"""The people of the tests, at a small clinic in New York that opens on working days from 9 to 17."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from server.extensions import db
from server.models import HealthcareService, Location, Patient, Practitioner
from server.services import access
from server.services.access import Actor
from server.utils import clock
from tests.factories import (
    create_location,
    create_patient,
    create_practitioner,
    create_proxy,
    create_schedule,
    create_service,
    create_user,
)

ZONE = "America/New_York"


@dataclass(frozen=True)
class Person:
    """Somebody with an account; plain values, so that they outlive a transaction."""

    user_id: UUID
    email: str
    patient_id: UUID | None = None
    practitioner_id: UUID | None = None

    @property
    def actor(self) -> Actor:
        return access.actor_for(self.user_id)


@dataclass(frozen=True)
class Cast:
    """ana, bea: patients; carl: ana's proxy; dr_cho: practitioner; dana: front desk; olga: administrator."""

    ana: Person
    bea: Person
    carl: Person
    dr_cho: Person
    dr_diaz: Person
    dana: Person
    olga: Person
    location_id: UUID
    checkup_id: UUID  # 30 minutes, every 30 minutes, no buffers, no notice
    physio_id: UUID  # 45 minutes, every 15, buffers of 5 and 10, a day's notice and cut-off

    @property
    def location(self) -> Location:
        return db.session.get_one(Location, self.location_id)

    @property
    def checkup(self) -> HealthcareService:
        return db.session.get_one(HealthcareService, self.checkup_id)

    @property
    def physio(self) -> HealthcareService:
        return db.session.get_one(HealthcareService, self.physio_id)

    def practitioner(self, person: Person) -> Practitioner:
        return db.session.get_one(Practitioner, person.practitioner_id)

    def patient(self, person: Person) -> Patient:
        return db.session.get_one(Patient, person.patient_id)

    def at(self, hour: int, minute: int = 0, *, weeks: int = 1, weekday: int = 2) -> datetime:
        """An instant on a coming weekday (Tuesday of next week unless told), on the clinic's clocks."""
        return clock.to_instant(datetime.combine(self.day(weeks=weeks, weekday=weekday), time(hour, minute)), ZONE)

    def day(self, *, weeks: int = 1, weekday: int = 2) -> date:
        today = clock.today(ZONE)
        return today - timedelta(days=today.isoweekday()) + timedelta(weeks=weeks, days=weekday)


def gather() -> Cast:
    """Write the clinic and its people into the current transaction."""
    location = create_location(name="Riverside", time_zone=ZONE, address="1 River Street", phone="+1 212 555 0100")
    checkup = create_service(name="Check-up")
    physio = create_service(
        name="Physiotherapy",
        duration_minutes=45,
        step_minutes=15,
        buffer_before_minutes=5,
        buffer_after_minutes=10,
        minimum_notice_minutes=1440,
        cancel_cutoff_minutes=1440,
    )
    people = {}
    for key, given, family in (("ana", "Ana", "Silva"), ("bea", "Bea", "Torres")):
        user = create_user("patient", email=f"{key}@example.com", name=f"{given} {family}")
        patient = create_patient(user_id=user.id, given_name=given, family_name=family, email=user.email)
        people[key] = Person(user.id, user.email, patient_id=patient.id)
        if key == "ana":
            carl = create_user("patient", email="carl@example.com", name="Carl Silva")
            create_proxy(carl, patient, relationship_name="husband")
            people["carl"] = Person(carl.id, carl.email)
    for key, name in (("dr_cho", "Dr Min Cho"), ("dr_diaz", "Dr Eva Diaz")):
        user = create_user("practitioner", email=f"{key.replace('_', '.')}@example.com", name=name)
        practitioner = create_practitioner(user_id=user.id, name=name)
        create_schedule(practitioner, location, checkup, physio)
        people[key] = Person(user.id, user.email, practitioner_id=practitioner.id)
    for key, role in (("dana", "front-desk"), ("olga", "administrator")):
        user = create_user(role, email=f"{key}@example.com", name=key.title())
        people[key] = Person(user.id, user.email)
    cast = Cast(**people, location_id=location.id, checkup_id=checkup.id, physio_id=physio.id)
    db.session.commit()
    return cast
