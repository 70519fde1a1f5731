"""Flask as it is needed here, and our settings in the words of it and its extensions."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
from flask import Flask

from server.settings import Settings
from server.utils.fair_pool import FairPool
from server.utils.rates import Rates
from server.web.caching import JsonOrNothing

# The database answers or refuses within these; nobody waits for a lock for ever. A statement's plan is made once and
# kept: making it takes many times longer than following it, and no statement here needs another one for other values.
CONNECT_OPTIONS = (
    "-c statement_timeout=5000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC"
    " -c plan_cache_mode=force_generic_plan -c jit=off"
)


class Frontdesk(Flask):
    """A Flask without asynchronous doors, which need not look for one behind each function that a request calls."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def flask_config(settings: Settings) -> dict[str, Any]:
    """The configuration of the app; the one place where an extension's option is decided."""
    return {
        **_flask(settings),
        **_database(settings),
        **_redis(settings),
        **_accounts(settings),
        **_second_factors(settings),
        **_api(settings),
        **_mail(settings),
    }


def cors_options(settings: Settings) -> dict[str, Any]:
    """Who may call the API from a browser, and what their scripts may read of an answer beside its body."""
    shown = ["ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"]
    return {"origins": list(settings.cors_origins), "expose_headers": shown, "max_age": 600}


def _flask(settings: Settings) -> dict[str, Any]:
    secure = settings.is_https
    return {
        "FRONTDESK": settings,
        "SECRET_KEY": settings.secret_key,
        "TRUSTED_HOSTS": settings.allowed_hosts,
        "MAX_CONTENT_LENGTH": 1024 * 1024,
        "MAX_FORM_PARTS": 200,
        "SESSION_COOKIE_NAME": "__Host-session" if secure else "session",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=12),
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "BOOTSTRAP_SERVE_LOCAL": True,
        "SEND_FILE_MAX_AGE_DEFAULT": 3600,
    }


def _database(settings: Settings) -> dict[str, Any]:
    return {
        "SQLALCHEMY_DATABASE_URI": settings.sqlalchemy_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "poolclass": FairPool,
            "pool_size": settings.database_pool,
            "max_overflow": 0,
            "pool_timeout": 10,
            "hide_parameters": True,  # an error message never shows a patient's data
            "pool_recycle": 1800,
            "connect_args": {"options": CONNECT_OPTIONS, "connect_timeout": 5},
        },
    }


def _redis(settings: Settings) -> dict[str, Any]:
    timeouts = {"socket_timeout": 2, "socket_connect_timeout": 1}
    return {
        "SESSION_REDIS": redis.Redis.from_url(settings.redis_url, **timeouts),
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": settings.redis_url,
        "CACHE_KEY_PREFIX": "cache:",
        "CACHE_OPTIONS": timeouts,
        "RATES": Rates(settings.redis_url) if settings.rate_limits else None,
        "CACHE_SERIALIZER": JsonOrNothing,  # never pickle: whoever could write into Redis could run code here
    }


def _accounts(settings: Settings) -> dict[str, Any]:
    return {
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SINGLE_HASH": ["argon2"],
        "SECURITY_PASSWORD_SALT": settings.secret_key,
        "SECURITY_PASSWORD_LENGTH_MIN": 12,
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_CONFIRMABLE": True,
        "SECURITY_AUTO_LOGIN_AFTER_CONFIRM": False,
        "SECURITY_CONFIRM_URL": "/account/confirm-by-library",
        "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
        "SECURITY_RESET_PASSWORD_WITHIN": timedelta(hours=2),
        "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
        "SECURITY_POST_LOGIN_VIEW": "/after-sign-in",
        "SECURITY_POST_LOGOUT_VIEW": "/",
        "SECURITY_LOGOUT_METHODS": ["POST"],
        "SECURITY_URL_PREFIX": None,
        "SECURITY_FLASH_MESSAGES": True,
        "SECURITY_DEFAULT_REMEMBER_ME": False,
        "SECURITY_STATIC_FOLDER": None,
    }


