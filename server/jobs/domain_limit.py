"""How many letters a minute one domain of readers gets: mail hosts turn away who knocks too often.

All workers count together in Redis, and each for itself while Redis is away. What is over it waits for the next minute.
"""

import hashlib
from functools import cache
from uuid import UUID

from limits import RateLimitItemPerMinute

from server.services import addresses
from server.services.outbox import Later
from server.settings import Settings
from server.utils.rates import Rates


def demand(message_id: UUID, settings: Settings) -> None:
    """Count one letter for its reader's domain. Raises Later when this minute has had as many as it may."""
    if not settings.mail_per_domain_a_minute:
        return
    domain = addresses.reader_of(message_id).rpartition("@")[2]
    if not domain:
        return
    most = RateLimitItemPerMinute(settings.mail_per_domain_a_minute)
    key = hashlib.sha256(domain.encode()).hexdigest()[:32]  # Redis gets no addresses to read
    if wait := _rates(settings.redis_url).count(most, "mail-domain", key):
        raise Later("Its domain has had as many letters as it gets in a minute.", seconds=wait)


@cache
def _rates(redis_url: str) -> Rates:
    return Rates(redis_url)
