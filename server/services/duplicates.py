"""Who may be the same person: by name and birth date, e-mail address, phone number or record number."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, union

from server.extensions import db
from server.models import SAME_PHONE, Patient

SHORTEST_PHONE = 7  # digits; fewer are an extension, and many have the same
WORDS = {
    "mrn": "record number",
    "name": "name and date of birth",
    "email": "e-mail address",
    "phone": "phone number",
}


@dataclass(frozen=True)
class Known:
    """Somebody who is a patient already."""

    id: UUID
    given_name: str
    family_name: str
    birth_date: date
    keys: frozenset[str]

    @property
    def label(self) -> str:
        return f"{self.given_name} {self.family_name}, born {self.birth_date:%Y-%m-%d}"


def keys(person: Mapping[str, Any]) -> Iterator[str]:
    """By what a person {given_name, family_name, birth_date, email, phone, mrn} is recognised, surest first.

    The parts of the name count in any order, without case and accents.
    """
    if mrn := person.get("mrn"):
        yield f"mrn {mrn}"
    if (born := person.get("birth_date")) and (words := _words(person)):
        yield f"name {words} {born}"
    if email := person.get("email"):
        yield f"email {str(email).lower()}"
    digits = re.sub("[^0-9]", "", person.get("phone") or "")
    if len(digits) >= SHORTEST_PHONE:
        yield f"phone {digits[-9:]}"


def what(key: str) -> str:
    """In what two people are alike, in words."""
    return WORDS[key.partition(" ")[0]]


def find(people: Iterable[Mapping[str, Any]]) -> dict[str, list[Known]]:
    """For each key of these people those who are patients already, asked at once."""
    wanted: dict[str, set[Any]] = {"mrn": set(), "email": set(), "phone": set(), "born": set()}
    for person in people:
        for key in keys(person):
            kind, _, value = key.partition(" ")
            if kind == "name":
                wanted["born"].add(person["birth_date"])
            else:
                wanted[kind].add(value)
    conditions: tuple[Any, ...] = (
        Patient.mrn.in_(wanted["mrn"]),
        text("lower(email) = ANY(:emails)").bindparams(emails=list(wanted["email"])),
        text(f"{SAME_PHONE} = ANY(:phones)").bindparams(phones=list(wanted["phone"])),
        Patient.birth_date.in_(wanted["born"]),
    )
    asked = zip(("mrn", "email", "phone", "born"), conditions, strict=True)
    queries = [select(Patient.id).where(condition) for kind, condition in asked if wanted[kind]]
    if not queries:
        return {}
    rows = db.session.execute(
        select(
            Patient.id,
            Patient.given_name,
            Patient.family_name,
            Patient.birth_date,
            Patient.email,
            Patient.phone,
            Patient.mrn,
        )
        .where(Patient.id.in_(union(*queries)))
        .order_by(Patient.id)
    )
    found: dict[str, list[Known]] = {}
    for row in rows:
        own = frozenset(keys(row._asdict()))
        known = Known(row.id, row.given_name, row.family_name, row.birth_date, own)
        for key in own:
            found.setdefault(key, []).append(known)
    return found


def _words(person: Mapping[str, Any]) -> str:
    name = f"{person.get('given_name') or ''} {person.get('family_name') or ''}"
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return " ".join(sorted(re.findall(r"\w+", plain)))
