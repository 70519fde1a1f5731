"""K3, K4: what is on record can be neither changed nor lost without being noticed, and the server cannot even try."""

import gzip
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.errors import Conflict
from server.extensions import db
from server.jobs.schema import grants_for
from server.models import AuditSeal
from server.services import audit, audit_archive, audit_check, audit_ledger, sealing
from server.services.access import SYSTEM, Actor
from server.services.sealing import NO_HEAD, Seal, head_of
from server.services.transaction import atomic
from server.settings import Settings
from server.utils import clock
from server.utils.signing import derive_key, public_half
from server.utils.tokens import new_id

pytestmark = pytest.mark.real_commits

KEY = derive_key("a clinic's secret", purpose="frontdesk audit")
TRUSTED = frozenset({public_half(KEY)})
ANA, DANA = new_id(), new_id()


class Undo(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """A transaction that is taken back."""
    with suppress(Undo), atomic():
        yield
        raise Undo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def sealed(context: None, folder: Path) -> list[UUID]:
    """Two hundred events under several seals, in the database and in the ledger: their ids, in order."""
    for _ in range(5):
        record(40)
        sealing.seal_due(KEY)
    audit_ledger.export(folder)
    return [row for (row,) in db.session.execute(text("SELECT id FROM audit_events ORDER BY xid, id"))]


def record(events: int) -> None:
    """Events of two transactions."""
    dana = Actor(user_id=DANA, roles=frozenset({"front-desk"}), ip="203.0.113.9", request_id="a-request-1")
    for _ in range(2):
        with atomic():
            for _ in range(events // 2):
                audit.record("appointment.read", actor=dana, object_type="Appointment", patient_id=ANA)


def verdict(folder: Path) -> audit_check.Verdict:
    return audit_check.verify(audit_ledger.read(folder), trusted=TRUSTED)


def as_superuser(statement: str, **values: object) -> None:
    db.session.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger keeps a superuser
    assert db.session.execute(text(statement), values).rowcount  # type: ignore[attr-defined]


def found_after(tamper: Callable[[], object], folder: Path) -> str | None:
    """What verifying says after a tampering, which is taken back."""
    with undone():
        tamper()
        said = verdict(folder).wrong
    return said


def test_K3_what_nobody_touched_is_as_it_was_sealed(sealed: list[UUID], folder: Path) -> None:
    record(2)
    found = verdict(folder)
    assert (found.wrong, found.events, found.seals, found.unsealed) == (None, 200, 5, 2)
    assert sealing.seal_due(KEY) == 2
    assert sealing.seal_due(KEY) == 0, "nothing is sealed twice"
    assert verdict(folder).seals == 6, "one that the ledger does not have yet counts as well"
    assert audit_ledger.export(folder) == 1
    assert audit_ledger.export(folder) == 0
    assert verdict(folder).seals == 6


def tampering(dice: random.Random, sealed: list[UUID], folder: Path) -> tuple[str, set[UUID], Callable[[], None]]:
    """A kind of tampering, the rows of which one must be named, and the deed."""
    at = dice.randrange(len(sealed) - 1)
    victim, other = sealed[at], sealed[dice.randrange(at + 1, len(sealed))]
    kind = dice.choice(("edit", "delete", "insert", "swap", "move", "cut", "cut with seals", "rebuild"))
    columns = ("action", "outcome", "role", "object_type", "ip", "request_id")
    made_up = new_id()

    def edit() -> None:
        column = dice.choice((*columns, "user_id", "patient_id", "object_id", "created_at"))
        value = {"created_at": "created_at + interval '1 microsecond'"}.get(
            column, "gen_random_uuid()" if column.endswith("_id") and column != "request_id" else f"{column} || 'x'"
        )
        as_superuser(f"UPDATE audit_events SET {column} = {value} WHERE id = :id", id=victim)

    def insert() -> None:
        as_superuser(
            "INSERT INTO audit_events (id, action, xid, created_at) SELECT :new, action, xid, created_at "
            "FROM audit_events WHERE id = :id",
            new=made_up,
            id=victim,
        )

    def swap() -> None:
        # Each row takes the other's place: the times and numbers stay, what happened at them changes.
        as_superuser(
            "UPDATE audit_events e SET xid = o.xid, created_at = o.created_at + interval '1 microsecond' "
            "FROM audit_events o WHERE (e.id, o.id) IN ((:a, :b), (:b, :a))",
            a=victim,
            b=other,
        )

    def cut() -> None:
        as_superuser("DELETE FROM audit_events WHERE id = ANY(:ids)", ids=sealed[at:])

    def cut_with_seals() -> None:
        cut()
        as_superuser("DELETE FROM audit_seals WHERE no > :no", no=at // 40)

    def rebuild() -> None:
        """Somebody with every right in the database, and a key of their own, makes a new chain after an edit."""
        as_superuser("UPDATE audit_events SET action = 'nothing.happened' WHERE id = :id", id=victim)
        as_superuser("DELETE FROM audit_seals")
        theirs, before, start = derive_key("somebody else", purpose="frontdesk audit"), NO_HEAD, 0
        for seal in audit_ledger.read(folder):
            prints = sealing._prints(start, seal.up_to)
            head = head_of(before, no=seal.no, sealed_at=seal.sealed_at, up_to=seal.up_to, prints=prints)
            forged = replace(
                seal, prints=prints, head=head, public_key=public_half(theirs), signature=theirs.sign(head)
            )
            db.session.add(AuditSeal(**vars(forged)))
            before, start = head, seal.up_to
        db.session.flush()

    deeds: dict[str, tuple[set[UUID], Callable[[], None]]] = {
        "edit": ({victim}, edit),
        "delete": ({victim}, lambda: as_superuser("DELETE FROM audit_events WHERE id = :id", id=victim)),
        "insert": ({made_up}, insert),
        "swap": ({victim, other}, swap),
        "move": (
            {victim},
            lambda: as_superuser("UPDATE audit_events SET xid = xid - 1000000 WHERE id = :id", id=victim),
        ),
        "cut": ({victim}, cut),
        "cut with seals": ({victim}, cut_with_seals),
        "rebuild": ({victim}, rebuild),
    }
    return kind, *deeds[kind]


@pytest.mark.parametrize("times", [80, pytest.param(1000, marks=pytest.mark.nightly)])
def test_K3_every_tampering_is_found_and_its_first_row_named(sealed: list[UUID], folder: Path, times: int) -> None:
    dice, kinds = random.Random(16), set()
    for _ in range(times):
        kind, rows, deed = tampering(dice, sealed, folder)
        said = found_after(deed, folder)
        assert said is not None, f"{kind} was not noticed"
        assert any(str(row) in said for row in rows), f"{kind} of {rows}: {said}"
        kinds.add(kind)
    assert len(kinds) == 8
    assert verdict(folder).wrong is None, "each was taken back"


def test_K3_without_the_ledger_a_new_chain_would_pass_for_the_old_one(sealed: list[UUID], folder: Path) -> None:
    """The control: the outside heads are the point. With the key, too, the chain in the database is as good as true."""

    def cut_the_tail() -> None:
        as_superuser("DELETE FROM audit_events WHERE id = ANY(:ids)", ids=sealed[160:])
        as_superuser("DELETE FROM audit_seals WHERE no = 5")

    with undone():
        cut_the_tail()
        assert audit_check.verify(trusted=TRUSTED).wrong is None
        assert verdict(folder).wrong is not None


def test_K3_a_ledger_that_somebody_wrote_in_is_not_believed(sealed: list[UUID], folder: Path) -> None:
    (path,) = folder.glob("*.jsonl")
    lines = path.read_text().splitlines()
    for wrong in (lines[1:], lines[:2] + lines[3:], [lines[1], lines[0], *lines[2:]]):
        path.write_text("\n".join(wrong) + "\n")
        assert verdict(folder).wrong is not None
    forged = replace(audit_ledger.from_line(lines[4]), signature=bytes(64))
    path.write_text("\n".join([*lines[:4], audit_ledger.as_line(forged)]) + "\n")
    assert "not signed" in (verdict(folder).wrong or "")
    path.write_text("\n".join([*lines[:4], lines[4][:90]]))
    assert "Line 5" in (verdict(folder).wrong or "")
    assert audit_ledger.export(folder) == 1, "a line that a power failure cut off is written again"
    assert verdict(folder).wrong is None


def test_K3_a_transaction_that_commits_late_is_sealed_and_not_passed_over(context: None, folder: Path) -> None:
    with db.engine.connect() as late:
        begun = late.begin()
        late.execute(text("INSERT INTO audit_events (id, action) VALUES (gen_random_uuid(), 'late.event')"))
        record(4)
        assert sealing.seal_due(KEY) == 0, "what began later waits for what began earlier"
        begun.commit()
    assert sealing.seal_due(KEY) == 5
    assert verdict(folder).wrong is None
    # The control: by the time of its making alone the late one would have been passed over.
    by_time = text("SELECT action FROM audit_events ORDER BY created_at LIMIT 1")
    assert db.session.scalar(by_time) == "late.event"


def test_K3_batches_end_between_transactions(context: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 7)
    record(8)  # two of four
    record(20)  # two of ten: each more than a batch
    assert sealing.seal_due(KEY) == 28
    assert [seal.events for seal in sealing.read_seals()] == [4, 4, 10, 10]
    assert verdict(folder).wrong is None


def test_K3_after_a_restore_the_numbers_go_on(sealed: list[UUID], folder: Path) -> None:
    """In another cluster transactions are counted from the beginning; as if a million had been elsewhere."""

    def elsewhere() -> None:
        as_superuser("UPDATE audit_seals SET up_to = up_to + 1000000000 WHERE no = 5")

    with undone():
        elsewhere()
        with pytest.raises(sealing.CountedAnew, match="migrate"):
            sealing.seal_due(KEY)
        assert sealing.keep_counting()
        assert not sealing.keep_counting()
        newest = db.session.scalar(text("SELECT max(up_to) FROM audit_seals"))
        audit.record("account.signed-in", actor=SYSTEM)
        assert db.session.scalar(text("SELECT max(xid) FROM audit_events")) > newest


def test_K3_a_ledger_that_is_ahead_of_the_database_is_not_written_over(sealed: list[UUID], folder: Path) -> None:
    before = [path.read_bytes() for path in folder.glob("*.jsonl")]
    with undone():
        as_superuser("DELETE FROM audit_seals WHERE no = 5")
        with pytest.raises(audit_ledger.LedgerIsAhead):
            audit_ledger.export(folder)
    assert [path.read_bytes() for path in folder.glob("*.jsonl")] == before


def test_K3_the_ledger_tells_nothing_of_anybody(sealed: list[UUID], folder: Path) -> None:
    (path,) = folder.glob("*.jsonl")
    seals: list[Seal] = list(audit_ledger.read(folder))
    everything = path.read_bytes() + b"".join(seal.prints for seal in seals)
    for told in (str(ANA), str(DANA), "203.0.113.9", "appointment"):
        assert told.encode() not in everything
    assert ANA.bytes not in everything


def test_K3_the_command_says_so_and_its_exit_status_too(
    sealed: list[UUID], folder: Path, tmp_path: Path, settings: Settings
) -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "audit.pem").write_bytes(pem)
    env = {
        **os.environ,
        **{
            name: getattr(settings, name.lower())
            for name in ("SECRET_KEY", "JWT_SECRET_KEY", "DATABASE_URL", "REDIS_URL")
        },
        "AUDIT_KEY_FILE": str(tmp_path / "audit.pem"),
        "AUDIT_FOLDER": str(folder),
    }

    def verify(*more: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "server", "audit", "verify", *more]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    code, said = verify()
    assert (code, said.splitlines()[0]) == (0, "ok    200 events are as they were sealed. There are 5 seals.")
    code, said = verify("--public-key", "ab" * 32)
    assert (code, "not signed by a key that is trusted" in said) == (1, True)
    with db.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE audit_events SET ip = '198.51.100.1' WHERE id = :id"), {"id": sealed[77]})
    code, said = verify()
    assert (code, said.startswith(f"WRONG Event {sealed[77]} (appointment.read")) == (1, True)


@pytest.mark.parametrize("table", ["audit_events", "audit_seals", "audit_archives"])
@pytest.mark.parametrize("deed", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_K4_the_database_refuses_to_change_what_is_on_record(sealed: list[UUID], table: str, deed: str) -> None:
    """Also for the owner of the tables, and a superuser, who would have to say so."""
    column = {"audit_events": "id = id", "audit_seals": "no = no", "audit_archives": "seal_no = seal_no"}[table]
    statement = deed.format(table, column)
    with pytest.raises(DBAPIError, match="only ever added"), atomic():
        db.session.execute(text(statement))
    with undone():  # the control: the trigger it is
        db.session.execute(text("SET LOCAL session_replication_role = replica"))
        db.session.execute(text(statement))


def test_K4_the_servers_own_role_may_add_and_read_and_nothing_else(sealed: list[UUID]) -> None:
    """With the rights that `frontdesk audit grants` prints."""
    role = f"frontdesk_app_{random.Random().randrange(10**9)}"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role}")
        try:
            connection.connection.cursor().execute(grants_for(role).encode())
            connection.exec_driver_sql(f"SET ROLE {role}")
            connection.exec_driver_sql("SET frontdesk.archived = 'yes'")  # helps the owner, and nobody else
            connection.exec_driver_sql("INSERT INTO audit_events (id, action) VALUES (gen_random_uuid(), 'x')")
            connection.exec_driver_sql("UPDATE clinic_settings SET version = version")
            assert connection.exec_driver_sql("SELECT count(*) FROM audit_events").scalar() == 201
            for statement in (
                "UPDATE audit_events SET action = 'y'",
                "DELETE FROM audit_events",
                "TRUNCATE audit_events",
                "DELETE FROM audit_seals",
                "UPDATE audit_seals SET no = no",
                "ALTER TABLE audit_events DISABLE TRIGGER ALL",
                "DROP TRIGGER audit_events_are_kept ON audit_events",
                "SET session_replication_role = replica",
                "DROP FUNCTION audit_is_kept() CASCADE",
                "CREATE OR REPLACE FUNCTION audit_xid(xid8) RETURNS bigint LANGUAGE sql RETURN 0",
                "CREATE TABLE mine (id int)",
                "DROP TABLE appointments",
            ):
                with pytest.raises(DBAPIError) as refused:
                    connection.exec_driver_sql(statement)
                assert getattr(refused.value.orig, "sqlstate", "") == "42501", statement
        finally:
            connection.exec_driver_sql("RESET ROLE")
            connection.exec_driver_sql("RESET frontdesk.archived")
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
            connection.exec_driver_sql("DROP TABLE IF EXISTS apscheduler_jobs")


def test_K3_what_is_archived_is_gone_from_the_table_and_verified_in_its_file(
    sealed: list[UUID], folder: Path, tmp_path: Path
) -> None:
    file, third = tmp_path / "old.jsonl.gz", sealing.read_seals()[2]
    moved = audit_archive.archive(file, before=third.sealed_at, key=KEY, ledger=audit_ledger.read(folder))
    assert moved == 80
    kept = [row for (row,) in db.session.execute(text("SELECT id FROM audit_events ORDER BY xid, id"))]
    assert kept[:-1] == sealed[80:], "and one event that says so"
    found = verdict(folder)
    assert (found.wrong, found.events, found.unsealed) == (None, 120, 1)
    of_file = audit_check.verify(audit_ledger.read(folder), trusted=TRUSTED, archive=file)
    assert (of_file.wrong, of_file.events) == (None, 80)
    with pytest.raises(Conflict, match="archived already"):
        audit_archive.archive(tmp_path / "again.gz", before=third.sealed_at, key=KEY)
    # Deleting more than what somebody signed for, or signing with another key, is found.
    assert str(sealed[80]) in (found_after(delete(sealed[80]), folder) or "")
    assert str(sealed[0]) in (found_after(forge_archive, folder) or "")
    assert "added" in (found_after(lambda: put_back(sealed[0]), folder) or "")
    # A file that somebody changed is not as it was sealed.
    lines = gzip.decompress(file.read_bytes()).replace(b"front-desk", b"front-door", 1)
    file.write_bytes(gzip.compress(lines))
    said = audit_check.verify(audit_ledger.read(folder), trusted=TRUSTED, archive=file).wrong
    assert said is not None
    assert str(sealed[0]) in said


def test_K3_nothing_is_archived_while_something_is_wrong(sealed: list[UUID], folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl.gz"
    with undone():
        delete(sealed[3])()
        with pytest.raises(Conflict, match=str(sealed[3])):
            audit_archive.archive(file, before=clock.now() + timedelta(days=1), key=KEY)
    assert not file.exists()


def delete(event_id: UUID) -> Callable[[], None]:
    return lambda: as_superuser("DELETE FROM audit_events WHERE id = :id", id=event_id)


def forge_archive() -> None:
    """The signature of the clinic's key under another statement."""
    as_superuser("UPDATE audit_archives SET events = events + 1")


def put_back(event_id: UUID) -> None:
    as_superuser("INSERT INTO audit_events (id, action, xid) VALUES (:id, 'appointment.read', 5)", id=event_id)
