"""What was arranged at the sample clinic beyond single visits, by the same commands as at any desk."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import func, select

from server.extensions import db
from server.models import Appointment, Status
from server.services import access, availability, booking, series, sessions, waitlist
from server.services.access import Actor
from server.services.availability import FreeTime
from server.trial import sample_cast as cast
from server.utils import clock

Ids = dict[Any, UUID]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """In Lisbon; `patients`: as many as it NEEDS, who have no other visits."""

    NEEDS: ClassVar[int] = 13

    services: Ids
    practitioners: Ids
    patients: list[UUID]
    users: Ids

    def arrange(self) -> None:
        dana = access.actor_for(self.users[cast.DANA])
        for weeks, seats in enumerate((8, 5), start=1):
            self._meet(weeks, self.patients[:seats], dana)
        self._come_every_week(self.patients[8], dana)
        self._squeeze_in(self.patients[9], dana)
        for patient_id, weekdays in zip(self.patients[10:13], ((1, 2), (), (3, 4, 6)), strict=True):
            waitlist.join(
                service_id=self.services["Physiotherapy"],
                patient_id=patient_id,
                weekdays=weekdays,
                from_time=time(9),
                until_time=time(13),
                actor=dana,
            )
        self._ask(access.actor_for(self.users["bea@example.com"]))

    def _meet(self, weeks: int, patients: list[UUID], dana: Actor) -> None:
        """The class on a Friday; the first is full."""
        zone = cast.LOCATIONS[1]["time_zone"]
        today = clock.today(zone)
        friday = today + timedelta(days=4 - today.weekday(), weeks=weeks)
        session = sessions.create_session(
            service_id=self.services["Balance class"],
            practitioner_id=self.practitioners["Sofia Matos"],
            start=clock.to_instant(datetime.combine(friday, time(10)), zone),
            actor=dana,
        )
        for patient_id in patients:
            sessions.book_seat(session.id, patient_id=patient_id, actor=dana)

    def _come_every_week(self, patient_id: UUID, dana: Actor) -> None:
        time = self._first_free("Physiotherapy", days=4)
        series.book_series(
            service_id=self.services["Physiotherapy"],
            practitioner_id=time.practitioner_id,
            start=time.start,
            every_n_weeks=1,
            count=6,
            skip_conflicts=True,
            patient_id=patient_id,
            actor=dana,
        )

    def _squeeze_in(self, patient_id: UUID, dana: Actor) -> None:
        """Over somebody else's visit of tomorrow or later."""
        taken = db.session.scalars(
            select(Appointment)
            .where(
                Appointment.practitioner_id == self.practitioners["Dr. Inês Carvalho"],
                Appointment.service_id == self.services["General consultation"],
                Appointment.status == Status.BOOKED,
                func.lower(Appointment.during) > clock.now() + timedelta(days=1),
            )
            .order_by(func.lower(Appointment.during))
            .limit(1)
        ).one()
        booking.book_appointment(
            service_id=taken.service_id,
            practitioner_id=taken.practitioner_id,
            start=taken.start,
            patient_id=patient_id,
            overbook_reason="A child with a fever who cannot wait.",
            actor=dana,
        )

    def _ask(self, bea: Actor) -> None:
        time = self._first_free("Ultrasound", days=3)
        booking.book_appointment(
            service_id=self.services["Ultrasound"],
            practitioner_id=time.practitioner_id,
            start=time.start,
            reason="My doctor in New York sent me.",
            actor=bea,
        )

    def _first_free(self, service: str, *, days: int) -> FreeTime:
        begin = clock.now() + timedelta(days=days)
        (time,) = availability.search(
            self.services[service], from_at=begin, to_at=begin + timedelta(days=28), limit=1, as_staff=True
        )[:1]
        return time
