"""Migrations: up, down and up again on a filled database, one at a time, and nothing left over."""

import concurrent.futures
import pathlib
from collections.abc import Callable, Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import text

from server.app import create_app
from server.extensions import db
from server.jobs import schema
from server.settings import Settings, load
from server.trial.sample_clinic import fill
from tests.conftest import SECRETS

VERSIONS = pathlib.Path(schema.__file__).parents[1] / "migrations"


@pytest.fixture
def fresh_app(new_database: Callable[[str], str], settings: Settings) -> Iterator[Flask]:
    app = create_app(
        load({}, **SECRETS, database_url=new_database("frontdesk_migrations"), redis_url=settings.redis_url)
    )
    yield app
    with app.app_context():
        db.engine.dispose()


def counts() -> dict[str, int]:
    return {
        table.name: db.session.execute(text(f'SELECT count(*) FROM "{table.name}"')).scalar_one()
        for table in db.metadata.sorted_tables
    }


def test_M1_up_down_and_up_again_on_a_filled_database(fresh_app: Flask) -> None:
    assert "is at 0011" in schema.upgrade(fresh_app)
    fill(fresh_app)
    with fresh_app.app_context():
        before = counts()
        assert before["appointments"] > 100
        db.session.remove()
        upgrade()  # nothing to do, nothing lost
        assert counts() == before
        db.session.remove()
        downgrade(revision="base")
        left = db.session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        db.session.remove()
        assert left == ["alembic_version"]
        upgrade()
        assert counts()["roles"] == 5


def test_M1_the_tables_in_the_code_and_in_the_database_are_the_same(fresh_app: Flask) -> None:
    schema.upgrade(fresh_app)
    with fresh_app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda _o, name, *_: name != "apscheduler_jobs"}
        )
        assert compare_metadata(context, db.metadata) == []


def test_M1_there_is_one_head_and_the_file_names_it() -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.newest()]


def test_M1_two_migrators_at_once_take_turns(new_database: Callable[[str], str], settings: Settings) -> None:
    import os
    import subprocess
    import sys

    env = {
        **os.environ,
        **{key.upper(): value for key, value in SECRETS.items()},
        "DATABASE_URL": new_database("frontdesk_twice"),
        "REDIS_URL": settings.redis_url,
    }

    def migrate(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "server", "migrate"]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(migrate, range(2)))
    assert [run.returncode for run in done] == [0, 0], [run.stderr[-500:] for run in done]


def test_M2_a_migration_does_not_wait_long_for_a_lock() -> None:
    source = (VERSIONS / "env.py").read_text()
    assert "SET lock_timeout = '3s'" in source
    assert "pg_advisory_lock" in source
