"""How many letters a minute one domain of readers gets: mail hosts turn away who knocks too often.

All workers count together in Redis, and each for itself while Redis is away. What is over it waits for the next minute.
"""

import hashlib
import time
from functools import cache
from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis import RedisError

from server.services import addresses
from server.services.outbox import Later
from server.settings import Settings


def demand(message_id: UUID, settings: Settings) -> None:
    """Count one letter for its reader's domain. Raises Later when this minute has had as many as it may."""
    if not settings.mail_per_domain_a_minute:
        return
    domain = addresses.reader_of(message_id).rpartition("@")[2]
    if not domain:
        return
    most = RateLimitItemPerMinute(settings.mail_per_domain_a_minute)
    key = hashlib.sha256(domain.encode()).hexdigest()[:32]  # Redis gets no addresses to read
    try:
        wait = _count(_shared(settings.redis_url), most, key)
    except RedisError:
        wait = _count(_own(), most, key)
    if wait:
        raise Later("Its domain has had as many letters as it gets in a minute.", seconds=wait)


def _count(limiter: FixedWindowRateLimiter, most: RateLimitItem, key: str) -> float:
    """0 when it may go, otherwise in how many seconds the window ends."""
    if limiter.hit(most, "mail-domain", key):
        return 0
    return max(limiter.get_window_stats(most, "mail-domain", key).reset_time - time.time(), 1)


@cache
def _shared(redis_url: str) -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(storage_from_string(redis_url, socket_timeout=2, socket_connect_timeout=1))


@cache
def _own() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())
