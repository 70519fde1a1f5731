"""C1 to C3, C6: reminders over a real mail server, by processes that die, that sleep in, and that compete."""

import pathlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.settings import Settings
from tests.bars.dying_worker import POINTS
from tests.bars.live_clinic import eventually
from tests.bars.office import Office, an_office, each_once
from tests.bars.seeds import dice, tell

pytestmark = pytest.mark.processes
# Where nobody can know whether the letter is out: then once more, under the same Message-ID.
IN_DOUBT = {"after-250", "before-commit", "data", "end"}


@pytest.fixture(scope="module")
def office(
    new_database: Callable[[str], str], settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    folder: pathlib.Path = tmp_path_factory.mktemp("office")
    with an_office(new_database("frontdesk_messages"), settings.redis_url.replace("/0", "/6"), folder) as office:
        yield office


# --- C1 ---


# Eight letters are claimed at once, so there is one claim to die before or right after.
@pytest.mark.parametrize(("point", "number"), [(point, 1 if point.endswith("claim") else 3) for point in POINTS])
def test_C1_a_worker_that_dies_loses_no_reminder(office: Office, point: str, number: int) -> None:
    office.remind(8)
    office.dies_at(point, number)
    office.leases_end()
    office.run()
    counts = Counter(office.sink.taken)
    assert len(counts) == 8, "none is missed"
    doubled = {name: count for name, count in counts.items() if count > 1}
    assert len(doubled) == (point in IN_DOUBT)
    assert set(doubled.values()) <= {2}
    assert office.outcomes() == {"sent": 8}


@pytest.mark.parametrize("when", ["data", "end"])
def test_C1_a_worker_that_dies_around_the_servers_250(office: Office, when: str) -> None:
    office.remind(8)
    office.is_killed(when, 5)
    office.leases_end()
    office.run()
    doubled = sorted(Counter(office.sink.taken).values())
    assert doubled in ([1] * 7 + [2], [1] * 8)
    assert when == "end" or doubled[-1] == 2
    assert office.outcomes() == {"sent": 8}


@pytest.mark.nightly
def test_C1_a_thousand_reminders_every_point_and_thirty_random_kills(office: Office) -> None:
    """Leases end by SQL instead of after five minutes each time."""
    office.remind(1000)
    rng, in_doubt = dice("C1"), 0
    deaths = [(point, number) for point in POINTS for number in (1, 2, 25, 50, 51)]
    deaths += [(rng.choice(["data", "end"]), rng.randint(1, 20)) for _ in range(30)]
    rng.shuffle(deaths)
    for point, number in deaths:
        if point in POINTS:
            office.dies_at(point, min(number, 2) if point == "before-claim" else min(number, 10))
        else:
            office.is_killed(point, number)
        in_doubt += point in IN_DOUBT or (point == "after-claim" and number > 1)  # of the letter before
        office.leases_end()
    office.run()
    counts = Counter(office.sink.taken)
    copies = len(office.sink.taken) - len(counts)
    tell(f"C1: {len(deaths)} deaths, {in_doubt} in doubt, {copies} repeated, {1000 - len(counts)} missed")
    assert len(counts) == 1000, "none is missed"
    assert copies <= in_doubt, "one at most for each death that left a doubt"
    assert office.outcomes() == {"sent": 1000}


def test_C1_control_a_mark_before_the_letter_loses_one(office: Office) -> None:
    """What others do: say that it is sent, then send. A death in between is a lost letter."""
    office.remind(3)
    first = "(SELECT id FROM outbox_messages LIMIT 1)"
    office.change(f"UPDATE outbox_messages SET outcome = 'sent' WHERE id = {first}")
    office.run()
    assert len(set(office.sink.taken)) == 2


def test_C1_a_lease_that_is_over_sends_nothing(office: Office) -> None:
    """A worker that was stopped for long finds its lease gone and leaves the letter to whoever has it now."""
    from server.services import outbox

    office.remind(1)
    with office.app.app_context():
        (leased,) = outbox._lease("email")
        before = outbox.states_of([leased])[leased]
        office.change("UPDATE outbox_messages SET leased_until = leased_until - interval '5 minutes'")
        with pytest.raises(outbox.Overtaken), outbox.unchanged(leased, before):
            raise AssertionError("it would have begun")
        (again,) = outbox._lease("email")
        with outbox.unchanged(again, outbox.states_of([again])[again]):
            pass


# --- C2 ---

BEGUN = """
    UPDATE appointments SET during = past, occupied = past
      FROM (SELECT tstzrange(clock_timestamp() - interval '1 hour', clock_timestamp()) AS past) AS an_hour_ago
     WHERE patient_id IN (SELECT id FROM patients WHERE family_name IN ('Number0', 'Number1'))"""


def test_C2_after_three_hours_the_useful_ones_leave_and_the_others_are_listed(office: Office) -> None:
    """The hours pass by SQL: what is due now was due three hours ago."""
    office.remind(6, due="clock_timestamp() - interval '3 hours'")
    office.change(BEGUN)
    office.run()
    assert len(office.sink.taken) == 4
    assert office.outcomes() == {"sent": 4, "missed": 2}


@pytest.mark.nightly
def test_C2_a_clock_that_comes_back_after_three_hours(office: Office) -> None:
    office.remind(500, due="clock_timestamp() - interval '3 hours'")
    office.change(BEGUN)
    with office.staff(workers=2, clocks=1):
        began = time.monotonic()
        assert eventually(lambda: office.outcomes() == {"sent": 498, "missed": 2}, within=60, every=0.5)
        tell(f"C2: 498 of 500 left within {time.monotonic() - began:.0f} s of the clock's start, 2 are listed")
    assert each_once(office.sink.taken, 498)


# --- C3 ---


def test_C3_four_workers_at_once_send_each_reminder_once(office: Office) -> None:
    office.remind(200)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: office.job().wait(60), range(4))) == {0}
    assert each_once(office.sink.taken, 200)
    assert office.outcomes() == {"sent": 200}


