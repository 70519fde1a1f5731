"""Bringing the database to this version."""

import logging

from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask_migrate import Migrate
from flask_migrate import upgrade as run_migrations

from server.extensions import db
from server.services import sealing
from server.services.transaction import sqlstate

log = logging.getLogger(__name__)

# Only ever added to: the database refuses the rest to everybody (migration 0010).
KEPT_TABLES = {"audit_archives", "audit_events", "audit_seals"}

MISSING_EXTENSION = """PostgreSQL's btree_gist is not there yet, and this account may not create it.
Run this once as a superuser, in the database of DATABASE_URL:

    CREATE EXTENSION btree_gist;

(Debian and Ubuntu ship it in the package postgresql-contrib.)"""


class SchemaError(Exception):
    """What keeps the database from being migrated, with what to do."""


def upgrade(app: Flask) -> str:
    """Migrate to the newest revision; says from where to where. Raises SchemaError."""
    Migrate(app, db, directory=f"{app.root_path}/migrations")  # not with every server: loading it takes long
    with app.app_context():
        before = revision()
        try:
            run_migrations()
        except Exception as error:
            if sqlstate(error) in ("42501", "0A000", "58P01") and "btree_gist" in str(error):
                raise SchemaError(MISSING_EXTENSION) from error
            raise
        if sealing.keep_counting():
            log.warning("This database was restored: the numbers of its transactions go on from those on record.")
        return f"The database was at {before or 'nothing'} and is at {revision()} now."


def grants_for(role: str) -> str:
    """SQL, for the owner of the tables, that lets another role run the server: no DDL, and the audit only grows.

    What the clock keeps for itself (apscheduler_jobs) is made here, because the role may not make tables.
    """
    name = '"' + role.replace('"', '""') + '"'
    kept = ", ".join(sorted(KEPT_TABLES))
    others = ", ".join(sorted(set(db.metadata.tables) - KEPT_TABLES))
    return f"""BEGIN;
CREATE TABLE IF NOT EXISTS apscheduler_jobs (
    id varchar(191) PRIMARY KEY, next_run_time double precision, job_state bytea NOT NULL);
CREATE INDEX IF NOT EXISTS ix_apscheduler_jobs_next_run_time ON apscheduler_jobs (next_run_time);
REVOKE CREATE ON SCHEMA public FROM PUBLIC, {name};
GRANT USAGE ON SCHEMA public TO {name};
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name};
GRANT SELECT, INSERT, UPDATE, DELETE ON {others}, apscheduler_jobs TO {name};
GRANT SELECT ON alembic_version TO {name};
GRANT SELECT, INSERT ON {kept} TO {name};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name};
COMMIT;"""


def revision() -> str | None:
    """The revision the database is at; None when it is empty."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision this version of Frontdesk needs."""
    from pathlib import Path

    return (Path(__file__).parent.parent / "migrations" / "HEAD").read_text(encoding="utf-8").strip()
