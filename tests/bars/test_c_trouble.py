"""C5, C7, C8: mail servers and gateways that fail in every way, rows that get lost, and tasks that are put off."""

import ast
import contextlib
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from server.settings import Settings
from tests.bars.live_clinic import eventually
from tests.bars.office import Office, an_office, each_once
from tests.bars.seeds import tell
from tests.running import FRONTDESK

pytestmark = pytest.mark.processes
SERVER = pathlib.Path(__file__).parents[2] / "server"


@pytest.fixture(scope="module")
def office(
    new_database: Callable[[str], str], settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    folder: pathlib.Path = tmp_path_factory.mktemp("troubled-office")
    with an_office(new_database("frontdesk_trouble"), settings.redis_url.replace("/0", "/7"), folder) as office:
        yield office


@contextlib.contextmanager
def the_server(office: Office, **misbehaves: object) -> Iterator[None]:
    """The mail server does so, until the block ends."""
    before = {name: getattr(office.sink, name) for name in misbehaves}
    for name, value in misbehaves.items():
        setattr(office.sink, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(office.sink, name, value)


def is_drained(office: Office, count: int) -> None:
    """Half a minute, or an hour, later; by SQL."""
    office.change("UPDATE outbox_messages SET due_at = least(due_at, clock_timestamp()), leased_until = NULL")
    office.run()
    assert office.outcomes() == {"sent": count}
    assert each_once(office.sink.taken, count)


# --- C5: the whole server ---


def test_C5_refused_and_421_cost_nobody_a_try(office: Office) -> None:
    office.remind(20)
    with the_server(office, answer_connect="421 not now"):
        office.run()
    assert office.ask("SELECT DISTINCT outcome, attempts FROM outbox_messages") == [(None, 0)]
    port, office.env["MAIL_PORT"] = office.env["MAIL_PORT"], "1"  # nobody listens there
    assert office.job().wait(60) == 0
    assert office.ask("SELECT DISTINCT outcome, attempts FROM outbox_messages") == [(None, 0)]
    office.env["MAIL_PORT"] = port
    is_drained(office, 20)


@pytest.mark.parametrize("misbehaves", [{"answer_data": "451 later"}, {"answer_end": "452 full"}])
def test_C5_a_server_that_is_busy_gets_them_later(office: Office, misbehaves: dict[str, str]) -> None:
    office.remind(6)
    with the_server(office, **misbehaves):
        office.run()
    assert office.outcomes() == {None: 6}
    assert office.sink.taken == []
    is_drained(office, 6)


@pytest.mark.nightly
@pytest.mark.parametrize("misbehaves", [{"answer_connect": ""}, {"answer_data": ""}, {"answer_end": ""}])
def test_C5_a_server_that_hangs(office: Office, misbehaves: dict[str, str]) -> None:
    """A black hole, or one that takes letters and says nothing: it costs two letters a try at most, and no letter."""
    office.remind(50)
    began = time.monotonic()
    with the_server(office, **misbehaves):
        office.run()
    tell(f"C5: {misbehaves} held the worker for {time.monotonic() - began:.0f} s")
    assert office.outcomes() == {None: 50}
    ((tried,),) = office.ask("SELECT count(*) FROM outbox_messages WHERE attempts > 0")
    assert tried <= 2
    is_drained(office, 50)


# --- C5: one recipient ---


@pytest.mark.parametrize(("answer", "outcome"), [("550 no such mailbox", "failed"), ("451 greylisted", None)])
def test_C5_one_address_is_refused_and_nobody_else_notices(office: Office, answer: str, outcome: str | None) -> None:
    office.remind(30)
    with the_server(office, refuse=lambda address: answer if address == "pat7@example.com" else None):
        office.run()
    assert office.outcomes() == {"sent": 29, outcome: 1}
    assert each_once(office.sink.taken, 29)
    told = "SELECT detail FROM outbox_messages WHERE outcome IS DISTINCT FROM 'sent'"
    assert ("550" in str(office.ask(told)[0][0])) == (outcome == "failed")


def test_C5_control_a_worker_that_stops_at_the_first_refusal_leaves_others_waiting(office: Office) -> None:
    """What a loop without a net around each letter does."""
    office.remind(30)
    code = "from server.services import outbox; outbox._retry_later = None; "
    code += "from server.app import create_app; from server.settings import load; from server.jobs import letters\n"
    code += "with create_app(load()).app_context(): letters.send_due()"
    with the_server(office, refuse=lambda address: "451 later" if address == "pat7@example.com" else None):
        done = subprocess.run([FRONTDESK[0], "-c", code], env=office.env, capture_output=True, timeout=60)
    assert done.returncode != 0
    assert len(office.sink.taken) < 29


# --- C7 ---


def doctor(office: Office) -> str:
    done = subprocess.run([*FRONTDESK, "doctor"], env=office.env, capture_output=True, text=True, timeout=60)
    return done.stdout


def test_C7_a_lost_row_is_written_again_also_when_its_time_has_come_and_the_doctor_says_so(office: Office) -> None:
    office.remind(5, due="clock_timestamp() + interval '1 hour'")
    assert "No message is overdue" in doctor(office)
    # The reminder of the day before was due an hour ago, and was lost before that.
    office.change("""
        UPDATE appointments SET during = at, occupied = at, created_at = now() - interval '9 days',
                                updated_at = now() - interval '9 days'
          FROM (SELECT id AS that, tstzrange(lower(during) - span, upper(during) - span) AS at
                  FROM appointments, (SELECT interval '7 hours' AS span) AS hours) AS earlier WHERE id = that""")
    office.change("UPDATE reminder_rules SET created_at = now() - interval '9 days'")
    office.change("DELETE FROM outbox_messages")
    office.run("reconcile-reminders")
    office.run()
    assert office.outcomes() == {"sent": 5}
    assert each_once(office.sink.taken, 5)
    office.run("reconcile-reminders")
    assert office.outcomes() == {"sent": 5}, "nobody is reminded twice"
    assert "WRONG 5 reminders were missing in the last day" in doctor(office)


def test_C7_when_nobody_sends_the_doctor_says_so_and_the_heart_stops(office: Office) -> None:
    office.remind(3, due="clock_timestamp() - interval '6 minutes'")
    assert "WRONG 3 messages are overdue" in doctor(office)
    with office.app.app_context():
        from server.services import watch

        assert watch.state().overdue == 3
    office.run()
    assert "No message is overdue" in doctor(office)


@pytest.mark.nightly
def test_C7_the_clock_raises_the_alarm_when_the_worker_is_gone(office: Office) -> None:
    office.remind(3, due="clock_timestamp() - interval '4 minutes'")
    with office.staff(clocks=1):
        log = office.folder / "clock-0.log"
        began = time.monotonic()
        assert eventually(lambda: "3 messages are overdue" in log.read_text(), within=600, every=1)
        tell(f"C7: the alarm is in the log {240 + time.monotonic() - began:.0f} s after they were due")


def test_C7_control_a_reconciler_that_looks_ahead_only_never_finds_it(office: Office) -> None:
    from sqlalchemy import text

    from server.extensions import db
    from server.services import reminders

    office.remind(2)
    office.change("""
        UPDATE appointments SET during = at, occupied = at, updated_at = now() - interval '9 days'
          FROM (SELECT id AS that, tstzrange(lower(during) - span, upper(during) - span) AS at
                  FROM appointments, (SELECT interval '7 hours' AS span) AS hours) AS earlier WHERE id = that""")
    office.change("DELETE FROM outbox_messages")
    with office.app.app_context():
        found = db.session.execute(text(reminders.rows_for(reminders._LIVE)))
        assert found.rowcount == 0  # type: ignore[attr-defined]
        db.session.rollback()


# --- C8 ---


def put_off(tree: ast.AST) -> list[str]:
    """Calls that hand Celery a task for later than in five minutes, or for a time."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                is_soon = isinstance(value, int | float) and value <= 300
                if keyword.arg == "eta" or (keyword.arg == "countdown" and not is_soon):
                    found.append(ast.unparse(node))
        if isinstance(node, ast.Constant) and node.value == "eta":
            found.append(ast.unparse(node))
    return found


def test_C8_no_task_is_put_off_by_more_than_five_minutes() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SERVER.rglob("*.py")]
    assert len(trees) > 100
    assert [call for tree in trees for call in put_off(tree)] == []


@pytest.mark.parametrize(
    "bad", ["task.apply_async(eta=at)", "send(countdown=86400)", "send(countdown=seconds)", "send(**{'eta': at})"]
)
def test_C8_control_it_would_be_seen(bad: str) -> None:
    assert put_off(ast.parse(bad))
