"""A clinic of a few mornings, two doctors, one room and two patients, and a model of its times in plain Python."""

from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Self
from uuid import UUID

from server.extensions import db
from server.models import ExternalCalendar
from server.services.booking import PatientBusy, RulesForbid, SlotTaken, WrongState
from server.services.holds import TooManyHolds
from server.services.sessions import SessionFull
from server.utils import clock
from tests.cast import ZONE, Cast
from tests.factories import create_practitioner, create_room, create_schedule, create_service

HALF_HOUR = timedelta(minutes=30)
STARTS, WEEKS = 8, 3  # half hours from 8:30 on; the first and the last are outside of the hours, 9 to 12
OPENS, CLOSES = time(9), time(12)
MAX_SCANS, MAX_HOLDS, SEATS = 2, 2, 2
STEPS = {
    ("booked", "arrive"): "arrived",
    ("arrived", "complete"): "fulfilled",
    ("booked", "no-show"): "noshow",
    ("arrived", "undo"): "booked",
    ("fulfilled", "undo"): "arrived",
    ("noshow", "undo"): "booked",
}
OPEN = ("pending", "booked")
STANDS = {"proposed", "pending", "booked", "arrived", "fulfilled"}
Verdict = type[Exception] | None  # what a command raises; None: it succeeds


@dataclass(frozen=True, kw_only=True)
class Row:
    """An appointment, a hold, a group's time or a seat in it, as the model and the database both describe it."""

    id: UUID
    doctor: UUID
    service: UUID
    room: UUID | None
    patient: UUID | None
    start: datetime
    status: str
    holder: UUID | None = None  # of a hold: a user or an offer
    buffer: timedelta = timedelta(0)
    length: timedelta = HALF_HOUR
    lane: int = 0  # below 0: put over another one on purpose; above: a seat
    session: UUID | None = None
    series: UUID | None = None
    on_purpose: bool = False

    @property
    def end(self) -> datetime:
        return self.start + self.length

    @property
    def is_session(self) -> bool:
        return self.session is not None and self.lane == 0

    @property
    def has_begun(self) -> bool:
        return self.start <= clock.now()

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.start < end and start < self.end

    def occupies(self, start: datetime, end: datetime) -> bool:
        return self.start < end and start < self.end + self.buffer


