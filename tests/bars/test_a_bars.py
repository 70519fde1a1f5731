"""A1, A3, A5, A6: many people want the same thing at the same moment, over HTTP, from two processes."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.bars import ledger
from tests.bars.live_clinic import Answer, Clinic, Town, Visitor, all_at_once, eventually, shuffled
from tests.bars.seeds import dice

pytestmark = pytest.mark.processes


def check_answers(answers: list[Answer], *, expected: set[int], seconds: float) -> None:
    """Nobody saw an error of ours, and nobody waited too long."""
    assert [str(answer) for answer in answers if answer.status not in expected] == []
    assert max(answer.seconds for answer in answers) < seconds


# --- A1: one time, one booking ---


@pytest.mark.parametrize(
    ("clients", "slots"), [(32, 40), pytest.param(64, 200, marks=pytest.mark.nightly)], ids=["quick", "full"]
)
def test_A1_many_clients_on_few_times_and_each_time_is_booked_once(town: Town, clients: int, slots: int) -> None:
    with town.clinic(practitioners=10, patients=clients) as clinic, clinic.connect() as connection:
        times = [clinic.slot(n // 10, practitioner=n % 10) for n in range(slots)]
        rng = dice("A1", clients, slots)
        orders = [shuffled(range(slots), rng) for _ in range(clients)]
        patients = clinic.patients()

        def try_everything(number: int) -> list[tuple[int, Answer]]:
            return [(slot, patients[number].book(times[slot])) for slot in orders[number]]

        log = [one for answers in all_at_once(range(clients), try_everything) for one in answers]
        visits = ledger.check(connection, clinic.service_ids)
    answers = [answer for _, answer in log]
    check_answers(answers, expected={201, 409}, seconds=5)
    assert {answer.type for answer in answers if answer.status == 409} <= {"slot-taken", "patient-busy"}
    assert Counter(slot for slot, answer in log if answer.status == 201) == dict.fromkeys(range(slots), 1)
    acknowledged = {answer.json["id"] for answer in answers if answer.status == 201}
    assert {str(visit["id"]) for visit in visits} == acknowledged


def test_A1_control_without_the_constraints_times_are_doubled(town: Town) -> None:
    with town.clinic(patients=32) as clinic, clinic.connect() as connection:
        patients = clinic.patients()
        with ledger.NoConstraints(connection):
            for number in range(20):
                all_at_once(patients, lambda patient, slot=clinic.slot(number): patient.book(slot))
                if ledger.overlaps(connection):
                    return
    pytest.fail("nothing was doubled: this bar would not notice a double booking")


# --- A3: nobody waits for somebody who waits for them ---


@pytest.mark.parametrize("rounds", [10, pytest.param(50, marks=pytest.mark.nightly)])
def test_A3_practitioner_room_and_patient_in_every_order(town: Town, rounds: int) -> None:
    """Four ways to name one of two practitioners and one of two rooms, each for two patients; then crossing moves."""
    with town.clinic(practitioners=2, rooms=2, patients=2) as clinic, clinic.connect() as connection:
        desks = clinic.front_desks()
        answers: list[Answer] = []
        for number in range(rounds):
            answers += meet_and_cross(clinic, desks, number)
        visits = ledger.check(connection, clinic.service_ids)
    check_answers(answers, expected={200, 201, 409}, seconds=4)
    booked = [answer.json["id"] for answer in answers if answer.status == 201]
    assert sorted(booked) == sorted(str(visit["id"]) for visit in visits)
    assert len(booked) >= rounds
    log = town.server.log.read_text(errors="replace")
    assert "victim of 40P01" not in log, "a deadlock, even though it was survived"


def meet_and_cross(clinic: Clinic, desks: list[Visitor], number: int) -> list[Answer]:
    """Eight desks book at one time; then what they got changes places; then it all moves to one evening."""

    def book(seat: int) -> Answer:
        slot = clinic.slot(number, practitioner=seat % 2, service=seat // 2 % 2)
        return desks[seat].book(slot, patient_id=clinic.people[seat // 4]["patient_id"])

    booking = all_at_once(range(8), book)
    won = [answer.json for answer in booking if answer.status == 201]

    def change_places(seat: int) -> Answer:
        own, other = won[seat % len(won)], won[(seat + 1) % len(won)]
        body = {"start": other["start"], "practitioner_id": other["practitioner_id"]}
        return desks[seat].post(f"/appointments/{own['id']}/reschedule", body)

    def move_to_evening(seat: int) -> Answer:
        body = {"start": clinic.slot(number + 480)["start"], "practitioner_id": clinic.practitioner_ids[seat // 2 % 2]}
        return desks[seat].post(f"/appointments/{won[seat % len(won)]['id']}/reschedule", body)

    return booking + all_at_once(range(8), change_places) + all_at_once(range(8), move_to_evening)


@pytest.mark.parametrize("rounds", [10, pytest.param(50, marks=pytest.mark.nightly)])
def test_A3_practitioner_any_room_and_the_only_device(town: Town, rounds: int) -> None:
    """Eight desks, four practitioners, two rooms of a kind: two visits at each time; with the one device, one."""
    for per_time, kinds in ((2, {"room_kind": "pool"}), (1, {"room_kind": "pool", "device_kind": "scope"})):
        with town.clinic(practitioners=4, patients=8, pool=2, **kinds) as clinic, clinic.connect() as connection:
            desks, answers = clinic.front_desks(), []
            for number in range(rounds):
                answers += all_at_once(range(8), partial(book_for_own_patient, clinic, desks, number))
            visits = ledger.check(connection, clinic.service_ids)
        check_answers(answers, expected={201, 409}, seconds=4)
        assert Counter(Counter(visit["start"] for visit in visits).values()) == {per_time: rounds}
        assert all(visit["room_id"] and bool(visit["device_id"]) == (per_time == 1) for visit in visits)
    assert "victim of 40P01" not in town.server.log.read_text(errors="replace")


def book_for_own_patient(clinic: Clinic, desks: list[Visitor], number: int, seat: int) -> Answer:
    slot = clinic.slot(number, practitioner=seat % 4)
    return desks[seat].book(slot, patient_id=clinic.people[seat]["patient_id"])


def test_A3_control_a_plain_insert_deadlocks(town: Town) -> None:
    with town.clinic(practitioners=2, rooms=2, patients=8) as clinic:
        deadline = time.monotonic() + 30
        found = threading.Event()

        def insert_until_victim(seat: int) -> None:
            with clinic.connect() as connection:
                for number in range(48 * 20):
                    if found.is_set() or time.monotonic() > deadline:
                        return
                    try:
                        insert_plainly(connection, clinic, number, patient=seat, practitioner=(seat + number) % 2)
                    except errors.ExclusionViolation:
                        pass
                    except errors.DeadlockDetected:
                        found.set()

        all_at_once(range(8), insert_until_victim)
        with clinic.connect() as connection:
            connection.execute("DELETE FROM appointments WHERE service_id = ANY(%s::uuid[])", [clinic.service_ids])
    assert found.is_set(), "no deadlock: this bar would not notice one"


def insert_plainly(
    connection: psycopg.Connection[Any], clinic: Clinic, number: int, *, patient: int, practitioner: int
) -> None:
    """A booking as one would write it first: without ON CONFLICT, the constraint raises."""
    slot = clinic.slot(number, practitioner)
    connection.execute(
        """
        INSERT INTO appointments (id, service_id, practitioner_id, location_id, patient_id, status, during, occupied)
        SELECT gen_random_uuid(), %(service_id)s, %(practitioner_id)s, %(location_id)s, %(patient_id)s, 'booked',
               span, span
          FROM tstzrange(%(start)s::timestamptz, %(start)s::timestamptz + interval '30 minutes') AS span""",
        {**slot, "location_id": clinic.location_id, "patient_id": clinic.people[patient]["patient_id"]},
    )


# --- A5: two editors ---


def test_A5_of_two_changes_to_the_same_version_one_is_told(town: Town) -> None:
    with town.clinic() as clinic:
        path = f"/services/{clinic.service_ids[0]}"
        editors = clinic.administrators(2)
        assert editors[0].send("PATCH", path, {"description": "?"}).status == 428
        for number in range(20):
            version = editors[0].get(path).headers["ETag"]
            changes = [{"description": f"{number} {n}"} for n in range(2)]
            answers = all_at_once(range(2), partial(change_service, editors, path, changes, version))
            assert sorted(answer.status for answer in answers) == [200, 412]
            won = next(n for n, answer in enumerate(answers) if answer.status == 200)
            assert editors[0].get(path).json["description"] == changes[won]["description"]


def change_service(editors: list[Visitor], path: str, changes: list[Any], version: str, n: int) -> Answer:
    return editors[n].send("PATCH", path, changes[n], **{"If-Match": version})


# --- A6: limits under a race, and the end of a hold ---


def test_A6_a_patient_who_may_have_three_visits_gets_three_of_fifty(town: Town) -> None:
    with town.clinic(practitioners=5, max_open_per_patient=3) as clinic, clinic.connect() as connection:
        devices = clinic.devices(50)
        answers = all_at_once(range(50), lambda n: devices[n].book(clinic.slot(n, practitioner=n % 5)))
        assert Counter(answer.status for answer in answers) == {201: 3, 422: 47}
        assert {reason["code"] for a in answers if a.status == 422 for reason in a.json["reasons"]} == {"limit"}
        assert len(ledger.check(connection, clinic.service_ids)) == 3


def test_A6_a_person_who_may_hold_two_times_gets_two_of_twenty(town: Town) -> None:
    with town.clinic(practitioners=5) as clinic, clinic.connect() as connection:
        devices = clinic.devices(20)
        answers = all_at_once(range(20), lambda n: devices[n].post("/holds", clinic.slot(n, practitioner=n % 5)))
        assert Counter((answer.status, answer.type) for answer in answers) == {
            (201, ""): 2,
            (409, "too-many-holds"): 18,
        }
        assert ledger.overlaps(connection) == 0


def test_A6_control_counting_first_and_writing_later_breaks_the_limit(town: Town) -> None:
    with town.clinic(max_open_per_patient=3) as clinic, many_connections(clinic, 8) as connections:
        count = "SELECT count(*) AS n FROM appointments WHERE patient_id = %s"
        patient_id = clinic.people[0]["patient_id"]

        def count_then_write(seat: int) -> None:
            if connections[seat].execute(count, [patient_id]).fetchone()["n"] < 3:
                insert_plainly(connections[seat], clinic, seat, patient=0, practitioner=0)

        all_at_once(range(8), count_then_write)
        assert connections[0].execute(count, [patient_id]).fetchone()["n"] > 3
        connections[0].execute("DELETE FROM appointments WHERE patient_id = %s", [patient_id])


@contextlib.contextmanager
def many_connections(clinic: Clinic, count: int) -> Iterator[list[psycopg.Connection[Any]]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(clinic.connect()) for _ in range(count)]


@pytest.mark.parametrize("how", ["search", "book"])
def test_A6_a_hold_ends_by_the_database_clock_within_a_second(town: Town, how: str) -> None:
    with town.clinic(patients=2) as clinic, clinic.connect() as connection:
        holder, other = clinic.patients()
        slot = clinic.slot(0)
        held = holder.post("/holds", slot)
        assert held.status == 201
        connection.execute(
            "UPDATE appointments SET hold_expires_at = clock_timestamp() + interval '1.5 seconds' WHERE id = %s",
            [held.json["id"]],
        )
        began = time.monotonic()
        query = f"/availability?service_id={slot['service_id']}&from={slot['start'].replace('+00:00', 'Z')}"
        query += f"&to={clinic.mornings[1].isoformat().replace('+00:00', 'Z')}&limit=1"

        def is_free() -> bool:
            if how == "book":
                return other.book(slot).status == 201
            return other.get(query).json["items"][0]["start"] == slot["start"].replace("+00:00", "Z")

        assert eventually(is_free, within=5, every=0.02)
        assert 1.4 < time.monotonic() - began < 2.5
