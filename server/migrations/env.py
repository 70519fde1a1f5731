"""Migrations with seat belts: one at a time, never waiting long for a lock."""

from alembic import context
from flask import current_app
from sqlalchemy import text

from server.extensions import db

LOCK = 7_309_874_112  # any number, the same for every migrator


def include_object(thing, name, type_, reflected, compare_to):
    return not (type_ == "table" and reflected and name == "apscheduler_jobs")


def run_migrations_online() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        # Two migrators take turns; the second finds nothing left to do.
        connection.execute(text("SET lock_timeout = '2min'"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        connection.execute(text("SET lock_timeout = '3s'"))
        connection.execute(text("SET statement_timeout = '10min'"))
        connection.commit()
        try:
            context.configure(
                connection=connection,
                target_metadata=db.metadata,
                include_object=include_object,
                transaction_per_migration=True,
            )
            with context.begin_transaction():
                context.run_migrations()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
            connection.execute(text("RESET lock_timeout; RESET statement_timeout"))
            connection.commit()


run_migrations_online()
