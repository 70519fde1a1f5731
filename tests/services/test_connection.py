"""What a connection to the database remembers."""

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.pool import Pool

from server.extensions import Connection, db, demand_line
from tests.cast import Cast
from tests.resources.asking import Api

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


GOODBYE = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def restart_the_database(app: Flask) -> None:
    """As far as those can tell who are connected."""
    with psycopg.connect(app.config["FRONTDESK"].postgresql_url, autocommit=True) as other:
        other.execute(GOODBYE)


@pytest.mark.real_commits
def test_nobody_notices_that_the_database_was_restarted(app: Flask, cast: Cast, api_client: Api) -> None:
    db.session.commit()
    ana = api_client(cast.ana)
    assert ana.get("/me").status_code == 200
    restart_the_database(app)
    assert ana.get("/me").status_code == 200


@pytest.mark.real_commits
def test_control_without_a_look_at_the_line_somebody_would(app: Flask, cast: Cast, api_client: Api) -> None:
    db.session.commit()
    ana = api_client(cast.ana)
    assert ana.get("/me").status_code == 200
    event.remove(Pool, "checkout", demand_line)
    try:
        restart_the_database(app)
        assert ana.get("/me").status_code == 503
    finally:
        event.listen(Pool, "checkout", demand_line)
    assert ana.get("/me").status_code == 200