@pytest.mark.nightly
def test_C3_two_clocks_and_four_workers(office: Office) -> None:
    office.remind(10_000)
    with office.staff(workers=4, clocks=2):
        began = time.monotonic()
        assert eventually(lambda: office.outcomes() == {"sent": 10_000}, within=400, every=1)
        tell(f"C3: 10,000 left in {time.monotonic() - began:.0f} s, with the start of six processes")
    assert each_once(office.sink.taken, 10_000)


def test_C3_control_without_leases_a_letter_leaves_twice(office: Office) -> None:
    """Two workers that only look whether it was sent both find that it was not."""
    from server.jobs import letters

    office.remind(1)
    sent = []
    with office.app.app_context():
        for _ in range(2):
            due = office.ask("SELECT id FROM outbox_messages WHERE outcome IS NULL")
            sent += [letters.letters.compose(row[0], settings=office.app.config["FRONTDESK"]).to for row in due]
    assert len(sent) == 2


# --- C6 ---


@pytest.mark.nightly
def test_C6_a_thousand_in_the_same_minute(office: Office) -> None:
    with office.staff(workers=2, clocks=1):
        assert eventually(lambda: office.ask("SELECT 1 FROM apscheduler_jobs"), within=60, every=0.5)
        office.remind(1000, due="clock_timestamp() + interval '20 seconds'")
        assert eventually(lambda: office.outcomes() == {"sent": 1000}, within=180, every=1)
    late = "extract(epoch FROM outcome_at - due_at)"
    ((median, p99, most),) = office.ask(
        f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY {late})::float8,"
        f" percentile_cont(0.99) WITHIN GROUP (ORDER BY {late})::float8, max({late})::float8 FROM outbox_messages"
    )
    tell(f"C6: lateness p50 {median:.1f} s, p99 {p99:.1f} s, max {most:.1f} s")
    assert p99 <= 60
    assert most <= 120
    assert each_once(office.sink.taken, 1000)
