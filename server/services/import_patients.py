"""Patients from a file: who is new, who is there already, and what is wrong."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from server.errors import Invalid
from server.services import duplicates, people
from server.services.access import Actor
from server.services.duplicates import Known
from server.services.import_rows import BEYOND, Checked, read_date
from server.utils.text import clean_line

# Our name of each column, and what else it is called in files of other systems.
COLUMNS: Mapping[str, Sequence[str]] = {
    "given_name": ("first name", "forename", "given names"),
    "family_name": ("last name", "surname"),
    "birth_date": ("date of birth", "birthdate", "birthday", "dob", "born"),
    "email": ("e-mail", "mail", "e-mail address", "email address"),
    "phone": ("telephone", "mobile", "phone number", "mobile phone", "cell phone"),
    "mrn": ("record number", "medical record number", "patient number", "patient id"),
}
NEEDED = ("given_name", "family_name", "birth_date")


class Checker:
    """Checks the rows of one file in their order; a row is compared with those before it."""

    def __init__(self, *, actor: Actor) -> None:
        self._seen: dict[str, int] = {}  # key -> row

    def remember(self, number: int, fields: Mapping[str, Any]) -> None:
        """A row that was checked before, and is ready."""
        for key in duplicates.keys(fields):
            self._seen.setdefault(key, number)

    def check(self, rows: Sequence[tuple[int, dict[str, str]]]) -> list[Checked]:
        """What becomes of each row if it is imported; nothing is written."""
        read = [(number, _read(cells)) for number, cells in rows]
        known = duplicates.find([person for _, (person, _) in read])
        return [self._check(number, person, wrong, known) for number, (person, wrong) in read]

    def _check(self, number: int, person: dict[str, Any], wrong: str, known: Mapping[str, list[Known]]) -> Checked:
        label = f"{person['given_name']} {person['family_name']}".strip()
        if born := person["birth_date"]:
            label += f", born {born}"
        if wrong:
            return Checked(number=number, state="wrong", label=label, detail=wrong)
        for key in duplicates.keys(person):
            if same := known.get(key):
                detail = f"Already a patient: the same {duplicates.what(key)} as {same[0].label}."
                return Checked(number=number, state="skipped", label=label, detail=detail, object_id=same[0].id)
            if key in self._seen:
                detail = f"The same {duplicates.what(key)} as row {self._seen[key]} of this file."
                return Checked(number=number, state="skipped", label=label, detail=detail)
        self.remember(number, person)
        fields = {name: str(value) for name, value in person.items() if value}
        return Checked(number=number, state="ready", fields=fields, label=label)


def apply(fields: Mapping[str, Any], *, options: Mapping[str, Any], actor: Actor) -> tuple[UUID, str]:
    """Take the patient on; or say who it is, when they came by another way since the check. Raises Invalid."""
    person = {**fields, "birth_date": date.fromisoformat(fields["birth_date"])}
    known = duplicates.find([person])
    for key in duplicates.keys(person):
        if same := known.get(key):
            return same[0].id, f"Already a patient by now: the same {duplicates.what(key)} as {same[0].label}."
    created = people.create_patient(
        given_name=person["given_name"],
        family_name=person["family_name"],
        birth_date=person["birth_date"],
        email=person.get("email", ""),
        phone=person.get("phone", ""),
        mrn=person.get("mrn", ""),
        actor=actor,
    )
    return created.id, ""


def _read(cells: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The person as they would be kept, and what is wrong, in sentences."""
    raw = {name: clean_line(cells.get(name, "")) for name in COLUMNS}
    born = read_date(raw["birth_date"])
    person: dict[str, Any] = {**raw, "birth_date": born}
    try:
        people.checked_patient(**person)
    except Invalid as refused:
        errors: dict[str, list[str]] = dict(refused.extra["errors"])
    else:
        errors = {}
    if not raw["birth_date"]:
        errors["birth_date"] = ["Please fill this in."]
    elif born is None:
        errors["birth_date"] = [f"“{raw['birth_date'][:30]}” is not a date. Write it as 1980-12-31."]
    said = [f"{name.replace('_', ' ').capitalize()}: {line}" for name, lines in errors.items() for line in lines]
    return person, " ".join([*said, *([BEYOND] if "" in cells else [])])
