"""Rate limits: how often, per account and per address. Counted in Redis, in memory while Redis is away."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import current_app, request
from limits import parse_many
from werkzeug.exceptions import TooManyRequests

from server.errors import DomainError
from server.utils.rates import Rates
from server.web.identity import current_actor
from server.web.rest import read_json


def per_account() -> str:
    """The signed-in account, or the address."""
    actor = current_actor()
    return f"user:{actor.user_id}" if actor.user_id else f"ip:{request.remote_addr}"


def per_address_and_email() -> str:
    """The account somebody tries to enter, whoever they are; hashed, because Redis gets no addresses to read."""
    try:
        sent: Any = read_json() if request.is_json else request.form
    except DomainError:  # the door says what is wrong with it
        sent = {}
    email = str(sent.get("email") if isinstance(sent, Mapping) else "").strip().lower()
    return f"email:{hashlib.sha256(email.encode()).hexdigest()}"


def per_address() -> str:
    return f"ip:{request.remote_addr}"


class Limit:
    """How often somebody may come to the doors that share it: a decorator of views."""

    def __init__(self, most: str, *, scope: str, who: Callable[[], str]) -> None:
        self.items, self.scope, self.who = parse_many(most), scope, who

    def __call__(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.demand()
            return view(*args, **kwargs)

        return wrapper

    def demand(self) -> None:
        """Count this request. Raises TooManyRequests, which says for how long to wait."""
        rates: Rates | None = current_app.config["RATES"]
        if rates is None:
            return
        who = self.who()
        for item in self.items:
            if seconds := rates.count(item, "limit", who, self.scope):
                raise TooManyRequests(retry_after=int(seconds))


# In this order: guesses at an account that are refused use up nothing of what others at the same address have.
sign_in_limits = [
    Limit("10 per minute; 100 per hour", scope="sign-in-email", who=per_address_and_email),
    Limit("120 per minute", scope="sign-in-address", who=per_address),
]
second_step_limit = Limit("60 per minute", scope="second-step", who=per_address)
sign_in_again_limit = Limit("10 per minute; 30 per hour", scope="sign-in-again", who=per_account)
change_sign_in_limit = Limit("60 per hour", scope="change-sign-in", who=per_account)
new_password_limits = [
    Limit("5 per hour", scope="new-password-email", who=per_address_and_email),
    Limit("60 per hour", scope="new-password", who=per_address),
]
register_limit = Limit("60 per hour", scope="register", who=per_address)
booking_limit = Limit("600 per minute", scope="booking", who=per_account)
hold_limit = Limit("120 per minute", scope="hold", who=per_account)
test_letter_limit = Limit("30 per hour", scope="test-letter", who=per_account)
feed_limit = Limit("120 per minute", scope="calendar-feed", who=per_address)
new_feed_limit = Limit("30 per hour", scope="new-calendar-feed", who=per_account)
hook_limit = Limit("1200 per minute", scope="hook", who=per_address)
bulk_limit = Limit("120 per hour", scope="bulk", who=per_account)
