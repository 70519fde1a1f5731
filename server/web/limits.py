"""Rate limits: how often, per account and per address. Counted in Redis, in memory while Redis is away."""

import hashlib
from collections.abc import Mapping
from typing import Any

from flask import request

from server.errors import DomainError
from server.extensions import limiter
from server.utils import clock
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


def seconds_to_wait() -> int:
    """Until the limit that this request broke counts anew."""
    broken = limiter.current_limit
    return max(1, int(broken.reset_at - clock.now().timestamp())) if broken else 60


sign_in_limits = [
    limiter.shared_limit("10 per minute; 100 per hour", scope="sign-in-email", key_func=per_address_and_email),
    limiter.shared_limit("120 per minute", scope="sign-in-address", key_func=per_address),
]
second_step_limit = limiter.shared_limit("60 per minute", scope="second-step", key_func=per_address)
sign_in_again_limit = limiter.shared_limit("10 per minute; 30 per hour", scope="sign-in-again", key_func=per_account)
change_sign_in_limit = limiter.shared_limit("60 per hour", scope="change-sign-in", key_func=per_account)
new_password_limits = [
    limiter.shared_limit("5 per hour", scope="new-password-email", key_func=per_address_and_email),
    limiter.shared_limit("60 per hour", scope="new-password", key_func=per_address),
]
register_limit = limiter.shared_limit("60 per hour", scope="register", key_func=per_address)
booking_limit = limiter.shared_limit("600 per minute", scope="booking", key_func=per_account)
hold_limit = limiter.shared_limit("120 per minute", scope="hold", key_func=per_account)
test_letter_limit = limiter.shared_limit("30 per hour", scope="test-letter", key_func=per_account)
feed_limit = limiter.shared_limit("120 per minute", scope="calendar-feed", key_func=per_address)
new_feed_limit = limiter.shared_limit("30 per hour", scope="new-calendar-feed", key_func=per_account)
hook_limit = limiter.shared_limit("1200 per minute", scope="hook", key_func=per_address)
bulk_limit = limiter.shared_limit("120 per hour", scope="bulk", key_func=per_account)
