"""What olga sees of the clock and the workers: what ran, when it runs next, and what stands still."""

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from click.testing import CliRunner
from sqlalchemy import text

from server.cli import main
from server.errors import NotAllowed, Unavailable
from server.extensions import db
from server.jobs.celery_app import QUEUES, celery
from server.jobs.sending import options
from server.jobs.timetable import BY_NAME, TIMETABLE
from server.services import runs
from server.services.runs import Job, Line
from tests.cast import Cast

CLOCK = "INSERT INTO clock_leads (id, clock, since, seen_at) VALUES (1, 'here', {since}, {seen})"
NOW = "clock_timestamp()"


def line(name: str, cast: Cast) -> Line:
    return next(line for line in runs.read_timetable(actor=cast.olga.actor).lines if line.job.name == name)


def clock_leads(*, since: str = NOW, seen: str = NOW) -> None:
    db.session.execute(text(CLOCK.format(since=since, seen=seen)))


def test_each_run_leaves_its_mark(cast: Cast) -> None:
    assert line("send-letters", cast).run is None
    job = Job("send-letters", 15, lambda: 3, "", "letters")
    assert (runs.carry_out(job), runs.carry_out(job)) == (3, 3)
    run = line("send-letters", cast).run
    assert run is not None
    assert (run.runs, run.did, run.did_in_all, run.failures) == (2, 3, 6, 0)
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at


@pytest.mark.parametrize("error", [ValueError("ana@example.com has a rash"), SoftTimeLimitExceeded()])
def test_a_run_that_failed_says_what_kind_of_error_and_nothing_else(cast: Cast, error: Exception) -> None:
    def fail() -> int:
        raise error

    with pytest.raises(type(error)):
        runs.carry_out(Job("expire-offers", 20, fail, "", "now"))
    run = line("expire-offers", cast).run
    assert run is not None
    assert (run.runs, run.failures, run.error) == (0, 1, type(error).__name__)


def test_only_administrators_see_the_timetable(cast: Cast) -> None:
    for person in (cast.dana, cast.dr_cho, cast.ana):
        with pytest.raises(NotAllowed):
            runs.read_timetable(actor=person.actor)
        with pytest.raises(NotAllowed):
            runs.run_now("send-letters", actor=person.actor)


def test_what_stands_still_is_said_in_words(cast: Cast) -> None:
    def troubles() -> list[str]:
        db.session.flush()
        return list(runs.read_timetable(actor=cast.olga.actor).troubles)

    assert troubles() == ["No clock has led yet, so nothing happens by itself. Start one: frontdesk clock"]
    clock_leads()
    assert troubles() == [], "it has only just begun"
    db.session.execute(text("UPDATE clock_leads SET since = since - interval '1 hour'"))
    for job in TIMETABLE:
        runs.carry_out(Job(job.name, job.every_seconds, lambda: 0, "", job.queue))
    assert troubles() == []
    db.session.execute(
        text("UPDATE job_runs SET started_at = started_at - interval '12 minutes' WHERE name = ANY(:names)"),
        {"names": [job.name for job in TIMETABLE if job.queue == "bulk"]},
    )
    (said,) = troubles()
    assert said.startswith("Nothing of the queue “bulk” ran for 12 minutes: no worker takes it, or it is stuck.")
    db.session.execute(text("UPDATE clock_leads SET seen_at = seen_at - interval '5 minutes'"))
    (said,) = troubles()
    assert said.startswith("The clock has not been heard of for 5 minutes: nothing happens by itself.")


def test_run_now_says_when_nobody_can_be_asked(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ask", lambda name: False)
    with pytest.raises(Unavailable, match="broker"):
        runs.run_now("send-letters", actor=cast.olga.actor)


@pytest.mark.parametrize("queues", ["", "letters,surgery"])
def test_a_worker_is_told_which_queues_there_are(queues: str) -> None:
    said = CliRunner().invoke(main, ["worker", "--queues", queues])
    assert said.exit_code == 2
    assert "Choose from now, letters, bulk, separated by commas." in said.output


def test_every_row_has_a_queue_with_time_limits_and_no_queue_is_without_a_row() -> None:
    assert {job.queue for job in TIMETABLE} == set(QUEUES)
    for name in BY_NAME:
        limits = options(name)
        assert 0 < limits["soft_time_limit"] < limits["time_limit"] < 600, "before the broker gives it to another one"
    assert celery.conf.worker_max_memory_per_child
    assert celery.conf.task_ignore_result
    assert celery.conf.accept_content == ["json"]