@dataclass(frozen=True, kw_only=True)
class Shut:
    """Leave of one doctor or of all, or (`external`) what a doctor's own calendar says."""

    id: UUID
    doctor: UUID | None
    start: datetime
    end: datetime
    external: bool = False

    def covers(self, row: Row) -> bool:
        return self.doctor in (None, row.doctor) and row.overlaps(self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class Item:
    """What leave is to do with a visit in its way."""

    action: str
    start: datetime | None = None
    doctor: UUID | None = None
    state: str = "waiting"


@dataclass(frozen=True)
class SmallClinic:
    """A talk anywhere, whose rest is free when it ends early; a scan in the only room, with ten minutes to clean it,
    for which patients ask; and a class."""

    cast: Cast
    doctors: tuple[UUID, UUID]
    talk: UUID
    scan: UUID
    group: UUID
    room: UUID
    calendars: tuple[UUID, UUID]  # of the doctors, elsewhere

    @property
    def services(self) -> tuple[UUID, UUID, UUID]:
        return self.talk, self.scan, self.group

    def start(self, number: int, week: int = 1) -> datetime:
        return self.cast.at(8, 30, weeks=week) + number * HALF_HOUR

    def is_open(self, start: datetime) -> bool:
        wall = clock.local(start, ZONE)
        on_step = (wall.minute % 30, wall.second, wall.microsecond) == (0, 0, 0)
        return wall.isoweekday() <= 5 and OPENS <= wall.time() < CLOSES and on_step

    def buffer(self, service: UUID) -> timedelta:
        return timedelta(minutes=10) if service == self.scan else timedelta(0)


def build(cast: Cast) -> SmallClinic:
    """Written into the current transaction."""
    talk = create_service(name="Talk", frees_rest=True, no_show_after_minutes=5)
    rules = {"buffer_after_minutes": 10, "max_open_per_patient": MAX_SCANS, "needs_approval": True}
    scan, room = create_service(name="Scan", **rules), create_room(cast.location)
    group = create_service(name="Class", capacity=SEATS)
    doctors = create_practitioner(), create_practitioner()
    for doctor in doctors:
        create_schedule(doctor, cast.location, talk, group, starts_at=OPENS, ends_at=CLOSES)
        create_schedule(doctor, cast.location, scan, starts_at=OPENS, ends_at=CLOSES, room_id=room.id)
    calendars = [ExternalCalendar(practitioner_id=doctor.id, url="https://example.com/own.ics") for doctor in doctors]
    db.session.add_all(calendars)
    db.session.flush()
    return SmallClinic(
        cast,
        (doctors[0].id, doctors[1].id),
        talk.id,
        scan.id,
        group.id,
        room.id,
        (calendars[0].id, calendars[1].id),
    )


class Model:
    """What the rules of booking say, one command after the other."""

    def __init__(self, clinic: SmallClinic) -> None:
        self.clinic = clinic
        self.rows: dict[UUID, Row] = {}  # holds that have expired are not in here
        self.closures: dict[UUID, Shut] = {}
        self.items: dict[tuple[UUID, UUID], Item] = {}  # (closure, visit) -> what is to become of it
        self.capacities: dict[UUID, int] = {}  # of the group sessions

    def without(self, *row_ids: UUID) -> Self:
        """The same without these rows, to try something out."""
        tried = copy(self)
        tried.rows = {row_id: row for row_id, row in self.rows.items() if row_id not in row_ids}
        return tried

    def standing(self, ignore: UUID | None = None) -> list[Row]:
        return [row for row in self.rows.values() if row.status in STANDS and row.id != ignore]

    def wanted(self, row_id: UUID, *, doctor: UUID, service: UUID, start: datetime, **more: object) -> Row:
        room = self.clinic.room if service == self.clinic.scan else None
        what = {"doctor": doctor, "service": service, "room": room, "start": start}
        values = {**what, "patient": None, "status": "booked", **more}
        return Row(id=row_id, buffer=self.clinic.buffer(service), **values)  # type: ignore[arg-type]

    # --- verdicts ---

    def in_the_way(self, want: Row, *, override: bool = False, ignore: UUID | None = None) -> Verdict:
        """The clinic's side: hours, leave, the doctor, the room; the patient matters when these are free."""
        others, shut = self.standing(ignore), [shut for shut in self.closures.values() if shut.covers(want)]
        is_away = any(not each.external for each in shut)
        if (is_away or not self.clinic.is_open(want.start)) and not override:
            return RulesForbid
        end = want.end + want.buffer
        if any(row.doctor == want.doctor and row.occupies(want.start, end) for row in others):
            return SlotTaken
        is_room_taken = want.room and any(row.room == want.room and row.occupies(want.start, end) for row in others)
        if is_room_taken or any(each.external for each in shut):
            return PatientBusy if self.is_patient_busy(want, ignore) else SlotTaken
        return None

    def is_patient_busy(self, want: Row, ignore: UUID | None = None) -> bool:
        return any(
            row.patient == want.patient and row.overlaps(want.start, want.end)
            for row in self.standing(ignore)
            if row.patient
        )

    def is_over_limit(self, want: Row, ignore: UUID | None = None) -> bool:
        scans = [row for row in self.rows.values() if row.status in OPEN and row.service == self.clinic.scan]
        mine = [row for row in scans if row.patient == want.patient and row.id != ignore]
        return want.service == self.clinic.scan and len(mine) >= MAX_SCANS

    def holding(self, want: Row) -> Verdict:
        held = [row for row in self.rows.values() if row.status == "proposed" and row.holder == want.holder]
        return self.in_the_way(want) or (TooManyHolds if len(held) >= MAX_HOLDS else None)

    def booking(
        self, want: Row, *, override: bool = False, overbook: bool = False, hold: UUID | None = None
    ) -> Verdict:
        against = self.in_the_way(want, override=override, ignore=hold)
        if against and not (overbook and against in (SlotTaken, PatientBusy)):
            return against
        if self.is_over_limit(want) and not override:
            return RulesForbid
        return PatientBusy if self.is_patient_busy(want, ignore=hold) else None

    def lane_over(self, want: Row) -> int:
        """The first lane of its own in which an overbooked visit overlaps no other of its doctor or room."""
        end = want.end + want.buffer
        taken = {
            row.lane
            for row in self.standing()
            if (row.doctor == want.doctor or (want.room and row.room == want.room)) and row.occupies(want.start, end)
        }
        return next(lane for lane in range(-1, -100, -1) if lane not in taken)

    def moving(self, row: Row, want: Row, *, by_patient: bool, limited: bool = True) -> Verdict:
        if row.status not in OPEN or row.session:
            return WrongState
        if by_patient and row.has_begun:
            return RulesForbid
        return self.placing(want, limited=limited)

    def placing(self, want: Row, *, limited: bool = True) -> Verdict:
        """A visit that is there, at another time."""
        if against := self.in_the_way(want, ignore=want.id):
            return against
        if limited and self.is_over_limit(want, ignore=want.id):
            return RulesForbid
        return PatientBusy if self.is_patient_busy(want, ignore=want.id) else None

    def cancelling(self, row: Row, *, by_patient: bool) -> Verdict:
        if row.status not in OPEN or row.is_session:
            return WrongState
        return RulesForbid if by_patient and row.has_begun else None

    def stepping(self, row: Row, step: str) -> Verdict:
        if (row.status, step) not in STEPS or row.is_session:
            return WrongState
        again = self.stepped(row, step)
        grows = again.length > row.length or row.status not in STANDS
        if again.status not in STANDS or not grows:
            return None
        if row.session and (self.time_of(row.session).status != "booked" or row.lane > self.capacities[row.session]):
            return SlotTaken
        others = self.standing(ignore=row.id)
        end = again.end + again.buffer
        same = [o for o in others if o.doctor == row.doctor or (row.room and o.room == row.room)]
        same = [o for o in same if o.lane == row.lane]
        if any(o.occupies(again.start, end) for o in same) or self.is_patient_busy(again, ignore=row.id):
            return SlotTaken
        return None

    def stepped(self, row: Row, step: str) -> Row:
        """A visit that ended early and is not over after all has its whole time again."""
        return replace(row, status=STEPS[row.status, step], length=HALF_HOUR if step == "undo" else row.length)

    # --- groups ---

    def time_of(self, session: UUID) -> Row:
        return next(row for row in self.rows.values() if row.session == session and row.is_session)

    def seats_of(self, session: UUID) -> list[Row]:
        return [row for row in self.standing() if row.session == session and not row.is_session]

    def seating(self, time: Row, patient: UUID | None) -> Verdict:
        if time.status != "booked":
            return WrongState
        if self.is_patient_busy(replace(time, patient=patient)):
            return PatientBusy
        return SessionFull if len(self.seats_of(time.session)) >= self.capacities[time.session] else None  # type: ignore[arg-type, index]

    # --- leave ---

    def in_the_way_of(self, shut: Shut) -> list[Row]:
        """Open visits ahead that it would strand, by start; seats go wherever their group goes."""
        found = [row for row in self.rows.values() if row.status in OPEN and not row.has_begun and row.lane <= 0]
        return sorted((row for row in found if shut.covers(row)), key=lambda row: (row.start, row.id))
