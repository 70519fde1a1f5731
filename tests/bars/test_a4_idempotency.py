"""A4: whoever is in doubt sends the same request with the same Idempotency-Key again, and no harm is done."""

import contextlib
import pathlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from tests.bars import ledger
from tests.bars.live_clinic import Answer, Clinic, Town, Visitor, all_at_once, eventually
from tests.bars.processes import kill_all
from tests.bars.seeds import dice
from tests.running import LiveServer, start_live_server

pytestmark = pytest.mark.processes


def test_A4_twenty_times_the_same_request_is_one_booking_and_one_answer(town: Town) -> None:
    with town.clinic() as clinic, clinic.connect() as connection:
        devices = clinic.devices(20)
        for number in range(5):
            slot, key = clinic.slot(number), f"same-{number}"
            answers = all_at_once(devices, lambda device, slot=slot, key=key: device.book(slot, key))
            assert {answer.status for answer in answers} <= {201, 409}
            assert {answer.type for answer in answers if answer.status == 409} <= {"idempotency-key-in-use"}
            again = devices[0].book(slot, key)
            assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
            firsts = {answer.body for answer in answers if answer.status == 201} | {again.body}
            assert len(firsts) == 1
            first = next(answer for answer in answers if answer.status == 201)
            for name in ("Content-Type", "Location", "ETag"):
                assert again.headers[name] == first.headers[name]
        assert len(ledger.check(connection, clinic.service_ids)) == 5


def test_A4_a_key_belongs_to_one_request(town: Town) -> None:
    with town.clinic(patients=2) as clinic:
        ana, bea = clinic.patients()
        assert ana.book(clinic.slot(0), "mine").status == 201
        other_body = ana.book(clinic.slot(1), "mine")
        other_path = ana.post("/holds", clinic.slot(0), **{"Idempotency-Key": "mine"})
        for refused in (other_body, other_path):
            assert (refused.status, refused.type) == (422, "idempotency-key-reused")
        assert bea.book(clinic.slot(1), "mine").status == 201  # and to one account


def test_A4_a_refusal_is_remembered_even_when_the_time_is_free_again(town: Town) -> None:
    with town.clinic(patients=2) as clinic:
        ana, bea = clinic.patients()
        visit = ana.book(clinic.slot(0)).json
        refused = bea.book(clinic.slot(0), "once")
        assert (refused.status, refused.type) == (409, "slot-taken")
        assert ana.post(f"/appointments/{visit['id']}/cancel").status == 200
        again = bea.book(clinic.slot(0), "once")
        assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (409, refused.body, "true")
        assert bea.book(clinic.slot(0), "another").status == 201


def test_A4_twenty_times_the_same_refused_request_is_one_answer(town: Town) -> None:
    with town.clinic(patients=2) as clinic:
        clinic.patients()[0].book(clinic.slot(0))
        devices = clinic.devices(20, patient=1)
        for number in range(5):
            answers = all_at_once(devices, lambda device, key=f"no-{number}": device.book(clinic.slot(0), key))
            assert {answer.status for answer in answers} == {409}
            final = [answer for answer in answers if answer.type != "idempotency-key-in-use"]
            final.append(devices[0].book(clinic.slot(0), f"no-{number}"))
            assert len({answer.body for answer in final}) == 1


# --- the server dies in the middle ---


@dataclass(frozen=True)
class Try:
    """One booking of one patient; odd patients send no key."""

    patient: int
    number: int
    answer: Answer

    @property
    def key(self) -> str | None:
        return None if self.patient % 2 else f"{self.patient}-{self.number}"

    def again(self, clinic: Clinic, patients: list[Visitor]) -> Answer:
        return patients[self.patient].book(clinic.slot(self.number, practitioner=self.patient), self.key)


def test_A4_after_kill_9_a_key_settles_every_doubt_and_without_one_doubts_stay(
    new_database: Callable[[str], str], redis_url: str, tmp_path: pathlib.Path
) -> None:
    database = new_database("frontdesk_killed")

    def start(name: str) -> contextlib.AbstractContextManager[LiveServer]:
        (tmp_path / name).mkdir()
        return start_live_server(database, redis_url.replace("/0", "/3"), tmp_path / name, fill=False)

    with contextlib.ExitStack() as stack:
        town = stack.enter_context(contextlib.closing(Town(stack.enter_context(start("first")))))
        clinic = stack.enter_context(town.clinic(practitioners=8, patients=8))
        connection = stack.enter_context(clinic.connect())
        log = bookings_until_killed(clinic)
        assert {one.answer.status for one in log} == {0, 201}
        ledger.check(connection, clinic.service_ids)

        clinic = replace(clinic, server=stack.enter_context(start("second")))
        patients = clinic.patients()
        with_key = [(one, one.again(clinic, patients)) for one in log if one.key]
        without = [(one, one.again(clinic, patients)) for one in log if not one.key]
        visits = ledger.check(connection, clinic.service_ids)
    for one, again in with_key:
        assert again.status == 201, str(again)
        assert one.answer.status == 0 or one.answer.body == again.body
    mine = [clinic.people[n]["patient_id"] for n in range(0, 8, 2)]
    settled = [again.json["id"] for _, again in with_key]
    assert sorted(settled) == sorted(str(visit["id"]) for visit in visits if str(visit["patient_id"]) in mine)
    # The control: the same answer never comes again, a booking that had happened is "taken", nobody says by whom.
    assert {again.status for one, again in without if one.answer.status == 201} == {409}


def bookings_until_killed(clinic: Clinic) -> list[Try]:
    """Eight patients book time after time until the server is killed under them."""
    rng, log, stop = dice("A4"), list[Try](), threading.Event()

    def book_on_and_on(patient: int, visitor: Visitor) -> None:
        for number in range(24 * 40):
            if stop.is_set():
                return
            one = Try(patient, number, Answer(0, 0))
            one = replace(one, answer=visitor.book(clinic.slot(number, practitioner=patient), one.key))
            log.append(one)
            if one.answer.status == 0:
                return

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(book_on_and_on, *each) for each in enumerate(clinic.patients())]
        assert eventually(lambda: len(log) > 40, within=30)
        time.sleep(rng.uniform(0, 0.2))  # not to wait for anything: to kill at any point of a booking
        kill_all(clinic.server.process)
        stop.set()
        for one in running:
            one.result(40)
    return log
