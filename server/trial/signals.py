"""Being asked to stop, noted and looked at, so that no step is torn in the middle."""

import signal
import time
from typing import Any


class Interrupted(Exception):
    """A signal came while waiting."""


class Signals:
    """Ctrl-C, SIGTERM and a closed terminal, while the block lasts."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> "Signals":
        self.received = False
        self._before = {number: signal.signal(number, self._note) for number in self.NUMBERS}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: Any) -> None:
        self.received = True

    def pause(self, seconds: float) -> None:
        """Wait a moment. Raises Interrupted after a signal."""
        if self.received:
            raise Interrupted
        time.sleep(seconds)
