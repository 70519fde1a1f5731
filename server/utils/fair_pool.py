"""Connections to the database, handed to whoever has waited longest.

SQLAlchemy's queue wakes whoever has waited longest, and lets anybody who comes by in that moment be quicker; who was
woken begins to wait anew, behind all others. With more requests than connections, some waited for most of a second.
"""

import threading
from collections import deque
from typing import Any

from sqlalchemy.pool import QueuePool
from sqlalchemy.util.queue import Empty, Full


class _Turn:
    """Somebody's place in the line; `item` is theirs once `has_come`."""

    def __init__(self) -> None:
        self.has_come = threading.Event()
        self.item: Any = None


class FairQueue:
    """What QueuePool asks of a queue, first come, first served."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        self.maxsize, self.use_lifo = maxsize, use_lifo  # which QueuePool reads
        self._items: deque[Any] = deque()
        self._line: deque[_Turn] = deque()
        self._lock = threading.Lock()

    def qsize(self) -> int:
        return len(self._items)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """To whoever is first in the line, or kept. Raises Full, and never blocks."""
        with self._lock:
            if self._line:
                turn = self._line.popleft()
                turn.item = item
                turn.has_come.set()
            elif 0 < self.maxsize <= len(self._items):
                raise Full
            else:
                self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Raises Empty when nothing is there, and nothing comes in time."""
        with self._lock:
            if self._items:
                return self._items.popleft()
            if not block:
                raise Empty
            turn = _Turn()
            self._line.append(turn)
        if not turn.has_come.wait(timeout):
            with self._lock:
                if not turn.has_come.is_set():  # it did not come in this very moment
                    self._line.remove(turn)
                    raise Empty
        return turn.item


class FairPool(QueuePool):
    _queue_class = FairQueue  # type: ignore[assignment]
