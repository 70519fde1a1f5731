"""The command line: `frontdesk demo | serve | worker | clock | migrate | create-admin | doctor | job | ...`."""

import os
import sys
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from dotenv import find_dotenv, load_dotenv

from server import settings as settings_module
from server.settings import Settings, SettingsError

MAX_BOUNCE = 10 * 1024 * 1024  # bytes of a mail that came back that are read


@click.group()
@click.version_option(package_name="frontdesk")
def main() -> None:
    """Frontdesk, the self-hosted front desk of a clinic."""
    load_dotenv(find_dotenv(usecwd=True))


def with_settings(command: Any) -> Any:
    """Read the settings, or say what is wrong with them and stop."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            loaded = settings_module.load()
        except SettingsError as problem:
            raise click.ClickException(f"{problem}\n(.env.example says what each setting is for.)") from problem
        return command(loaded, *args, **kwargs)

    return wrapper


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port on 127.0.0.1.")
@click.option(
    "--data",
    default="frontdesk-demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of its data.",
)
def demo(port: int, data: Path) -> None:
    """Try everything, with a sample clinic and nothing to install."""
    if os.environ.get("DATABASE_URL"):
        raise click.ClickException(
            "DATABASE_URL is set: the demo and its accounts must never meet real data. Unset it first."
        )
    from server.trial.demo import DemoError, run

    try:
        sys.exit(run(port=port, data=data))
    except DemoError as problem:
        raise click.ClickException(str(problem)) from problem


@main.command("prepare-demo", hidden=True)
@with_settings
def prepare_demo(settings: Settings) -> None:
    """Tables and sample clinic: a step of `frontdesk demo`, in a process of its own."""
    if not settings.demo:
        raise click.ClickException("This is a step of `frontdesk demo` and of nothing else.")
    from server.app import create_app
    from server.jobs import schema
    from server.trial.sample_clinic import fill

    app = create_app(settings)
    schema.upgrade(app)
    fill(app)


@main.command()
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="Address and port.")
@with_settings
def serve(settings: Settings, bind: str) -> None:
    """The web server: gunicorn with gevent workers."""
    _check_servers(settings)
    conf = Path(__file__).parent / "gunicorn_conf.py"
    # exec: gunicorn gets the signals, and gevent patches a fresh process before anything else is imported
    os.execv(  # noqa: S606
        sys.executable,
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            str(conf),
            "--bind",
            bind,
            "--workers",
            str(settings.web_workers),
            "server.wsgi:app",
        ],
    )


def _queues(_context: Any, _option: Any, value: str) -> list[str]:
    from server.jobs.celery_app import QUEUES

    chosen = list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not chosen or not set(chosen) <= set(QUEUES):
        raise click.BadParameter(f"Choose from {', '.join(QUEUES)}, separated by commas.")
    return chosen


@main.command()
@click.option(
    "--queues", default="now,letters,bulk", show_default=True, callback=_queues, help="What this worker takes."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    help="Processes for each queue.  [default: 2]",
)
@click.option("--clock", "keeps_time", is_flag=True, help="Keep time as well, where memory is scarce.")
@with_settings
def worker(settings: Settings, queues: list[str], concurrency: int | None, keeps_time: bool) -> None:
    """The background worker: Celery, for each queue with processes of its own."""
    _check_servers(settings)
    from server.app import create_app
    from server.jobs.worker import run

    create_app(settings)
    run(settings, queues, concurrency=concurrency, keeps_time=keeps_time)


@main.command()
@with_settings
def clock(settings: Settings) -> None:
    """The clock: what happens by itself. Start as many as you like, one leads."""
    _check_servers(settings)
    from server.jobs.celery_app import configure
    from server.jobs.clock import run
    from server.web.logs import init_logging

    init_logging(settings.log_level)
    configure(settings.redis_url)
    run(settings)


@main.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Bring the database to this version."""
    _check_servers(settings, redis=False)
    from server.app import create_app
    from server.jobs import schema

    click.echo(schema.upgrade(create_app(settings)))


@main.command("create-admin")
@click.option("--email", prompt=True)
@click.option("--name", prompt=True, default="")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@with_settings
def create_admin(settings: Settings, email: str, name: str, password: str) -> None:
    """Make the first administrator."""
    from server.app import create_app
    from server.errors import Invalid
    from server.services import accounts

    with create_app(settings).app_context():
        try:
            accounts.create_administrator(email=email, password=password, name=name)
        except Invalid as problem:
            raise click.ClickException(_sentences(problem)) from problem
    click.echo(f"{email} may sign in at {settings.base_url}/login")


@main.command("invite")
@click.option("--email", prompt=True)
@click.option("--name", prompt=True)
@click.option("--role", prompt=True, type=click.Choice(["administrator", "front-desk", "practitioner", "auditor"]))
@with_settings
def invite(settings: Settings, email: str, name: str, role: str) -> None:
    """Invite a member of staff: a letter with which they choose their own password."""
    from server.app import create_app
    from server.errors import Invalid
    from server.services import access, staff_accounts

    with create_app(settings).app_context():
        try:
            staff_accounts.invite(email=email, name=name, role=role, actor=access.SYSTEM)
        except Invalid as problem:
            raise click.ClickException(_sentences(problem)) from problem
    click.echo(f"An invitation to {email} is on its way. Its link works for seven days.")


