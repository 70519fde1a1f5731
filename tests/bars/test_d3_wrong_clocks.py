"""D3: a web server whose clock is wrong; what ends and what may begin is decided by the database's clock."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from tests.bars import ledger
from tests.bars.live_clinic import Clinic, Town, Visitor
from tests.running import start_live_server

LIBRARY = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
]


@contextlib.contextmanager
def wrong_town(new_database: Callable[[str], str], redis_url: str, folder: pathlib.Path, by: str) -> Iterator[Town]:
    """A town whose web server's clock is wrong `by` so much; PostgreSQL's is right."""
    fake = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    number = abs(hash(by)) % 10**6
    database = new_database(f"frontdesk_clocks_{number}")
    with start_live_server(database, redis_url.replace("/0", "/3"), folder, fill=False, workers=1, **fake) as server:
        town = Town(server)  # its builder signs tokens by the same wrong clock
        with contextlib.closing(town):
            yield town
        assert "Unexpected" not in server.log.read_text(errors="replace")


def now(connection: ledger.Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp() AS at").fetchone()
    assert row is not None
    return row["at"]


@pytest.mark.parametrize("by", ["+2h", "-2h", "-90s"])
def test_D3_a_hold_and_a_request_end_by_the_databases_clock(
    new_database: Callable[[str], str], redis_url: str, tmp_path: pathlib.Path, by: str
) -> None:
    with (
        wrong_town(new_database, redis_url, tmp_path, by) as town,
        town.clinic(patients=2) as clinic,
        clinic.connect() as connection,
    ):
        holder, other = clinic.patients()
        check_hold(clinic, connection, holder, other)
        check_notice(clinic, connection, holder)
        check_cutoff(clinic, connection, other)


def check_hold(clinic: Clinic, connection: ledger.Connection, holder: Visitor, other: Visitor) -> None:
    held = holder.post("/holds", clinic.slot(0))
    assert held.status == 201, str(held)
    left = datetime.fromisoformat(held.json["expires_at"]) - now(connection)
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)
    assert other.book(clinic.slot(0)).type == "slot-taken"
    connection.execute("UPDATE appointments SET hold_expires_at = clock_timestamp()")
    assert other.book(clinic.slot(0)).status == 201


def check_notice(clinic: Clinic, connection: ledger.Connection, patient: Visitor) -> None:
    """A day's notice: by the database's clock one start is an hour too early, the next one is not."""
    notice = clinic.mornings[0] - now(connection)
    minutes = int(notice.total_seconds() // 60) + 12 * 60  # eight in the evening of that day, half hour number 24
    connection.execute("UPDATE healthcare_services SET minimum_notice_minutes = %s", [minutes - 60])
    early, late = clinic.slot(20), clinic.slot(23)
    assert patient.book(early).type == "not-bookable"
    assert patient.book(late).status == 201
    connection.execute("UPDATE healthcare_services SET minimum_notice_minutes = 0")


def check_cutoff(clinic: Clinic, connection: ledger.Connection, patient: Visitor) -> None:
    """Until an hour before: a visit that starts in ninety minutes can be cancelled, one in thirty cannot."""
    connection.execute("UPDATE healthcare_services SET cancel_cutoff_minutes = 60")
    for minutes, status in ((90, 200), (30, 422)):
        booked = patient.book(clinic.slot(30 + minutes // 30))
        assert booked.status == 201, str(booked)
        connection.execute(
            "UPDATE appointments SET during = tstzrange(at, at + interval '10 minutes'),"
            " occupied = tstzrange(at, at + interval '10 minutes')"
            " FROM (SELECT clock_timestamp() + make_interval(mins => %s) AS at) AS soon WHERE id = %s",
            [minutes, booked.json["id"]],
        )
        answer = patient.post(f"/appointments/{booked.json['id']}/cancel")
        assert answer.status == status, str(answer)
