"""What `frontdesk doctor` examines: each finding is a sentence, and what to do when it is not well."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import redis
import requests

from server.settings import Settings, SettingsError, load

OLDEST_POSTGRESQL = 14
_SEALING = """
    WITH newest AS (SELECT coalesce(max(up_to), 0) AS up_to FROM audit_seals)
    SELECT audit_xid(pg_snapshot_xmin(pg_current_snapshot())) < up_to,
           EXISTS (SELECT FROM audit_events WHERE xid >= up_to AND created_at < now() - interval '1 hour')
      FROM newest
"""
Finding = tuple[str, bool]


def examine() -> Iterator[Finding]:
    """Findings one by one: (sentence, whether it is well)."""
    try:
        settings = load()
    except SettingsError as problem:
        for line in str(problem).splitlines():
            yield line, False
        return
    from server.jobs import mail_doctor  # it brings all of Flask, and every role starts with the checks below

    yield "The settings are complete.", True
    database = list(check_database(settings))
    yield from database
    if all(good for _, good in database):
        schema = list(_check_schema(settings))
        yield from schema
        if all(good for _, good in schema):
            yield from _check_audit(settings)
    yield from check_redis(settings)
    yield from mail_doctor.check_mail(settings)
    yield from _check_texts(settings)
    yield _check_web(settings)


def check_database(settings: Settings) -> Iterator[Finding]:
    """PostgreSQL answers, is new enough, and has btree_gist at hand."""
    try:
        with psycopg.connect(settings.postgresql_url, connect_timeout=5) as connection:
            version = connection.info.server_version // 10000
            available = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'btree_gist'").fetchone()
    except psycopg.OperationalError as error:
        yield f"PostgreSQL does not answer at DATABASE_URL: {str(error).splitlines()[0]}", False
        return
    good = version >= OLDEST_POSTGRESQL
    yield (
        f"PostgreSQL {version}" + ("" if good else f" is too old: {OLDEST_POSTGRESQL} or newer is needed."),
        good,
    )
    if not available:
        yield (
            "PostgreSQL has no btree_gist. Install the contrib package of your PostgreSQL (Debian: apt-get install "
            "postgresql-contrib), then run in this database: CREATE EXTENSION btree_gist;",
            False,
        )


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Redis or Valkey answers."""
    try:
        info = redis.Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=3).info("server")
    except redis.RedisError as error:
        yield f"Redis does not answer at REDIS_URL: {error}", False
        return
    yield f"Redis protocol of {info.get('redis_version')}", True


def _check_schema(settings: Settings) -> Iterator[Finding]:
    from server.jobs import schema  # all of Flask, too

    with psycopg.connect(settings.postgresql_url, connect_timeout=5) as connection:
        has_table = connection.execute("SELECT to_regclass('alembic_version')").fetchone() != (None,)
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_table else None
    at, needed = (row[0] if row else None), schema.newest()
    if at == needed:
        yield f"The database is at revision {at}.", True
        yield from _check_messages(settings)
    else:
        yield f"The database is at revision {at or 'nothing'}, {needed} is needed: run `frontdesk migrate`.", False


def _check_audit(settings: Settings) -> Iterator[Finding]:
    """What is on record is sealed, and told outside of the database."""
    with psycopg.connect(settings.postgresql_url, connect_timeout=5) as connection:
        row = connection.execute(_SEALING).fetchone()
    is_counted_anew, waits = row or (False, False)
    if is_counted_anew:
        yield "This database was restored, and its transactions are counted anew: run `frontdesk migrate`.", False
    if waits:
        yield "Events have waited for an hour to be sealed: is `frontdesk worker` running?", False
    elif not is_counted_anew:
        yield "What is on record is sealed.", True
    folder = settings.audit_folder
    if not folder:
        yield "AUDIT_FOLDER is not set: the seals of what is on record stay in the database and the log.", True
    elif os.path.isdir(folder) and not os.access(folder, os.W_OK):
        yield f"Nobody may write to AUDIT_FOLDER {folder} as this account.", False


def _check_texts(settings: Settings) -> Iterator[Finding]:
    if not settings.sms_url:
        return
    if not settings.sms_token:
        yield "SMS_TOKEN is not set: texts leave, but no reply and no receipt is taken.", False
        return
    path = f"{settings.base_url}/hooks/texts"
    yield f"Texts go to {urlsplit(settings.sms_url).hostname}; it is to send replies to {path}, signed.", True


def _check_messages(settings: Settings) -> Iterator[Finding]:
    from server.jobs import watching

    with psycopg.connect(settings.postgresql_url, connect_timeout=5) as connection:
        sentences = watching.ask(connection).sentences()
    yield from ((sentence, False) for sentence in sentences)
    if not sentences:
        yield "No message is overdue, and no reminder is missing.", True


def _check_web(settings: Settings) -> Finding:
    try:
        answer = requests.get(f"{settings.base_url}/healthz", timeout=5)
    except requests.RequestException as error:
        return (
            f"Nobody answers at BASE_URL {settings.base_url}: is `frontdesk serve` running? ({type(error).__name__})",
            False,
        )
    good = answer.status_code == 200
    return f"The web server answers at {settings.base_url}" + ("." if good else f" with {answer.status_code}."), good
