"""Settings: frozen, typed, from the environment (or .env), complete before anything starts.

Every secret NAME may also be given as NAME_FILE, the path of a file that holds it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECRETS = {
    "secret_key",
    "jwt_secret_key",
    "jwt_secret_key_previous",
    "database_url",
    "redis_url",
    "mail_password",
    "sms_token",
    "dkim_key",
    "webhook_secret",
    "sentry_dsn",
    "audit_key",
}


class SettingsError(Exception):
    """A setting is missing or wrong; the sentences say which, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. The names in the environment are these in capitals; .env.example says what each is for."""

    secret_key: str
    jwt_secret_key: str
    database_url: str
    redis_url: str
    jwt_secret_key_previous: str = ""
    base_url: str = "http://127.0.0.1:8000"
    clinic_name: str = "Frontdesk"
    trusted_hosts: tuple[str, ...] = ()
    proxy_hops: int = 0
    cors_origins: tuple[str, ...] = ()
    web_workers: int = 2
    database_pool: int = 5
    hold_minutes: int = 5
    access_token_minutes: int = 15
    refresh_token_days: int = 30
    staff_second_factor: bool = True
    mail_server: str = ""
    mail_port: int = 587
    mail_username: str = ""
    mail_password: str = ""
    mail_use_tls: bool = True
    mail_sender: str = "Frontdesk <frontdesk@localhost>"
    mail_return_path: str = ""
    mail_per_domain_a_minute: int = 0
    mail_folder: str = ""
    dkim_key: str = ""
    dkim_selector: str = ""
    dkim_domain: str = ""
    sms_gateway: str = "json"
    sms_url: str = ""
    sms_account: str = ""
    sms_token: str = ""
    sms_sender: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""
    heartbeat_url: str = ""
    rate_limits: bool = True
    allow_private_urls: bool = False
    audit_key: str = ""
    audit_folder: str = ""
    sentry_dsn: str = ""
    log_level: str = "INFO"
    demo: bool = False

    @property
    def is_https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def allowed_hosts(self) -> list[str]:
        """Host names this server answers to: that of `base_url` and `trusted_hosts`."""
        own = urlsplit(self.base_url).hostname or ""
        loopback = ["127.0.0.1", "localhost", "[::1]"]
        return [own, *self.trusted_hosts, *loopback]

    @property
    def postgresql_url(self) -> str:
        """`database_url` for libpq, whichever of the usual schemes it came with."""
        return "postgresql://" + self.database_url.partition("://")[2]

    @property
    def sqlalchemy_url(self) -> str:
        """`database_url` for SQLAlchemy with psycopg 3."""
        return "postgresql+psycopg://" + self.database_url.partition("://")[2]


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from `environ` (os.environ), then `overrides`.

    Raises SettingsError with one sentence for each thing that is missing or wrong.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in fields(Settings):
        name = field.name.upper()
        try:
            raw = _read(environ, name, secret=field.name in SECRETS)
            if raw is not None:
                values[field.name] = _convert(raw, field.type)
        except (ValueError, OSError) as problem:
            problems.append(f"{name}: {problem}")
    values.update(overrides)
    for needed in ("secret_key", "jwt_secret_key", "database_url", "redis_url"):
        if not values.get(needed) and not any(p.startswith(needed.upper() + ":") for p in problems):
            problems.append(f"{needed.upper()} is not set.")
    problems += _wrong(values)
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**values)


def _read(environ: Mapping[str, str], name: str, *, secret: bool) -> str | None:
    if secret and (path := environ.get(f"{name}_FILE")):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(name)


def _convert(raw: str, kind: Any) -> Any:
    if kind is int:
        return int(raw)
    if kind is bool:
        if raw.lower() in ("1", "true", "yes", "on"):
            return True
        if raw.lower() in ("0", "false", "no", "off", ""):
            return False
        raise ValueError(f"{raw!r} is neither yes nor no.")
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    return raw


def _wrong(values: Mapping[str, Any]) -> list[str]:
    found = []
    for key in ("secret_key", "jwt_secret_key", "jwt_secret_key_previous"):
        if values.get(key) and len(values[key]) < 32:
            found.append(f"{key.upper()} is too short: 32 characters or more, for example from `openssl rand -hex 32`.")
    if values.get("secret_key") and values.get("secret_key") == values.get("jwt_secret_key"):
        found.append("JWT_SECRET_KEY must differ from SECRET_KEY.")
    if values.get("jwt_secret_key_previous") and values["jwt_secret_key_previous"] in (
        values.get("secret_key"),
        values.get("jwt_secret_key"),
    ):
        found.append("JWT_SECRET_KEY_PREVIOUS is the key before JWT_SECRET_KEY, and no other one.")
    if values.get("database_url") and not values["database_url"].startswith(
        ("postgresql:", "postgres:", "postgresql+psycopg:")
    ):
        found.append("DATABASE_URL must be a postgresql:// address: Frontdesk knows one database.")
    if not values.get("base_url", "http://").startswith(("http://", "https://")):
        found.append("BASE_URL must start with http:// or https://.")
    if not 0 < values.get("hold_minutes", 5) <= 60:
        found.append("HOLD_MINUTES must be between 1 and 60.")
    if values.get("web_workers", 2) < 1:
        found.append("WEB_WORKERS must be 1 or more.")
    if values.get("sms_gateway", "json") not in ("json", "twilio"):
        found.append("SMS_GATEWAY must be json or twilio.")
    if values.get("dkim_key") and not values.get("dkim_selector"):
        found.append("DKIM_SELECTOR is not set: it names the key that DKIM_KEY belongs to.")
    if values.get("mail_per_domain_a_minute", 0) < 0:
        found.append("MAIL_PER_DOMAIN_A_MINUTE must be 0 (off) or more.")
    if values.get("webhook_url") and len(values.get("webhook_secret", "")) < 32:
        found.append("WEBHOOK_SECRET is needed with WEBHOOK_URL: 32 characters or more.")
    if values.get("audit_key"):
        from server.utils.signing import read_key

        try:
            read_key(values["audit_key"])
        except ValueError as problem:
            found.append(f"AUDIT_KEY: {problem}")
    if "*" in values.get("cors_origins", ()):
        found.append("CORS_ORIGINS names each origin; * is not accepted.")
    return found
