"""What happens by itself, by hand; and the one place that commits."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import redis
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from server.errors import Unavailable
from server.extensions import db
from server.jobs.timetable import TIMETABLE, Job
from server.models import IdempotencyKey, OutboxMessage, Patient
from server.services import booking, outbox
from server.services.transaction import ATTEMPTS, after_commit, atomic, retried
from server.settings import Settings, SettingsError, load
from tests.cast import Cast
from tests.conftest import SECRETS
from tests.factories import create_patient


@pytest.mark.parametrize("job", TIMETABLE, ids=lambda job: job.name)
def test_every_job_may_run_twice(cast: Cast, job: Job) -> None:
    assert job.run() == 0
    assert job.run() == 0


def test_answers_are_forgotten_after_two_days(cast: Cast) -> None:
    for key, age in (("old", "49 hours"), ("young", "47 hours")):
        db.session.add(
            IdempotencyKey(user_id=cast.ana.user_id, key=key, request_hash=b"", status=201, headers={}, body=b"")
        )
        db.session.flush()
        changed = text("UPDATE idempotency_keys SET created_at = now() - CAST(:age AS interval) WHERE key = :key")
        db.session.execute(changed, {"age": age, "key": key})
    job = next(job for job in TIMETABLE if job.name == "forget-idempotency-keys")
    assert job.run() == 1
    assert db.session.scalars(select(IdempotencyKey.key)).all() == ["young"]


def test_the_workers_are_told_once_however_many_letters_there_are(app: Flask, cast: Cast) -> None:
    client: redis.Redis = app.config["SESSION_REDIS"]
    client.delete("letters")
    for hour in (9, 10, 11):
        booking.book_appointment(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            actor=cast.ana.actor,
        )
    assert db.session.scalar(select(func.count()).select_from(OutboxMessage)) == 3
    assert client.llen("letters") == 1


def test_J1_the_broker_knows_nothing_about_ana(app: Flask, cast: Cast) -> None:
    client: redis.Redis = app.config["SESSION_REDIS"]
    visit = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        reason="a secret",
        actor=cast.ana.actor,
    )
    (task,) = client.lrange("letters", 0, -1)
    assert b"send-letters" in task or b"c2VuZC1sZXR0ZXJz" in task  # the body is base64
    for secret in (str(visit.id), str(cast.ana.patient_id), "ana@example.com", "Silva", "a secret"):
        assert secret.encode() not in task


def test_callbacks_wait_for_the_commit_and_never_run_after_a_rollback(cast: Cast) -> None:
    seen: list[str] = []
    with atomic():
        after_commit(lambda: seen.append("committed"))
        with atomic():
            after_commit(lambda: seen.append("inner joins"))
        assert seen == []
    assert seen == ["committed", "inner joins"]

    class Stop(Exception):
        pass

    def begin_and_stop() -> None:
        with atomic():
            after_commit(lambda: seen.append("never"))
            create_patient(family_name="Ghost")
            raise Stop

    with pytest.raises(Stop):
        begin_and_stop()
    assert "never" not in seen
    assert db.session.scalar(select(func.count()).where(Patient.family_name == "Ghost")) == 0


def test_a_failing_callback_does_not_undo_the_change(cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ConnectionError

    with atomic():
        create_patient(family_name="Kept")
        after_commit(fail)
    assert db.session.scalar(select(func.count()).where(Patient.family_name == "Kept")) == 1
    assert "callback after the commit failed" in caplog.text


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])
def test_A3_a_victim_is_tried_again_three_times_and_then_told_to_come_back(cast: Cast, state: str) -> None:
    class Victim(Exception):
        sqlstate = state

    tries: list[int] = []

    @retried
    def unlucky() -> None:
        tries.append(1)
        raise OperationalError("statement", {}, Victim())

    with pytest.raises(Unavailable) as refusal:
        unlucky()
    assert len(tries) == ATTEMPTS == 4
    assert (refusal.value.status, refusal.value.retry_after) == (503, 1)


def test_a_worker_that_died_leaves_a_lease_that_ends(cast: Cast) -> None:
    with atomic():
        outbox.post("account-exists", user_id=cast.ana.user_id)
    (leased,) = outbox._lease("email")
    assert outbox._lease("email") == [], "nobody else takes it meanwhile"
    db.session.execute(text("UPDATE outbox_messages SET leased_until = clock_timestamp() - interval '1 second'"))
    db.session.commit()
    assert outbox._lease("email") == [leased]


def doctor(env: dict[str, str]) -> tuple[int, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DATABASE", "REDIS", "MAIL"))}
    command = [sys.executable, "-m", "server", "doctor"]
    done = subprocess.run(command, env={**inherited, **env}, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_the_doctor_names_what_is_missing() -> None:
    code, said = doctor({"SECRET_KEY": "", "JWT_SECRET_KEY": "", "DATABASE_URL": "", "REDIS_URL": ""})
    assert code == 1
    assert all(f"{name} is not set." in said for name in ("SECRET_KEY", "JWT_SECRET_KEY", "DATABASE_URL", "REDIS_URL"))


def test_the_doctor_knows_an_empty_database_from_a_missing_one(
    new_database: Callable[[str], str], settings: Settings
) -> None:
    env = {key.upper(): value for key, value in SECRETS.items()} | {"REDIS_URL": settings.redis_url}
    code, said = doctor({**env, "DATABASE_URL": new_database("frontdesk_empty")})
    assert code == 1
    assert "run `frontdesk migrate`" in said
    code, said = doctor({**env, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"})
    assert code == 1
    assert "PostgreSQL does not answer" in said


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ({"secret_key": "short"}, "SECRET_KEY is too short"),
        ({"jwt_secret_key": SECRETS["secret_key"]}, "JWT_SECRET_KEY must differ"),
        ({"database_url": "sqlite:///x.db"}, "one database"),
        ({"cors_origins": ("*",)}, "* is not accepted"),
        ({"hold_minutes": 0}, "HOLD_MINUTES"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(over: dict, sentence: str) -> None:
    good = {**SECRETS, "database_url": "postgresql://x/y", "redis_url": "redis://x"}
    with pytest.raises(SettingsError, match=sentence.replace("*", r"\*")):
        load({}, **{**good, **over})


def test_a_secret_may_stay_in_a_file(tmp_path) -> None:
    (tmp_path / "key").write_text("k" * 40 + "\n")
    env = {
        "SECRET_KEY_FILE": str(tmp_path / "key"),
        "WEB_WORKERS": "3",
        "CORS_ORIGINS": "https://a.example, https://b.example",
    }
    loaded = load(env, jwt_secret_key="j" * 40, database_url="postgres://x/y", redis_url="redis://x")
    assert loaded.secret_key == "k" * 40
    assert loaded.web_workers == 3
    assert loaded.cors_origins == ("https://a.example", "https://b.example")
    assert loaded.sqlalchemy_url == "postgresql+psycopg://x/y"


def test_numbers_that_are_none_are_named() -> None:
    with pytest.raises(SettingsError, match="MAIL_PORT"):
        load({"MAIL_PORT": "twenty-five"}, **SECRETS, database_url="postgresql://x/y", redis_url="redis://x")