@main.command("reset-second-factor")
@click.argument("email")
@with_settings
def reset_second_factor(settings: Settings, email: str) -> None:
    """Let somebody in by password alone who lost phone, passkeys and recovery codes. Be sure who asks."""
    from server.app import create_app
    from server.services import access, staff_accounts

    with create_app(settings).app_context():
        user_id = staff_accounts.find(email)
        if user_id is None:
            raise click.ClickException("There is no account with this address.")
        staff_accounts.reset_second_factor(user_id, actor=access.SYSTEM)
    click.echo(f"{email} signs in by password alone now, and is told by letter.")


@main.command()
@click.option("--mail-to", metavar="ADDRESS", help="Send a test letter there, and explain what becomes of it.")
def doctor(mail_to: str | None) -> None:
    """Check every setting and service, and say what to do."""
    from server.jobs.doctor import examine
    from server.jobs.mail_doctor import try_mail

    healthy = True
    for line, good in examine() if mail_to is None else try_mail(mail_to):
        click.echo(("ok    " if good else "WRONG ") + line)
        healthy = healthy and good
    sys.exit(0 if healthy else 1)


@main.command()
@with_settings
def bounce(settings: Settings) -> None:
    """Take note of a letter that came back: a delivery report on the standard input, from the mail server's pipe."""
    from sqlalchemy.exc import SQLAlchemyError

    from server.app import create_app
    from server.services import bounces

    with create_app(settings).app_context():
        try:
            click.echo(bounces.read_report(sys.stdin.buffer.read(MAX_BOUNCE)))
        except SQLAlchemyError as problem:
            click.echo(f"The database does not answer ({type(problem).__name__}); please try again.", err=True)
            sys.exit(os.EX_TEMPFAIL)  # the mail server keeps the report and comes again


@main.command()
@click.argument("name", required=False)
@with_settings
def job(settings: Settings, name: str | None) -> None:
    """Run one row of the timetable now; without NAME, list them."""
    from server.app import create_app
    from server.jobs.timetable import BY_NAME
    from server.services import runs

    if name not in BY_NAME:
        for row in BY_NAME.values():
            click.echo(f"{row.name:26} every {row.every_seconds:>6} s  {row.what}")
        sys.exit(0 if name is None else 2)
    with create_app(settings).app_context():
        click.echo(f"{name}: {runs.carry_out(BY_NAME[name])}")


@main.group()
def audit() -> None:
    """What is on record: whether it is as it was sealed, and who may touch it."""


@audit.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The ledger of seals.  [default: AUDIT_FOLDER]",
)
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    metavar="HEX",
    help="A key to trust instead of this server's own; for the time before a change of keys give both.",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read the events of a file that `audit archive` wrote, instead of those in the database.",
)
@with_settings
def verify(settings: Settings, folder: Path | None, public_keys: tuple[str, ...], archive: Path | None) -> None:
    """Read every event on record; the first that was changed, added or removed is named, and the exit status is 1."""
    from server.app import create_app
    from server.services import audit_check, audit_ledger, sealing
    from server.utils.signing import public_half

    try:
        trusted = {bytes.fromhex(key) for key in public_keys} or {public_half(sealing.key_of(settings))}
    except ValueError as problem:
        raise click.ClickException("A public key is 64 hexadecimal digits.") from problem
    folder = folder or (Path(settings.audit_folder) if settings.audit_folder else None)
    if folder is None:
        click.echo(
            "Without a ledger (AUDIT_FOLDER or --folder) nobody can tell whether the newest seals were cut off.",
            err=True,
        )
    with create_app(settings).app_context():
        seals = audit_ledger.read(folder) if folder else ()
        verdict = audit_check.verify(seals, trusted=frozenset(trusted), archive=archive)
    if verdict.wrong is not None:
        click.echo(f"WRONG {verdict.wrong}")
        sys.exit(1)
    click.echo(f"ok    {verdict.events} events are as they were sealed. There are {verdict.seals} seals.")
    click.echo(f"      {verdict.unsealed} events wait to be sealed.")


@audit.command("archive")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Events sealed before this day (UTC).")
@with_settings
def archive_events(settings: Settings, file: Path, before: datetime) -> None:
    """Move old events into FILE (JSON lines, gzip), after verifying all; for the owner of the tables."""
    from server.app import create_app
    from server.errors import DomainError
    from server.services import audit_archive, audit_ledger, sealing

    folder = Path(settings.audit_folder) if settings.audit_folder else None
    with create_app(settings).app_context():
        try:
            events = audit_archive.archive(
                file,
                before=before.replace(tzinfo=UTC),
                key=sealing.key_of(settings),
                ledger=audit_ledger.read(folder) if folder else (),
            )
        except (DomainError, OSError) as problem:
            raise click.ClickException(str(problem)) from problem
    click.echo(f"{events} events are in {file}, and no longer in the database. Keep it where nobody can change it.")


@audit.command()
@with_settings
def key(settings: Settings) -> None:
    """Print the public half of the key that signs. Keep it elsewhere: with it anybody can verify."""
    from server.services import sealing
    from server.utils.signing import public_half

    click.echo(public_half(sealing.key_of(settings)).hex())


@audit.command()
@click.argument("role")
@with_settings
def grants(settings: Settings, role: str) -> None:
    """Print SQL that gives ROLE what the server needs, and on the audit nothing but to read and to add."""
    from server.app import create_app
    from server.jobs.schema import grants_for

    create_app(settings)
    click.echo(grants_for(role))


def _sentences(problem: Any) -> str:
    return "\n".join(f"{field}: {line}" for field, lines in problem.extra["errors"].items() for line in lines)


def _check_servers(settings: Settings, *, redis: bool = True) -> None:
    from server.jobs.doctor import check_database, check_redis

    for line, good in [*check_database(settings), *(check_redis(settings) if redis else [])]:
        if not good:
            raise click.ClickException(line)
