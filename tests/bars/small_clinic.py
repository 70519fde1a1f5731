"""A clinic of one morning, two doctors, one room and two patients, and a model of it in plain Python."""

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from uuid import UUID

from server.services.booking import PatientBusy, RulesForbid, SlotTaken, WrongState
from server.services.holds import TooManyHolds
from tests.cast import Cast
from tests.factories import create_practitioner, create_room, create_schedule, create_service

HALF_HOUR = timedelta(minutes=30)
STARTS = 8  # half hours from 8:30 on; the first and the last are outside of the hours, 9 to 12
MAX_SCANS, MAX_HOLDS = 2, 2
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


@dataclass(frozen=True, kw_only=True)
class Row:
    """An appointment or a hold, as the model and the database both describe it."""

    id: UUID
    doctor: UUID
    service: UUID
    room: UUID | None
    patient: UUID | None
    start: datetime
    status: str
    holder: UUID | None = None
    buffer: timedelta = timedelta(0)
    lane: int = 0  # below 0: put over another one on purpose

    @property
    def end(self) -> datetime:
        return self.start + HALF_HOUR

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.start < end and start < self.end

    def occupies(self, start: datetime, end: datetime) -> bool:
        return self.start < end and start < self.end + self.buffer


@dataclass(frozen=True)
class SmallClinic:
    """Two services: a talk anywhere, and a scan in the only room, with ten minutes to clean it; patients ask for it."""

    cast: Cast
    doctors: tuple[UUID, UUID]
    talk: UUID
    scan: UUID
    room: UUID

    def start(self, number: int) -> datetime:
        return self.cast.at(8, 30) + number * HALF_HOUR

    def buffer(self, service: UUID) -> timedelta:
        return timedelta(minutes=10) if service == self.scan else timedelta(0)


def build(cast: Cast) -> SmallClinic:
    """Written into the current transaction."""
    talk, room = create_service(name="Talk"), create_room(cast.location)
    rules = {"buffer_after_minutes": 10, "max_open_per_patient": MAX_SCANS, "needs_approval": True}
    scan = create_service(name="Scan", **rules)
    doctors = create_practitioner(), create_practitioner()
    for doctor in doctors:
        create_schedule(doctor, cast.location, talk, ends_at=time(12))
        create_schedule(doctor, cast.location, scan, ends_at=time(12), room_id=room.id)
    return SmallClinic(cast, (doctors[0].id, doctors[1].id), talk.id, scan.id, room.id)


class Model:
    """What the rules of booking say, one command after the other. `verdict` is an error class, or None."""

    def __init__(self, clinic: SmallClinic) -> None:
        self.clinic = clinic
        self.rows: dict[UUID, Row] = {}  # holds that have expired are not in here
        self.closures: list[tuple[UUID | None, datetime, datetime]] = []

    def standing(self, ignore: UUID | None = None) -> list[Row]:
        return [row for row in self.rows.values() if row.status in STANDS and row.id != ignore]

    def wanted(self, row_id: UUID, *, doctor: UUID, service: UUID, start: datetime, **more: object) -> Row:
        room = self.clinic.room if service == self.clinic.scan else None
        values = {"doctor": doctor, "service": service, "room": room, "start": start, "patient": None, **more}
        return Row(id=row_id, buffer=self.clinic.buffer(service), **values)  # type: ignore[arg-type]

    def in_the_way(self, want: Row, *, override: bool = False, ignore: UUID | None = None) -> type[Exception] | None:
        """The clinic's side: hours, closures, the doctor, the room; the patient matters when these are free."""
        others = self.standing(ignore)
        closed = any(who in (None, want.doctor) and want.overlaps(start, end) for who, start, end in self.closures)
        is_open = self.clinic.start(1) <= want.start < self.clinic.start(STARTS - 1)
        if (closed or not is_open) and not override:
            return RulesForbid
        end = want.end + want.buffer
        if any(row.doctor == want.doctor and row.occupies(want.start, end) for row in others):
            return SlotTaken
        if want.room and any(row.room == want.room and row.occupies(want.start, end) for row in others):
            return PatientBusy if self.is_patient_busy(want, ignore) else SlotTaken
        return None

    def is_patient_busy(self, want: Row, ignore: UUID | None = None) -> bool:
        return any(
            row.patient == want.patient and row.overlaps(want.start, want.end)
            for row in self.standing(ignore)
            if row.patient
        )

    def holding(self, want: Row) -> type[Exception] | None:
        held = [row for row in self.rows.values() if row.status == "proposed" and row.holder == want.holder]
        return self.in_the_way(want) or (TooManyHolds if len(held) >= MAX_HOLDS else None)

    def booking(
        self, want: Row, *, override: bool, overbook: bool = False, hold: UUID | None = None
    ) -> type[Exception] | None:
        against = self.in_the_way(want, override=override, ignore=hold)
        if against and not (overbook and against in (SlotTaken, PatientBusy)):
            return against
        scans = [row for row in self.rows.values() if row.status in OPEN and row.service == self.clinic.scan]
        mine = [row for row in scans if row.patient == want.patient]
        if want.service == self.clinic.scan and len(mine) >= MAX_SCANS and not override:
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

    def moving(self, row: Row, want: Row) -> type[Exception] | None:
        if row.status not in OPEN:
            return WrongState
        return self.in_the_way(want, ignore=row.id) or (PatientBusy if self.is_patient_busy(want, row.id) else None)

    def stepping(self, row: Row, step: str) -> type[Exception] | None:
        if (row.status, step) not in STEPS:
            return WrongState
        target = STEPS[row.status, step]
        if row.status in STANDS or target not in STANDS:
            return None
        again = replace(row, status=target)
        others = self.standing(ignore=row.id)
        end = again.end + again.buffer
        same = [o for o in others if o.doctor == row.doctor or (row.room and o.room == row.room)]
        same = [o for o in same if o.lane == row.lane]
        if any(o.occupies(again.start, end) for o in same) or self.is_patient_busy(again, ignore=row.id):
            return SlotTaken
        return None
