"""B: a real clock and a real worker. Letters leave by themselves, whatever the broker forgets and whoever dies."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import redis

from tests.bars.live_clinic import Town, eventually
from tests.bars.processes import frontdesk, kill_all
from tests.running import start_live_server

pytestmark = pytest.mark.processes


@pytest.fixture
def quiet_town(new_database: Callable[[str], str], redis_url: str, tmp_path: pathlib.Path) -> Iterator[Town]:
    """One web process, so that there is room for the other roles."""
    url = redis_url.replace("/0", "/4")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    with start_live_server(new_database("frontdesk_quiet"), url, tmp_path, fill=False, workers=1) as server:
        server.env["LOG_LEVEL"] = "INFO"  # of what is started beside it
        with contextlib.closing(Town(server)) as town:
            yield town


def test_B_letters_leave_by_themselves_and_survive_the_broker_and_the_worker(quiet_town: Town) -> None:
    server = quiet_town.server
    folder = server.mail_folder

    def letters() -> int:
        return len(list(folder.glob("*.eml")))

    with quiet_town.clinic() as clinic, contextlib.ExitStack() as stack:
        patient = clinic.patients()[0]
        with frontdesk("worker", "--concurrency", "1", env=server.env, log=folder / "worker.log") as worker:
            assert patient.book(clinic.slot(0)).status == 201
            assert eventually(lambda: letters() == 1, within=30), "a wake-up call is enough"
            kill_all(worker)
        assert patient.book(clinic.slot(1)).status == 201
        with redis.Redis.from_url(server.env["REDIS_URL"]) as client:
            client.flushdb()  # the wake-up call is gone, and so is everything else that Celery knew
        stack.enter_context(frontdesk("clock", env=server.env, log=folder / "clock.log"))
        stack.enter_context(frontdesk("worker", "--concurrency", "1", env=server.env, log=folder / "worker-2.log"))
        assert eventually(lambda: letters() == 2, within=45), "the clock's sweep finds what nobody was told of"
        assert patient.post(f"/appointments/{patient.get('/appointments').json['items'][0]['id']}/cancel").status == 200
        assert eventually(lambda: letters() == 3, within=30)
        with psycopg.connect(server.env["DATABASE_URL"]) as connection:
            told = "SELECT letter, outcome, attempts FROM outbox_messages WHERE rule_id IS NULL ORDER BY id"
            rows = connection.execute(told).fetchall()
        assert rows == [
            ("appointment-booked", "sent", 1),
            ("appointment-booked", "sent", 1),
            ("appointment-cancelled", "sent", 1),
        ]


def test_B_of_two_clocks_one_leads_and_the_other_takes_over(quiet_town: Town) -> None:
    server = quiet_town.server
    logs = [server.mail_folder / f"clock-{number}.log" for number in range(2)]

    def says(number: int, words: str) -> bool:
        return words in logs[number].read_text()

    with psycopg.connect(server.env["DATABASE_URL"], autocommit=True) as connection:

        def next_run() -> float:
            row = connection.execute("SELECT min(next_run_time) FROM apscheduler_jobs").fetchone()
            return row[0] if row and row[0] else 0

        with frontdesk("clock", env=server.env, log=logs[0]) as first:
            assert eventually(lambda: says(0, "This clock leads"), within=30)
            with frontdesk("clock", env=server.env, log=logs[1]):
                assert eventually(lambda: says(1, "Another clock leads"), within=30)
                assert eventually(next_run, within=10)
                kill_all(first)
                assert eventually(lambda: says(1, "This clock leads"), within=15)
                assert eventually(lambda: next_run() > time.time() + 5, within=30), "it keeps the same timetable"
                assert not says(1, "Traceback")
