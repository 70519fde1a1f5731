"""The trial's PostgreSQL comes back whatever its last end was like."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from server.trial.postgres import Postgres
from server.trial.servers import ServerError, Valkey

pytestmark = pytest.mark.processes
KILLS_AND_FORGETS = """
import os, pathlib, sys, time
from server.trial.postgres import Postgres
postgres = Postgres(pathlib.Path(sys.argv[1]))
postgres.start()
os.kill(postgres.pid, 9)
print(postgres.pid, flush=True)
time.sleep(600)  # and does not reap it
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trial") / "postgresql"


@pytest.fixture
def postgres(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder)
    yield server
    server.stop()


def answers(server: Postgres) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT true").fetchone() == (True,)


def test_it_starts_again_after_kill_9_while_somebody_works(postgres: Postgres) -> None:
    postgres.start()
    with psycopg.connect(postgres.url) as busy:
        pid = busy.info.backend_pid
        assert postgres.pid
        os.kill(postgres.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(postgres.pid)], timeout=5)
        assert not postgres.is_alive()
        postgres.start()
        assert answers(postgres)
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        busy.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives it an account of its own")
def test_it_starts_again_when_the_way_to_its_folder_was_closed(postgres: Postgres, folder: Path) -> None:
    postgres.stop()
    folder.parent.chmod(0o700)
    postgres.start()
    assert postgres.is_alive()


def test_it_starts_over_a_zombie(postgres: Postgres, folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLS_AND_FORGETS, str(folder)], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            assert parent.stdout
            dead = psutil.Process(int(parent.stdout.readline()))
            deadline = time.monotonic() + 10
            while dead.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            postgres.start()
            assert answers(postgres)
        finally:
            parent.kill()


def test_it_starts_when_its_old_number_is_somebody_else_now(postgres: Postgres, folder: Path) -> None:
    postgres.start()
    postgres.stop()
    (folder / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n1\n5432\n\n\n\n")
    postgres.start()
    assert answers(postgres)


def test_a_folder_of_another_version_is_named_and_left_alone(postgres: Postgres, folder: Path) -> None:
    version = (folder / "PG_VERSION").read_text()
    (folder / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match="version 9, which is not compatible"):
        postgres.start()
    (folder / "PG_VERSION").write_text(version)
    postgres.start()
    assert answers(postgres)


def test_valkey_keeps_what_it_was_given(tmp_path: Path) -> None:
    import redis

    first = Valkey(tmp_path / "valkey")
    first.start()
    with redis.Redis.from_url(first.url) as client:
        client.set("session", "kept")
    first.stop()
    second = Valkey(tmp_path / "valkey")
    second.start()
    try:
        with redis.Redis.from_url(second.url) as client:
            assert client.get("session") == b"kept"
        port = int(second.url.rpartition(":")[2].partition("/")[0])
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        second.stop()
