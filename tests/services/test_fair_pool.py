"""Whoever has waited longest for a connection gets the next one."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import QueuePool

from server.settings import Settings
from server.utils.fair_pool import FairPool


def waits_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.001)


def waiting(pool: QueuePool) -> int:
    queue = pool._pool
    return len(queue._line if isinstance(pool, FairPool) else queue.not_empty._waiters)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "first"), [(FairPool, "ana"), (QueuePool, "eve")], ids=["ours", "control"])
def test_nobody_who_comes_later_is_served_before(settings: Settings, kind: type[QueuePool], first: str) -> None:
    engine = create_engine(settings.sqlalchemy_url, poolclass=kind, pool_size=1, max_overflow=0)
    order: list[str] = []

    def ask(name: str) -> None:
        with engine.connect():
            order.append(name)

    threads = [threading.Thread(target=ask, args=[name]) for name in ("ana", "bea")]
    connection = engine.connect()
    for position, thread in enumerate(threads):
        thread.start()
        waits_for(lambda position=position: waiting(engine.pool) == position + 1)  # type: ignore[misc]
    connection.close()
    ask("eve")  # in the moment in which the connection comes back
    for thread in threads:
        thread.join(10)
    assert (order[0], sorted(order)) == (first, ["ana", "bea", "eve"])
    engine.dispose()


def test_nobody_waits_for_ever(settings: Settings) -> None:
    engine = create_engine(settings.sqlalchemy_url, poolclass=FairPool, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect(), pytest.raises(NoConnectionFree):
        engine.connect()
    assert waiting(engine.pool) == 0
    with engine.connect():
        pass
    engine.dispose()
