"""Requests that were answered already: the memory behind Idempotency-Key. See docs/decisions/0005."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from server.services.statements import Statement

Claim = Any  # a row of CLAIM

# The lock on the key and what was answered before, at once. The answer is as old as the statement and the lock is not:
# in that instant another request may be answered and let go of it. `keep` notices.
CLAIM = """
    SELECT claim.is_ours, k.request_hash, k.status, k.headers, k.body
      FROM (SELECT pg_try_advisory_xact_lock(hashtextextended(
                   concat(CAST(:user_id AS uuid), ' ', CAST(:key AS text)), 0)) AS is_ours) AS claim
      LEFT JOIN idempotency_keys k ON k.user_id = :user_id AND k.key = :key
"""
_CLAIM = Statement(CLAIM)
KEEP = Statement("""
    INSERT INTO idempotency_keys (user_id, key, request_hash, status, headers, body)
    VALUES (:user_id, :key, :request_hash, :status, :headers, :body) ON CONFLICT DO NOTHING
""")
# A transaction that has written nothing, and locked no row, has no number yet.
_KEEP_IF_NOTHING_WRITTEN = Statement("""
    INSERT INTO idempotency_keys (user_id, key, request_hash, status, headers, body)
    SELECT CAST(:user_id AS uuid), :key, :request_hash, :status, :headers, :body
     WHERE pg_current_xact_id_if_assigned() IS NULL ON CONFLICT DO NOTHING
""")


def claim(key: str, *, user_id: UUID | None) -> Claim:
    """Until the end of the transaction nobody else works on this key (`is_ours`); with the answer it has already."""
    return _CLAIM.first({"user_id": user_id, "key": key})


def keep(
    key: str,
    *,
    user_id: UUID | None,
    request_hash: bytes,
    status: int,
    headers: dict[str, str],
    body: bytes,
    if_nothing_written: bool = False,
) -> bool:
    """Remember an answer, in the transaction of its effect; False when the key has one by now.

    `if_nothing_written`: also False when this transaction wrote anything, which a refusal has to take back first.
    """
    values = {"user_id": user_id, "key": key, "request_hash": request_hash, "status": status, "body": body}
    statement = _KEEP_IF_NOTHING_WRITTEN if if_nothing_written else KEEP
    return statement.count({**values, "headers": Jsonb(headers)}) == 1
