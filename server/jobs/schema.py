"""Bringing the database to this version."""

from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask_migrate import upgrade as run_migrations

from server.extensions import db
from server.services.transaction import sqlstate

MISSING_EXTENSION = """PostgreSQL's btree_gist is not there yet, and this account may not create it.
Run this once as a superuser, in the database of DATABASE_URL:

    CREATE EXTENSION btree_gist;

(Debian and Ubuntu ship it in the package postgresql-contrib.)"""


class SchemaError(Exception):
    """What keeps the database from being migrated, with what to do."""


def upgrade(app: Flask) -> str:
    """Migrate to the newest revision; says from where to where. Raises SchemaError."""
    with app.app_context():
        before = revision()
        try:
            run_migrations()
        except Exception as error:
            if sqlstate(error) in ("42501", "0A000", "58P01") and "btree_gist" in str(error):
                raise SchemaError(MISSING_EXTENSION) from error
            raise
        return f"The database was at {before or 'nothing'} and is at {revision()} now."


def revision() -> str | None:
    """The revision the database is at; None when it is empty."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision this version of Frontdesk needs."""
    from pathlib import Path

    return (Path(__file__).parent.parent / "migrations" / "HEAD").read_text(encoding="utf-8").strip()
