"""Real processes for claims about processes: gunicorn over a database of its own."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import requests

FRONTDESK = [sys.executable, "-m", "server"]


@dataclass
class LiveServer:
    """A running web server. `env`: what another process of it needs to know."""

    url: str
    env: dict[str, str]
    mail_folder: pathlib.Path
    process: subprocess.Popen[bytes]
    log: pathlib.Path
    seconds_to_answer: float = 0.0
    seen: set[pathlib.Path] = field(default_factory=set)

    def run(self, *command: str) -> str:
        """One `frontdesk` command against the same database."""
        done = subprocess.run([*FRONTDESK, *command], env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def send_letters(self) -> list[pathlib.Path]:
        """Send what is due; answers the letters that were not there before."""
        self.run("job", "send-letters")
        fresh = sorted(set(self.mail_folder.glob("*.eml")) - self.seen)
        self.seen.update(fresh)
        return fresh


@contextlib.contextmanager
def start_live_server(
    database_url: str,
    redis_url: str,
    mail_folder: pathlib.Path,
    *,
    fill: bool = True,
    workers: int = 2,
    **env: str,
) -> Iterator[LiveServer]:
    """gunicorn with `workers` processes on a free port; migrated and, with `fill`, filled with the sample clinic."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    full_env = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("DATABASE", "REDIS", "MAIL"))},
        "SECRET_KEY": "s" * 40,
        "JWT_SECRET_KEY": "j" * 40,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "BASE_URL": url,
        "MAIL_FOLDER": str(mail_folder),
        "WEB_WORKERS": str(workers),
        "LOG_LEVEL": "WARNING",
        "STAFF_SECOND_FACTOR": "0",  # tests that are about it turn it on
        **env,
    }
    log = mail_folder / "server.log"
    _migrate_and_fill(full_env, fill=fill)
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [*FRONTDESK, "serve", "--bind", f"127.0.0.1:{port}"], env=full_env, stdout=output, stderr=output
        )
        try:
            wait_until_answers(url, process, log)
            yield LiveServer(url, full_env, mail_folder, process, log, time.monotonic() - began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def wait_until_answers(url: str, process: subprocess.Popen[bytes], log: pathlib.Path, seconds: float = 30) -> None:
    """Poll /healthz; raises with the log when the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/healthz", timeout=2).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server did not come up:\n{log.read_text(errors='replace')[-3000:]}")


def _migrate_and_fill(env: dict[str, str], *, fill: bool) -> None:
    code = "from server.app import create_app; from server.settings import load; from server.jobs import schema\n"
    code += "app = create_app(load()); schema.upgrade(app)\n"
    if fill:
        code += "from server.trial.sample_clinic import fill; fill(app)\n"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
