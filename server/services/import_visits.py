"""Visits from a file: booked by the rules that hold for everybody, as far as the check can see them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from server.errors import DomainError, Invalid, Unavailable
from server.extensions import db
from server.models import Appointment, Status
from server.services import availability, booking, directory, duplicates, rules
from server.services.access import Actor
from server.services.duplicates import Known
from server.services.import_rows import BEYOND, Checked, in_words, read_date, read_moment
from server.utils import clock
from server.utils.text import clean_line

COLUMNS: Mapping[str, Sequence[str]] = {
    "start": ("starts at", "time", "date and time", "appointment"),
    "service": ("appointment type", "visit type", "type"),
    "practitioner": ("doctor", "provider", "clinician"),
    "location": ("site", "office"),
    "patient_mrn": ("mrn", "record number", "patient number", "patient id"),
    "patient_email": ("email", "e-mail"),
    "given_name": ("first name", "forename"),
    "family_name": ("last name", "surname"),
    "birth_date": ("date of birth", "birthdate", "dob"),
    "reason": ("note", "notes"),
}
NEEDED = ("start", "service", "practitioner")
MAX_REASON = 500
THERE = (Status.PENDING, Status.BOOKED, Status.ARRIVED, Status.FULFILLED)


class Checker:
    """Checks the rows of one file in their order; a visit may not overlap with one of a row before it."""

    def __init__(self, *, actor: Actor) -> None:
        self._actor = actor
        self._services = {one.name.casefold(): one for one in directory.services()}
        self._practitioners = {one.name.casefold(): one for one in directory.practitioners()}
        self._locations = {one.name.casefold(): one for one in directory.locations()}
        self._taken: dict[str, list[tuple[datetime, datetime, int]]] = {}  # by practitioner or patient
        self._seen: dict[tuple[str, ...], int] = {}

    def remember(self, number: int, fields: Mapping[str, Any]) -> None:
        """A row that was checked before, and is ready."""
        self._seen[_key(fields)] = number
        for whose, lower, upper in _stretches(fields):
            self._taken.setdefault(whose, []).append((lower, upper, number))

    def check(self, rows: Sequence[tuple[int, dict[str, str]]]) -> list[Checked]:
        """What becomes of each row if it is imported; nothing is written."""
        read = [(number, {name: clean_line(value) for name, value in cells.items()}) for number, cells in rows]
        known = duplicates.find([_person(cells) for _, cells in read])
        return [self._check(number, cells, known) for number, cells in read]

    def _check(self, number: int, cells: Mapping[str, str], known: Mapping[str, list[Known]]) -> Checked:
        label = f"{cells.get('start', '')}, {cells.get('service', '')}, {cells.get('practitioner', '')}"
        try:
            fields, name = self._resolve(cells, known)
        except Invalid as refused:
            return Checked(number=number, state="wrong", label=label, detail=refused.detail)
        label = f"{name}: {label}"
        if _key(fields) in self._seen:
            detail = f"The same visit as in row {self._seen[_key(fields)]} of this file."
            return Checked(number=number, state="skipped", label=label, detail=detail)
        if there := _booked_already(fields):
            return Checked(
                number=number, state="skipped", label=label, detail="This visit is booked already.", object_id=there
            )
        try:
            during, occupied = self._fitting(fields)
        except Unavailable:
            raise
        except DomainError as refused:
            return Checked(number=number, state="wrong", label=label, detail=in_words(refused))
        fields |= {"during": _as_text(during), "occupied": _as_text(occupied)}
        for whose, lower, upper in _stretches(fields):
            for other_lower, other_upper, row in self._taken.get(whose, ()):
                if lower < other_upper and other_lower < upper:
                    who = "patient" if whose.startswith("patient") else "practitioner"
                    detail = f"The {who} has another visit then, in row {row} of this file."
                    return Checked(number=number, state="wrong", label=label, detail=detail)
        self.remember(number, fields)
        return Checked(number=number, state="ready", fields=fields, label=label)

    def _resolve(self, cells: Mapping[str, str], known: Mapping[str, list[Known]]) -> tuple[dict[str, Any], str]:
        """The ids and the start that the row means, and the patient's name. Raises Invalid with every sentence."""
        wrong: list[str] = [BEYOND] if "" in cells else []
        found: dict[str, Any] = {}
        for name, table in (
            ("service", self._services),
            ("practitioner", self._practitioners),
            ("location", self._locations),
        ):
            value = cells.get(name, "")
            found[name] = table.get(value.casefold())
            if not value and name != "location":
                wrong.append(f"{name.capitalize()}: please fill this in.")
            elif value and found[name] is None:
                wrong.append(f"There is no {name} “{value[:80]}”.")
        start, said = self._start(cells, found["location"])
        wrong += said
        patient, said = _patient(cells, known)
        wrong += said
        if len(cells.get("reason", "")) > MAX_REASON:
            wrong.append(f"Reason: at most {MAX_REASON} characters.")
        if wrong or patient is None or start is None:
            raise Invalid(" ".join(wrong))
        fields = {
            "patient_id": str(patient.id),
            "service_id": str(found["service"].id),
            "practitioner_id": str(found["practitioner"].id),
            "location_id": str(found["location"].id) if found["location"] else None,
            "start": availability.as_instant(start),
            "reason": cells.get("reason", ""),
        }
        return fields, f"{patient.given_name} {patient.family_name}"

    def _start(self, cells: Mapping[str, str], location: Any) -> tuple[datetime | None, list[str]]:
        value = cells.get("start", "")
        if not value:
            return None, ["Start: please fill this in."]
        moment = read_moment(value)
        if moment is None or not 2000 <= moment.year < 2200:
            return None, [f"“{value[:40]}” is not a time. Write it as 2026-12-31 09:00."]
        if moment.tzinfo is not None:
            return moment.astimezone(UTC), []
        zones = {location.time_zone} if location else {one.time_zone for one in self._locations.values()}
        if len(zones) != 1:
            return None, ["Say at which location: their clocks differ."]
        (zone,) = zones
        if not clock.exists(moment, zone):
            return None, [f"The clocks in {zone} skip {moment:%H:%M} on that day."]
        return clock.to_instant(moment, zone), []

    def _fitting(self, fields: Mapping[str, Any]) -> tuple[Any, Any]:
        """The stretches that the visit takes. Raises what booking it would raise, as far as can be seen."""
        start = datetime.fromisoformat(fields["start"])
        found = availability.facts(
            UUID(fields["service_id"]),
            practitioner_id=UUID(fields["practitioner_id"]),
            start=start,
            location_id=_uuid(fields["location_id"]),
        )
        rules.check(found, start=start, actor=self._actor, patient_id=UUID(fields["patient_id"]))
        return found.during, found.occupied


