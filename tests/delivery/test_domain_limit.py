"""One domain of readers gets so many letters a minute; what is over it waits and is never lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from server.extensions import db
from server.jobs import domain_limit
from server.jobs.letters import send_due
from server.models import OutboxMessage
from tests.cast import Cast
from tests.postman import Postman

Booked = Callable[..., Any]


@pytest.fixture
def five_letters(cast: Cast, booked: Booked) -> None:
    """Three to example.com and, between them, two to another domain."""
    for number, hour in enumerate((9, 10, 11, 12, 13)):
        booked(cast.bea if number % 2 else cast.ana, hour=hour)
    cast.patient(cast.bea).email = "bea@Example.NET"
    db.session.commit()


def state() -> list[tuple[str | None, int]]:
    found = db.session.execute(select(OutboxMessage.outcome, OutboxMessage.attempts))
    return sorted((tuple(row) for row in found), key=lambda row: row[0] or "waiting")


def a_minute_later() -> None:
    """Whoever waits is due again."""
    db.session.execute(update(OutboxMessage).values(leased_until=text("clock_timestamp() - interval '1 second'")))
    db.session.commit()


def forget_counts(app: Flask) -> None:
    app.config["SESSION_REDIS"].flushdb()


def test_what_is_over_the_limit_waits_and_uses_up_no_try(
    app: Flask, mail: Postman, set_up: Callable[..., None], five_letters: None
) -> None:
    set_up(mail_per_domain_a_minute=2)
    assert send_due() == 4
    assert sorted(mail.asked) == ["ana@example.com"] * 2 + ["bea@Example.NET"] * 2, "others do not wait for it"
    assert state() == [("sent", 1)] * 4 + [(None, 0)]
    waiting = select(OutboxMessage.leased_until - text("clock_timestamp()")).where(OutboxMessage.outcome.is_(None))
    assert 0 < db.session.scalars(waiting).one().total_seconds() <= 61
    assert send_due() == 0, "it is not asked about again and again"
    a_minute_later()
    forget_counts(app)
    assert send_due() == 1
    assert state() == [("sent", 1)] * 5


def test_control_without_a_limit_nobody_waits(mail: Postman, five_letters: None) -> None:
    assert send_due() == 5


def test_two_workers_count_together(app: Flask, mail: Postman, set_up: Callable[..., None], five_letters: None) -> None:
    set_up(mail_per_domain_a_minute=2)
    assert send_due() == 4
    domain_limit._rates.cache_clear()  # as another process, which has nothing in its memory
    a_minute_later()
    assert send_due() == 0


def test_while_redis_is_away_each_worker_counts_for_itself(
    app: Flask, mail: Postman, five_letters: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = replace(app.config["FRONTDESK"], mail_per_domain_a_minute=2, redis_url="redis://127.0.0.1:1/0")
    monkeypatch.setitem(app.config, "FRONTDESK", away)
    domain_limit._rates.cache_clear()
    assert send_due() == 4
    assert (None, 0) in state()


def test_redis_gets_no_address_to_read(
    app: Flask, mail: Postman, set_up: Callable[..., None], five_letters: None
) -> None:
    set_up(mail_per_domain_a_minute=2)
    send_due()
    keys = b" ".join(app.config["SESSION_REDIS"].keys("*"))
    assert b"mail-domain" in keys
    assert b"example" not in keys
