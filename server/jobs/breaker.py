"""A gateway that keeps failing is left alone for a while, so that no worker waits for it again and again.

Each process has its own: it learns within three calls, and needs nobody else to be well for it.
"""

import time
from collections.abc import Callable

from server.services.outbox import Unreachable


class Breaker:
    """Opens after `patience` failures in a row; then for `rest` seconds, and twice as long after each failed probe."""

    def __init__(
        self,
        name: str,
        *,
        patience: int = 3,
        rest: float = 60,
        longest: float = 600,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.patience, self.first_rest, self.longest, self.now = name, patience, rest, longest, now
        self.forget()

    def forget(self) -> None:
        self.failures, self.rest, self.until = 0, self.first_rest, 0.0

    @property
    def seconds_left(self) -> float:
        """For how long it stays open."""
        return max(self.until - self.now(), 0.0)

    def demand_closed(self) -> None:
        """Raises Unreachable while the gateway is left alone."""
        if self.seconds_left:
            raise Unreachable(f"{self.name} failed {self.failures} times and is left alone for a while.")

    def succeeded(self) -> None:
        self.forget()

    def failed(self) -> bool:
        """Count a failure; answers whether the gateway is left alone now. After a rest one failure is enough."""
        self.failures += 1
        if self.failures < self.patience:
            return False
        self.leave_alone(self.rest)
        self.rest = min(self.rest * 2, self.longest)
        return True

    def leave_alone(self, seconds: float) -> None:
        """For so many seconds, 10 minutes at most, whatever was counted."""
        self.until = self.now() + min(max(seconds, 1.0), self.longest)
