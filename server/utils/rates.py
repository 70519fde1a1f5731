"""How often something happens: counted in Redis for all processes together, and by each for itself while it is away."""

import logging
import time
from functools import cached_property

from limits import RateLimitItem
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis import RedisError

log = logging.getLogger(__name__)


class Rates:
    """Counters that begin anew with each minute, hour or day."""

    AWAY = 5.0  # how long a Redis that did not answer is left alone: nobody should wait for it each time

    def __init__(self, redis_url: str) -> None:
        self.redis_url = redis_url
        self.away_until = 0.0

    def count(self, most: RateLimitItem, *what: str) -> float:
        """Count it once more. 0 when it may be, otherwise in how many seconds it may be again."""
        if time.monotonic() >= self.away_until:
            try:
                return _count(self._shared, most, what)
            except RedisError as error:
                self.away_until = time.monotonic() + self.AWAY
                log.warning("Redis does not answer, rates are counted in memory: %s", type(error).__name__)
        return _count(self._own, most, what)

    @cached_property
    def _shared(self) -> FixedWindowRateLimiter:
        return FixedWindowRateLimiter(storage_from_string(self.redis_url, socket_timeout=2, socket_connect_timeout=1))

    @cached_property
    def _own(self) -> FixedWindowRateLimiter:
        return FixedWindowRateLimiter(MemoryStorage())


def _count(limiter: FixedWindowRateLimiter, most: RateLimitItem, what: tuple[str, ...]) -> float:
    if limiter.hit(most, *what):
        return 0
    return max(limiter.get_window_stats(most, *what).reset_time - time.time(), 1)