def _second_factors(settings: Settings) -> dict[str, Any]:
    return {
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_TOKEN_MAX_AGE": 1,  # of a kind of token that opens nothing here
        "SECURITY_FRESHNESS": timedelta(minutes=15),
        "SECURITY_FRESHNESS_GRACE_PERIOD": timedelta(0),
        "SECURITY_VERIFY_URL": "/sign-in/again",
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,  # whoever reads the mail could choose a new password already
        "SECURITY_TWO_FACTOR_TOKEN_VALIDATION_URL": "/sign-in/code",
        "SECURITY_TWO_FACTOR_SELECT_URL": "/sign-in/second-step",
        "SECURITY_TOTP_SECRETS": {"1": hashlib.sha256(f"totp {settings.secret_key}".encode()).hexdigest()},
        "SECURITY_TOTP_ISSUER": settings.clinic_name.replace(":", " "),
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
        "SECURITY_MULTI_FACTOR_RECOVERY_URL": "/sign-in/recovery-code",
        "SECURITY_WEBAUTHN": True,
        "SECURITY_WAN_RP_NAME": settings.clinic_name,
        "SECURITY_WAN_ALLOW_USER_HINTS": False,
        "SECURITY_WAN_SIGNIN_URL": "/sign-in/passkey",
        "SECURITY_WAN_VERIFY_URL": "/sign-in/again/passkey",
        "SECURITY_WAN_REGISTER_URL": "/account/passkeys/new",
        "SECURITY_WAN_REGISTER_WITHIN": timedelta(minutes=5),
        "SECURITY_WAN_POST_REGISTER_VIEW": "/account",
        # What Flask-Security says, in our words.
        "SECURITY_MSG_TWO_FACTOR_LOGIN_SUCCESSFUL": ("You are signed in.", "success"),
        "SECURITY_MSG_TWO_FACTOR_PERMISSION_DENIED": ("Please sign in once more.", "info"),
        "SECURITY_MSG_REAUTHENTICATION_SUCCESSFUL": ("Thank you. You can go on now.", "success"),
        "SECURITY_MSG_WEBAUTHN_REGISTER_SUCCESSFUL": ("The passkey %(name)s is set up.", "success"),
        "SECURITY_MSG_WEBAUTHN_UNKNOWN_CREDENTIAL_ID": ("We do not know this passkey.", "error"),
        "SECURITY_MSG_WEBAUTHN_CREDENTIAL_ID_INUSE": ("This passkey is set up already.", "error"),
        "SECURITY_MSG_WEBAUTHN_NAME_REQUIRED": ("Give it a name.", "error"),
        "SECURITY_MSG_WEBAUTHN_NAME_INUSE": ("You have a passkey called %(name)s already.", "error"),
        "SECURITY_MSG_WEBAUTHN_NO_VERIFY": ("The passkey was not accepted. Please try again.", "error"),
        "SECURITY_MSG_WEBAUTHN_EXPIRED": ("This took longer than %(within)s. Please try again.", "error"),
        "SECURITY_MSG_API_ERROR": ("The browser sent something we cannot read. Please try again.", "error"),
        "SECURITY_MSG_INVALID_PASSWORD": ("The password is wrong.", "error"),
    }


def _api(settings: Settings) -> dict[str, Any]:
    return {
        "JWT_SECRET_KEY": settings.jwt_secret_key,
        "JWT_ALGORITHM": "HS256",
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_ENCODE_ISSUER": "frontdesk",
        "JWT_DECODE_ISSUER": "frontdesk",
        "JWT_ENCODE_AUDIENCE": "frontdesk-api",
        "JWT_DECODE_AUDIENCE": "frontdesk-api",
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=settings.access_token_minutes),
        "JWT_REFRESH_TOKEN_EXPIRES": timedelta(days=settings.refresh_token_days),
        "API_TITLE": "Frontdesk",
        "API_VERSION": "1",
        "OPENAPI_VERSION": "3.1.0",
    }


def _mail(settings: Settings) -> dict[str, Any]:
    return {
        "MAIL_BACKEND": (
            "server.trial.eml_backend.EmailBackend" if settings.mail_folder else "server.jobs.smtp_backend.EmailBackend"
        ),
        "MAIL_FILE_PATH": settings.mail_folder or None,
        "MAIL_SERVER": settings.mail_server or "localhost",
        "MAIL_PORT": settings.mail_port,
        "MAIL_USERNAME": settings.mail_username or None,
        "MAIL_PASSWORD": settings.mail_password or None,
        "MAIL_USE_TLS": settings.mail_use_tls and bool(settings.mail_server),
        "MAIL_TIMEOUT": 20,
        "MAIL_DEFAULT_SENDER": settings.mail_sender,
    }
