"""A gateway that fails is left alone, for longer each time, and one success makes up for all."""

import pytest

from server.jobs.breaker import Breaker
from server.services.outbox import Unreachable


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_it_opens_after_three_failures_in_a_row_and_rests_longer_each_time() -> None:
    clock = Clock()
    breaker = Breaker("The gateway", now=clock)
    assert [breaker.failed(), breaker.failed(), breaker.failed()] == [False, False, True]
    rests = []
    for _ in range(6):
        rests.append(breaker.seconds_left)
        with pytest.raises(Unreachable, match="left alone"):
            breaker.demand_closed()
        clock.seconds += breaker.seconds_left
        breaker.demand_closed()  # one probe
        assert breaker.failed()
    assert rests == [60, 120, 240, 480, 600, 600]


def test_a_success_forgets_what_was_before() -> None:
    breaker = Breaker("The gateway", now=Clock())
    for _ in range(10):
        assert not breaker.failed()
        assert not breaker.failed()
        breaker.succeeded()
    breaker.demand_closed()
