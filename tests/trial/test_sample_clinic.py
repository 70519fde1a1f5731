"""The sample clinic is a clinic as the product's own rules know it, with something to see and times to book."""

from datetime import timedelta
from itertools import pairwise

import pytest
from flask import Flask
from sqlalchemy import func, select

from server.extensions import db
from server.models import Appointment, HealthcareService, Location, Patient, Practitioner, Status, User, WaitlistEntry
from server.services import access, accounts, availability, sessions
from server.services.access import SYSTEM
from server.trial.sample_cast import ACCOUNTS, ANA, CARL, DR_CHO, DR_CHO_EMAIL, PASSWORD
from server.trial.sample_clinic import fill
from server.utils import clock


@pytest.fixture
def clinic(app: Flask, context: None) -> None:
    fill(app)


def actor_of(email: str) -> access.Actor:
    return access.actor_for(db.session.scalars(select(User.id).where(User.email == email)).one())


def test_everybody_of_the_contract_can_sign_in(clinic: None) -> None:
    for account in ACCOUNTS:
        user = accounts.sign_in(email=account.email, password=PASSWORD, agent="", actor=SYSTEM)
        assert account.role in access.actor_for(user.id).roles
    assert actor_of(DR_CHO_EMAIL).practitioner_id
    ana = actor_of(ANA).own_patient_id
    assert actor_of(CARL).grants == {ana: frozenset({"read", "book"})}


def test_filling_twice_changes_nothing(clinic: None, app: Flask) -> None:
    count = db.session.scalar(select(func.count()).select_from(Appointment))
    fill(app)
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == count


def test_every_visit_to_come_keeps_the_rules(clinic: None) -> None:
    soon = clock.now() + timedelta(days=5)
    coming = db.session.scalars(
        select(Appointment).where(
            Appointment.status == Status.BOOKED,
            Appointment.session_id.is_(None),
            func.lower(Appointment.during) > func.now(),
            func.lower(Appointment.during) < soon,
        )
    ).all()
    assert len(coming) > 50
    squeezed_in = {(visit.practitioner_id, visit.start) for visit in coming if visit.lane}  # over others, on purpose
    for visit in coming:
        if (visit.practitioner_id, visit.start) in squeezed_in:
            continue
        found = availability.facts(
            visit.service_id,
            practitioner_id=visit.practitioner_id,
            start=visit.start,
            location_id=visit.location_id,
            ignore_id=visit.id,
        )
        assert availability.reasons(found, start=visit.start, actor=SYSTEM) == []


def test_both_locations_have_a_full_day_today(clinic: None) -> None:
    for location in db.session.scalars(select(Location)):
        first, last = clock.day_bounds(clock.today(location.time_zone), location.time_zone)
        during = func.lower(Appointment.during)
        today = select(Appointment).where(Appointment.location_id == location.id, during >= first, during < last)
        visits = db.session.scalars(today).all()
        assert len(visits) >= 8
        assert len({visit.practitioner_id for visit in visits}) >= 2


def test_no_patient_is_in_two_places_on_one_day(clinic: None) -> None:
    rows = db.session.execute(
        select(Appointment.patient_id, func.lower(Appointment.during)).order_by(
            Appointment.patient_id, func.lower(Appointment.during)
        )
    ).all()
    for (patient, start), (next_patient, next_start) in pairwise(rows):
        assert patient != next_patient or next_start - start > timedelta(hours=10)


def test_dr_cho_has_time_tomorrow_and_after(clinic: None) -> None:
    cho = db.session.scalars(select(Practitioner).where(Practitioner.name == DR_CHO)).one()
    service = db.session.scalars(
        select(HealthcareService).where(HealthcareService.name == "General consultation")
    ).one()
    tomorrow = clock.start_of_day(clock.today("America/New_York") + timedelta(days=1), "America/New_York")
    for day in range(3):
        first = tomorrow + timedelta(days=day)
        free = availability.search(
            service.id, practitioner_id=cho.id, from_at=first, to_at=first + timedelta(hours=24), as_staff=True
        )
        assert free


def test_ana_has_been_there_and_comes_again(clinic: None) -> None:
    ana = db.session.scalars(select(Patient).where(Patient.email == ANA)).one()
    states = db.session.scalars(select(Appointment.status).where(Appointment.patient_id == ana.id)).all()
    assert set(states) == {Status.FULFILLED, Status.BOOKED}


def test_there_is_something_of_everything_to_see(clinic: None) -> None:
    first, second = sessions.list_sessions(from_at=clock.now(), to_at=clock.now() + timedelta(days=30))
    assert (first.free_seats, second.free_seats) == (0, 3)
    states = db.session.execute(select(Appointment.status, Appointment.series_id, Appointment.lane)).all()
    assert [row.status for row in states].count(Status.PENDING) == 1
    assert len([row for row in states if row.series_id]) >= 2
    assert [row.lane for row in states if row.lane < 0] == [-1]
    assert db.session.scalar(select(func.count()).select_from(WaitlistEntry)) == 3
