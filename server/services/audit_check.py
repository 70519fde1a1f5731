"""Whether the audit is as it was sealed: the first event that was changed, added or removed, by name."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text

from server.extensions import db
from server.models import AuditArchive
from server.services import audit_files, sealing
from server.services.audit_files import Event
from server.services.sealing import CANONICAL, ID, NO_HEAD, PRINT, Seal, print_of
from server.services.transaction import atomic

_SEALED = text(f"""
    SELECT id, xid, {CANONICAL} AS canonical FROM audit_events WHERE xid < :up_to ORDER BY xid, id
""")  # noqa: S608 - joins its own constant; every value is a bound parameter
_UNSEALED = text("SELECT count(*) FROM audit_events WHERE xid >= :up_to")
_ABOUT = text("SELECT created_at, action FROM audit_events WHERE id = :id")
STEP = ID + PRINT


@dataclass(frozen=True)
class Verdict:
    """`wrong`: a sentence about the first thing that is not as it was sealed; None when all is well."""

    wrong: str | None
    events: int = 0
    seals: int = 0
    unsealed: int = 0


def verify(
    ledger: Iterable[Seal] = (),
    *,
    trusted: frozenset[bytes],
    archive: Path | None = None,
) -> Verdict:
    """Compare every sealed event with its print. `ledger`: the seals from outside; `trusted`: public keys.

    With an `archive` the events of that file are compared, instead of those in the database.
    """
    with atomic():
        # One long statement that sorts everything, and not a request that somebody waits for.
        db.session.execute(text("SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = 0"))
        seals, wrong = _chained(ledger, trusted)  # before the events, so that none of its seals is newer than them
        gone = archived_up_to(trusted)
        if archive is None:
            events, first = _compare(seals, gone, _in_the_table(seals))
        else:
            covered, rows = audit_files.read(archive)
            events, first = _compare(seals[: covered[1]], covered[0] - 1, rows)
        if wrong or first:
            return Verdict(" ".join(filter(None, (wrong, first))), events, len(seals))
        up_to = seals[-1].up_to if seals else 0
        unsealed = int(db.session.scalar(_UNSEALED, {"up_to": up_to}) or 0)
        return Verdict(None, events, len(seals), unsealed)


def _chained(ledger: Iterable[Seal], trusted: frozenset[bytes]) -> tuple[list[Seal], str | None]:
    """The seals that can be believed, and what is wrong with the next one.

    Those of the ledger, then those of the database that it does not have yet; each signed, none left out.
    """
    outside, wrong = _readable(ledger)
    inside = sealing.read_seals()
    believed: list[Seal] = []
    head, start = NO_HEAD, 0
    for no, seal in enumerate(chain(outside, inside[len(outside) :]), 1):
        where = "ledger" if no <= len(outside) else "database"
        if seal.no != no:
            return believed, f"The {where} has seal {seal.no} where seal {no} belongs."
        if not seal.follows(head) or seal.up_to <= start:
            return believed, f"Seal {no} of the {where} does not follow from the one before it."
        if not seal.is_signed_by(trusted):
            return believed, f"Seal {no} of the {where} is not signed by a key that is trusted."
        head, start = seal.head, seal.up_to
        believed.append(seal)
    for mine, theirs in zip_longest(inside[: len(outside)], outside):
        if wrong is None and mine != theirs:
            what = "is gone from the database" if mine is None else "in the database is not the one that the ledger has"
            wrong = f"Seal {theirs.no} {what}."
    return believed, wrong


def _readable(ledger: Iterable[Seal]) -> tuple[list[Seal], str | None]:
    """The seals of a ledger up to the first that cannot be read, and what is wrong with that."""
    found: list[Seal] = []
    try:
        found.extend(ledger)
    except ValueError as error:
        return found, f"The ledger: {error}"
    return found, None


def archived_up_to(trusted: frozenset[bytes]) -> int:
    """The last seal whose events somebody with a trusted key moved into a file; 0: none."""
    archives = db.session.scalars(select(AuditArchive).order_by(AuditArchive.seal_no))
    return max((each.seal_no for each in archives if audit_files.is_signed(each, trusted)), default=0)


def _in_the_table(seals: list[Seal]) -> Iterator[Event]:
    if not seals:
        return
    result = db.session.execute(_SEALED, {"up_to": seals[-1].up_to}, execution_options={"yield_per": 5000})
    with closing(result):
        yield from (Event(row.id, row.xid, row.canonical) for row in result)


def _compare(seals: list[Seal], gone: int, events: Iterator[Event]) -> tuple[int, str | None]:
    """How many events are as they were sealed, and what is wrong with the first that is not.

    `gone`: so many of the first seals have no events here any more.
    """
    with closing(events):  # type: ignore[type-var]
        read, event = 0, next(events, None)
        for seal in seals[gone:]:
            found: list[tuple[UUID, bytes]] = []
            while event is not None and event.xid < seal.up_to:
                found.append((event.id, print_of(event.canonical)))
                event = next(events, None)
            if b"".join(event_id.bytes + print_ for event_id, print_ in found) != seal.prints:
                return read, _difference(seal, found)
            read += len(found)
        if event is not None:
            return read, f"Event {_named(event.id)} was added to what is archived."
    return read, None


def _entries(seal: Seal) -> dict[UUID, bytes]:
    """Event id -> print, in order."""
    prints = seal.prints
    return {UUID(bytes=prints[at : at + ID]): prints[at + ID : at + STEP] for at in range(0, len(prints), STEP)}


def _difference(seal: Seal, found: list[tuple[UUID, bytes]]) -> str:
    """The first event of a seal that is not as it was, and in what way.

    Its place need not be looked at: the number of its transaction is part of its print.
    """
    sealed, there = _entries(seal), dict(found)
    wrong = [
        (place, event_id, "was added, or put into another place," if event_id not in sealed else "was changed")
        for place, (event_id, print_) in enumerate(found)
        if sealed.get(event_id) != print_
    ]
    wrong += [(place, event_id, "is missing") for place, event_id in enumerate(sealed) if event_id not in there]
    _, event_id, what = min(wrong, default=(0, UUID(int=0), "is there twice"))
    return f"Event {_named(event_id)} {what} since seal {seal.no} was made."


def _named(event_id: UUID) -> str:
    row = db.session.execute(_ABOUT, {"id": event_id}).first()
    return str(event_id) if row is None else f"{event_id} ({row.action}, {row.created_at:%Y-%m-%d %H:%M:%S %Z})"