def apply(fields: Mapping[str, Any], *, options: Mapping[str, Any], actor: Actor) -> tuple[UUID, str]:
    """Book the visit; or say that it is there, when it was booked since the check. Raises what booking raises."""
    if there := _booked_already(fields):
        return there, "This visit is booked already by now."
    booked = booking.book_appointment(
        service_id=UUID(fields["service_id"]),
        practitioner_id=UUID(fields["practitioner_id"]),
        start=datetime.fromisoformat(fields["start"]),
        location_id=_uuid(fields["location_id"]),
        patient_id=UUID(fields["patient_id"]),
        reason=fields["reason"],
        letter=bool(options.get("letters")),
        actor=actor,
    )
    return booked.id, ""


def _person(cells: Mapping[str, str]) -> dict[str, Any]:
    return {
        "mrn": cells.get("patient_mrn"),
        "email": cells.get("patient_email"),
        "given_name": cells.get("given_name"),
        "family_name": cells.get("family_name"),
        "birth_date": read_date(cells.get("birth_date", "")),
    }


def _patient(cells: Mapping[str, str], known: Mapping[str, list[Known]]) -> tuple[Known | None, list[str]]:
    """The one patient whom everything that the row says about them fits; or what is wrong."""
    born = cells.get("birth_date", "")
    if born and read_date(born) is None:
        return None, [f"“{born[:30]}” is not a date. Write it as 1980-12-31."]
    keys = list(duplicates.keys(_person(cells)))
    if not keys:
        return None, ["Say which patient: patient_mrn, or patient_email, or given_name, family_name and birth_date."]
    fitting = [one for one in known.get(keys[0], []) if set(keys) <= one.keys]
    if len(fitting) == 1:
        return fitting[0], []
    if fitting:
        return None, [f"{len(fitting)} patients have this {duplicates.what(keys[0])}. Add more about them."]
    return None, [f"There is no patient with this {' and '.join(map(duplicates.what, keys))}. Import patients first."]


def _booked_already(fields: Mapping[str, Any]) -> UUID | None:
    return db.session.scalar(
        select(Appointment.id).where(
            Appointment.patient_id == UUID(fields["patient_id"]),
            Appointment.service_id == UUID(fields["service_id"]),
            Appointment.practitioner_id == UUID(fields["practitioner_id"]),
            Appointment.status.in_(THERE),
            Appointment.during.contains(datetime.fromisoformat(fields["start"])),
        )
    )


def _key(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(fields[name] for name in ("patient_id", "service_id", "practitioner_id", "start"))


def _stretches(fields: Mapping[str, Any]) -> Iterator[tuple[str, datetime, datetime]]:
    for whose, id_, stretch in (("practitioner", "practitioner_id", "occupied"), ("patient", "patient_id", "during")):
        lower, upper = (datetime.fromisoformat(bound) for bound in fields[stretch])
        yield f"{whose} {fields[id_]}", lower, upper


def _as_text(stretch: Any) -> list[str]:
    return [availability.as_instant(stretch.lower), availability.as_instant(stretch.upper)]


def _uuid(value: str | None) -> UUID | None:
    return UUID(value) if value else None
