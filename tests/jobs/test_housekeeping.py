"""What is kept for a while only, and the rows of the timetable run by hand."""

import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError

from server.extensions import db
from server.jobs.timetable import BY_NAME, TIMETABLE
from server.models import Appointment, OutboxMessage, RefreshToken, TokenFamily
from server.services import booking, holds, tokens
from server.services.access import SYSTEM
from server.services.transaction import after_commit, atomic, retried
from tests.cast import Cast
from tests.running import FRONTDESK


def count(table: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def test_a_hold_is_freed_when_its_time_is_over_and_not_before(cast: Cast) -> None:
    for hour, person in ((9, cast.ana), (10, cast.bea)):
        holds.hold_time(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            minutes=5,
            actor=person.actor,
        )
    expire = (
        "UPDATE appointments SET hold_expires_at = clock_timestamp() - interval '1 ms' WHERE lower(during) = :start"
    )
    db.session.execute(text(expire), {"start": cast.at(9)})
    db.session.commit()
    assert [BY_NAME["free-expired-holds"].run() for _ in range(2)] == [1, 0]
    assert db.session.scalars(select(Appointment.during)).one().lower == cast.at(10)


def test_refresh_tokens_are_forgotten_a_month_after_they_expired(cast: Cast) -> None:
    for age in (29, 31):
        tokens.begin_family(cast.ana.user_id, secret=f"secret {age}", lifetime=timedelta(days=-age), actor=SYSTEM)
    assert [BY_NAME["forget-refresh-tokens"].run() for _ in range(2)] == [1, 0]
    assert count(RefreshToken) == 1


def test_sign_ins_are_forgotten_a_month_after_they_ended(cast: Cast) -> None:
    now = db.func.now()
    for days in (29, 31):
        ago = now - timedelta(days=days)
        db.session.add(TokenFamily(user_id=cast.ana.user_id, kind="browser", created_at=ago, expires_at=ago))
        db.session.add(TokenFamily(user_id=cast.ana.user_id, created_at=ago))
    kept = tokens.begin_family(cast.ana.user_id, secret="s", lifetime=timedelta(days=1), actor=SYSTEM)
    db.session.execute(update(TokenFamily).where(TokenFamily.id == kept).values(created_at=now - timedelta(days=90)))
    db.session.flush()
    assert [BY_NAME["forget-sign-ins"].run() for _ in range(2)] == [2, 0]
    assert count(TokenFamily) == 3


def test_a_booking_has_its_letter_sent_once_however_often_the_row_is_run(cast: Cast) -> None:
    booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
    )
    assert [BY_NAME["send-letters"].run() for _ in range(3)] == [1, 0, 0]
    assert db.session.scalars(select(OutboxMessage.outcome)).all() == ["sent"]


def test_a_callback_belongs_inside_a_block(context: None) -> None:
    with pytest.raises(RuntimeError, match="inside atomic"):
        after_commit(lambda: None)


def test_a_callback_runs_once_however_often_it_is_asked_for(context: None) -> None:
    seen: list[str] = []

    def note() -> None:
        seen.append("once")

    with atomic():
        after_commit(note)
        after_commit(note)
    assert seen == ["once"]


def test_what_rolled_back_leaves_no_callback_for_the_next_block(context: None) -> None:
    seen: list[str] = []

    def fail() -> None:
        with atomic():
            after_commit(lambda: seen.append("never"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with atomic():
        pass
    assert seen == []


class Victim(Exception):
    """As psycopg names it."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "inside", "tries"), [("40P01", False, 3), ("40P01", True, 1), ("23505", False, 1)]
)
def test_A3_only_a_victim_is_tried_again_and_only_by_whoever_opened_the_block(
    context: None, sqlstate: str, inside: bool, tries: int
) -> None:
    """The third try succeeds; inside of another block, and after any other error, there is none."""
    seen: list[int] = []

    @retried
    def command() -> str:
        seen.append(1)
        if len(seen) < 3:
            raise DBAPIError("UPDATE", {}, Victim(sqlstate))
        return "done"

    def run() -> str:
        if not inside:
            return command()
        with atomic():
            return command()

    if tries == 3:
        assert run() == "done"
    else:
        with pytest.raises(DBAPIError):
            run()
    assert len(seen) == tries


def test_names_in_the_timetable_are_commands_that_people_can_type() -> None:
    assert len(BY_NAME) == len(TIMETABLE)
    for job in TIMETABLE:
        assert job.name == job.name.lower().replace(" ", "-")
        assert job.what.endswith(".")
        assert job.every_seconds >= 5


@pytest.fixture(scope="module")
def migrated(new_database: Callable[[str], str], redis_url: str) -> dict[str, str]:
    """The environment of a fresh, migrated database."""
    env = {
        "PATH": "",
        "SECRET_KEY": "s" * 40,
        "JWT_SECRET_KEY": "j" * 40,
        "DATABASE_URL": new_database("frontdesk_jobs"),
        "REDIS_URL": redis_url,
        "MAIL_FOLDER": "unused",
    }
    assert frontdesk(env, "migrate")[0] == 0
    return env


def frontdesk(env: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = subprocess.run([*FRONTDESK, *arguments], env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_the_operator_runs_a_row_by_hand_and_is_told_of_an_old_database(migrated: dict[str, str]) -> None:
    assert frontdesk(migrated, "job", "free-expired-holds") == (0, "free-expired-holds: 0\n")
    code, listed = frontdesk(migrated, "job", "no-such-job")
    assert code == 2
    assert all(job.name in listed for job in TIMETABLE)
    with psycopg.connect(migrated["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    code, said = frontdesk(migrated, "doctor")
    assert code == 1
    assert re.search(r"WRONG The database is at revision 0000, \d{4}\w* is needed: run `frontdesk migrate`", said)


def test_the_doctor_says_which_server_is_away(migrated: dict[str, str]) -> None:
    away = {"REDIS_URL": "redis://127.0.0.1:1/0", "MAIL_FOLDER": "", "MAIL_SERVER": "127.0.0.1", "MAIL_PORT": "1"}
    code, said = frontdesk(migrated | away, "doctor")
    assert code == 1
    for sentence in (
        "Redis does not answer at REDIS_URL",
        "The mail server 127.0.0.1:1 refuses to be spoken to at this port",
        "Nobody answers",
    ):
        assert f"WRONG {sentence}" in said
    code, said = frontdesk(
        migrated | {"DATABASE_URL": migrated["DATABASE_URL"].replace("frontdesk_jobs", "none")}, "doctor"
    )
    assert code == 1
    assert "WRONG PostgreSQL does not answer at DATABASE_URL" in said
    assert '"none" does not exist' in said
