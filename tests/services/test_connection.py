"""What a connection to the database remembers."""

import psycopg
import pytest
from sqlalchemy import text

from server.extensions import Connection, db

KEPT = "SELECT count(*) FROM pg_prepared_statements"


def ask(connection: psycopg.Connection) -> int:
    for _ in range(6):
        connection.execute("SELECT %s::text", ["x"])
    connection.rollback()
    row = connection.execute(KEPT).fetchone()
    return row[0] if row else 0


@pytest.mark.real_commits
def test_a_plan_outlives_a_rollback(context: None) -> None:
    driver = db.session.connection().connection.driver_connection
    assert isinstance(driver, Connection)
    assert ask(driver) > 0
    assert db.session.scalar(text("SELECT 1")) == 1


def test_control_psycopg_alone_forgets_it(app) -> None:
    with psycopg.connect(app.config["FRONTDESK"].postgresql_url) as plain:
        assert ask(plain) == 0
