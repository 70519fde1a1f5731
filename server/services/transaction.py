"""The only place that commits: one command, one transaction."""

import functools
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ParamSpec, TypeVar, cast

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from server.errors import Unavailable
from server.extensions import db

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)

# SQLSTATEs after which the same command may simply be tried again (PostgreSQL, appendix A).
SERIALIZATION_FAILURE, DEADLOCK, LOCK_TIMEOUT = "40001", "40P01", "55P03"
EXCLUSION_VIOLATION = "23P01"
ATTEMPTS = 4  # one and three retries


class TooBusy(Unavailable):
    """The command was a victim of deadlocks or lock timeouts every time."""

    detail_text = "Too many people are changing the same thing at this moment. Please try again."
    slug, title = "too-busy", "Please try again"


@contextmanager
def atomic() -> Iterator[None]:
    """Commit at the end of the outermost block, roll everything back when it raises; inner blocks join.

    What was given to `after_commit` runs after the commit, in order. (`with db.session.begin()` cannot be
    used here: reading the signed-in user has already begun a transaction.)
    """
    session = db.session()
    if session.info.get("in_atomic"):
        yield
        return
    session.info["in_atomic"], session.info["after_commit"] = True, []
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise
    else:
        callbacks = session.info["after_commit"]
    finally:
        session.info["in_atomic"] = False
    for callback in callbacks:
        try:
            callback()
        except Exception:
            # The change is safe; what the callback would have hurried, the sweep of the clock does later.
            log.exception("A callback after the commit failed: %s", callback)


def after_commit(callback: Callable[[], object]) -> None:
    """Run `callback` once the surrounding atomic block has committed; once, however often it is asked for."""
    session = db.session()
    if not session.info.get("in_atomic"):
        raise RuntimeError("after_commit() belongs inside atomic().")
    if callback not in session.info["after_commit"]:
        session.info["after_commit"].append(callback)


def retried(command: Callable[P, R]) -> Callable[P, R]:
    """A command that is tried again, at most three times, when the database chose it as a victim.

    Inside an atomic block it runs once: whoever opened the block is the one who can repeat it.
    Raises TooBusy (503) when every attempt was a victim.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if db.session().info.get("in_atomic"):
            return command(*args, **kwargs)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return command(*args, **kwargs)
            except DBAPIError as error:
                if sqlstate(error) not in (SERIALIZATION_FAILURE, DEADLOCK, LOCK_TIMEOUT):
                    raise
                log.warning("Attempt %d of %s was a victim of %s", attempt, command.__name__, sqlstate(error))
                if attempt < ATTEMPTS:
                    time.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311 - spreads, hides nothing
        raise TooBusy(TooBusy.detail_text)

    return wrapper


def database_now() -> datetime:
    """This instant by the database's clock, which is the same for every machine of the clinic."""
    return cast(datetime, db.session.scalar(select(func.clock_timestamp())))


def transaction_now() -> object:
    """What tells one transaction of this thread from the next; None outside of one."""
    return db.session().get_transaction()


def sqlstate(error: Exception) -> str | None:
    """The five characters with which PostgreSQL names an error."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def abandon() -> None:
    """Forget what an interrupted request or task had begun."""
    db.session().rollback()


def commit() -> None:
    """Commit for a library that insists on saying when (Flask-Security's datastore), and for nobody else."""
    with atomic():
        db.session.flush()
