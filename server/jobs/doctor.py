"""What `frontdesk doctor` examines: each finding is a sentence, and what to do when it is not well."""

import smtplib
from collections.abc import Iterator

import psycopg
import redis
import requests

from server.settings import Settings, SettingsError, load

OLDEST_POSTGRESQL = 14
Finding = tuple[str, bool]


def examine() -> Iterator[Finding]:
    """Findings one by one: (sentence, whether it is well)."""
    try:
        settings = load()
    except SettingsError as problem:
        for line in str(problem).splitlines():
            yield line, False
        return
    yield "The settings are complete.", True
    database = list(check_database(settings))
    yield from database
    if all(good for _, good in database):
        yield from _check_schema(settings)
    yield from check_redis(settings)
    yield _check_mail(settings)
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
    from server.jobs import schema  # it brings all of Flask, and every role starts with the checks above

    with psycopg.connect(settings.postgresql_url, connect_timeout=5) as connection:
        has_table = connection.execute("SELECT to_regclass('alembic_version')").fetchone() != (None,)
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_table else None
    at, needed = (row[0] if row else None), schema.newest()
    if at == needed:
        yield f"The database is at revision {at}.", True
        yield from _check_messages(settings)
    else:
        yield f"The database is at revision {at or 'nothing'}, {needed} is needed: run `frontdesk migrate`.", False


def _check_messages(settings: Settings) -> Iterator[Finding]:
    from server.jobs import watching

    with psycopg.connect(settings.postgresql_url, connect_timeout=5) as connection:
        sentences = watching.ask(connection).sentences()
    yield from ((sentence, False) for sentence in sentences)
    if not sentences:
        yield "No message is overdue, and no reminder is missing.", True


def _check_mail(settings: Settings) -> Finding:
    if settings.mail_folder:
        return f"Letters are written into {settings.mail_folder}.", True
    if not settings.mail_server:
        return "MAIL_SERVER is not set: no letter can leave.", False
    try:
        with smtplib.SMTP(settings.mail_server, settings.mail_port, timeout=5) as smtp:
            if settings.mail_use_tls:
                smtp.starttls()
            if settings.mail_username:
                smtp.login(settings.mail_username, settings.mail_password)
    except (OSError, smtplib.SMTPException) as error:
        return f"The mail server {settings.mail_server}:{settings.mail_port} cannot be used: {error}", False
    return f"The mail server {settings.mail_server}:{settings.mail_port} takes our letters.", True


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
