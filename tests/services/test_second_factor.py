"""Many at once: a code is used once, guesses are counted one by one, and refreshes that cross stay one sign-in."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from server.errors import DomainError
from server.extensions import db
from server.models import RefreshToken, TokenFamily, User
from server.services import second_factor, tokens
from server.services.access import visitor
from tests.cast import Cast
from tests.second_step import Phone

pytestmark = [pytest.mark.real_commits, pytest.mark.usefixtures("still_codes")]
LATELY = timedelta(days=1)


@pytest.fixture
def at_once(app: Flask) -> Callable[[Callable[..., Any], list[Any]], Counter[str]]:
    """`at_once(do, values)`: each in a thread of its own; how often it ended how."""

    def run(do: Callable[[Any], Any], values: list[Any]) -> Counter[str]:
        def one(value: Any) -> str:
            with app.app_context():
                try:
                    do(value)
                    return "right"
                except DomainError as refusal:
                    return refusal.slug
                finally:
                    db.session.remove()

        with ThreadPoolExecutor(8) as pool:
            return Counter(pool.map(one, values))

    return run


def set_up(cast: Cast) -> tuple[Phone, list[str]]:
    user = db.session.get_one(User, cast.ana.user_id)
    offered = second_factor.offer(user)
    phone = Phone(offered.key)
    codes = second_factor.turn_on(offered.kept, phone.code(steps=-1), actor=cast.ana.actor)
    db.session.remove()
    return phone, codes


def test_H8_of_five_who_send_the_same_code_one_gets_in(cast: Cast, at_once: Any) -> None:
    phone, codes = set_up(cast)
    for code in (phone.code(), codes[0]):
        outcomes = at_once(lambda each: second_factor.check(cast.ana.user_id, each, actor=visitor()), [code] * 5)
        assert outcomes == {"right": 1, "second-factor-required": 4}
        second_factor.check(cast.ana.user_id, codes[7] if code == codes[0] else codes[6], actor=visitor())


def test_H8_forty_guesses_at_once_are_five(cast: Cast, at_once: Any) -> None:
    set_up(cast)
    guesses = [f"{number:06}" for number in range(40)]
    outcomes = at_once(lambda each: second_factor.check(cast.ana.user_id, each, actor=visitor()), guesses)
    assert outcomes == {"second-factor-required": 5, "too-many-codes": 35}


def test_H6_of_many_refreshes_at_once_all_get_the_same_one_token(cast: Cast, at_once: Any) -> None:
    family_id = tokens.begin_family(cast.ana.user_id, secret="first", lifetime=LATELY, actor=visitor())
    seen = []

    def refresh(secret: str) -> None:
        seen.append(
            tokens.rotate(family_id=family_id, old_secret=secret, secret_key="k", lifetime=LATELY, actor=visitor())
        )

    assert at_once(refresh, ["first"] * 8) == {"right": 8}
    assert len(set(seen)) == 1
    assert db.session.scalar(select(func.count()).select_from(RefreshToken)) == 2
    assert db.session.scalars(select(TokenFamily.revoked_at)).all() == [None]
