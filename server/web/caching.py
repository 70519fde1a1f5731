"""Public answers from the cache: kept in Redis as text, dropped when staff change something, never in the way."""

import logging
from collections.abc import Callable
from typing import Any

from cachelib.serializers import JSONSerializer
from flask import Response, request
from redis.exceptions import RedisError

from server.extensions import cache

log = logging.getLogger(__name__)
SECONDS = 300
GENERATION = "directory-generation"


class JsonOrNothing(JSONSerializer):
    """JSON in the cache; what is not there is no error (cachelib would log one on every miss)."""

    def loads(self, bvalue: Any, *args: Any, **kwargs: Any) -> Any:
        return None if bvalue is None else super().loads(bvalue, *args, **kwargs)


def cached_json(make: Callable[[], str]) -> Response:
    """The JSON text of this URL from the cache or from `make`, with an ETag."""
    body = _read_or_make(make)
    response = Response(body, content_type="application/json")
    response.headers["Cache-Control"] = "public, max-age=60"
    response.add_etag()
    return response


def forget_directory() -> None:
    """Everything cached of the directory is stale from now on."""
    try:
        cache.delete(GENERATION)
    except RedisError:
        log.warning("Redis does not answer; the cached directory ends by itself within %d s", SECONDS)


def _read_or_make(make: Callable[[], str]) -> str:
    try:
        generation = cache.get(GENERATION)
        if generation is None:
            from server.utils.tokens import new_secret

            generation = new_secret()
            cache.set(GENERATION, generation, timeout=SECONDS)
        key = f"directory:{generation}:{request.full_path}"
        body = cache.get(key)
        if body is None:
            body = make()
            cache.set(key, body, timeout=SECONDS)
        return str(body)
    except RedisError:
        return make()
