"""The command line: `frontdesk demo | serve | worker | clock | migrate | create-admin | doctor | job`."""

import os
import signal
import sys
import time
from functools import wraps
from pathlib import Path
from typing import Any

import click
from dotenv import find_dotenv, load_dotenv

from server import settings as settings_module
from server.settings import Settings, SettingsError


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


@main.command()
@click.option("--concurrency", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@with_settings
def worker(settings: Settings, concurrency: int) -> None:
    """The background worker: Celery."""
    _check_servers(settings)
    from server.app import create_app
    from server.jobs.celery_app import celery

    create_app(settings)
    arguments = [
        "--quiet",
        "worker",
        "--loglevel",
        settings.log_level,
        "--concurrency",
        str(concurrency),
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "-n",
        f"frontdesk-{os.getpid()}@%h",
    ]
    celery.worker_main(arguments)
    _begin_again_unless_asked_to_stop(settings)


def _begin_again_unless_asked_to_stop(settings: Settings) -> None:
    """Celery gives up for good, with exit status 0, when Redis answers something else than it expects (it is full)."""
    from celery.worker import state

    from server.jobs.doctor import check_redis

    asked = [one for one in (state.should_stop, state.should_terminate) if one is not None and one is not False]
    if not asked:  # a signal leaves its exit status here, which may be 0
        click.echo("The worker has failed and begins again.", err=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        time.sleep(1)  # not faster when it fails each time
        while not all(good for _, good in check_redis(settings)):
            time.sleep(1)
        os.execv(sys.executable, [sys.executable, "-m", "server", *sys.argv[1:]])  # noqa: S606


@main.command()
@with_settings
def clock(settings: Settings) -> None:
    """The clock: what happens by itself. Start as many as you like, one leads."""
    _check_servers(settings)
    from server.app import create_app
    from server.jobs.clock import run

    run(create_app(settings))


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
            sentences = [f"{field}: {line}" for field, lines in problem.extra["errors"].items() for line in lines]
            raise click.ClickException("\n".join(sentences)) from problem
    click.echo(f"{email} may sign in at {settings.base_url}/login")


@main.command()
def doctor() -> None:
    """Check every setting and service, and say what to do."""
    from server.jobs.doctor import examine

    healthy = True
    for line, good in examine():
        click.echo(("ok    " if good else "WRONG ") + line)
        healthy = healthy and good
    sys.exit(0 if healthy else 1)


@main.command()
@click.argument("name", required=False)
@with_settings
def job(settings: Settings, name: str | None) -> None:
    """Run one row of the timetable now; without NAME, list them."""
    from server.app import create_app
    from server.jobs.timetable import BY_NAME

    if name not in BY_NAME:
        for row in BY_NAME.values():
            click.echo(f"{row.name:26} every {row.every_seconds:>6} s  {row.what}")
        sys.exit(0 if name is None else 2)
    with create_app(settings).app_context():
        click.echo(f"{name}: {BY_NAME[name].run()}")


def _check_servers(settings: Settings, *, redis: bool = True) -> None:
    from server.jobs.doctor import check_database, check_redis

    for line, good in [*check_database(settings), *(check_redis(settings) if redis else [])]:
        if not good:
            raise click.ClickException(line)
