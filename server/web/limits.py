"""Rate limits: how often, per account and per address. Counted in Redis, in memory while Redis is away."""

from flask import request

from server.extensions import limiter
from server.web.identity import current_actor


def per_account() -> str:
    """The signed-in account, or the address."""
    actor = current_actor()
    return f"user:{actor.user_id}" if actor.user_id else f"ip:{request.remote_addr}"


def per_address_and_email() -> str:
    """The account somebody tries to enter, whoever they are."""
    sent = request.get_json(silent=True) if request.is_json else request.form
    email = sent.get("email") if hasattr(sent, "get") else ""
    return f"email:{str(email).strip().lower()[:254]}"


def per_address() -> str:
    return f"ip:{request.remote_addr}"


sign_in_limits = [
    limiter.shared_limit("10 per minute; 100 per hour", scope="sign-in-email", key_func=per_address_and_email),
    limiter.shared_limit("120 per minute", scope="sign-in-address", key_func=per_address),
]
register_limit = limiter.shared_limit("60 per hour", scope="register", key_func=per_address)
booking_limit = limiter.shared_limit("600 per minute", scope="booking", key_func=per_account)
hold_limit = limiter.shared_limit("120 per minute", scope="hold", key_func=per_account)
