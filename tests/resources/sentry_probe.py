"""Run by test_sentry.py in a process of its own: an app whose door fails; prints what would leave for Sentry."""

import logging
import sys

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from server.app import create_app
from server.settings import load

DSN = "https://0123456789abcdef0123456789abcdef@sentry.example/1"


class Sink(Transport):
    """Prints what a transport would send."""

    def capture_envelope(self, envelope: Envelope) -> None:
        sys.stdout.write(envelope.serialize().decode() + "\n")


def main() -> None:
    app = create_app(
        load(
            {},
            secret_key="s" * 40,
            jwt_secret_key="j" * 40,
            database_url="postgresql://nobody@127.0.0.1:1/nothing",
            redis_url="redis://127.0.0.1:1/0",
            sentry_dsn=DSN,
        )
    )
    client = sentry_sdk.get_client()
    sys.stdout.write(f"active: {client.is_active()}\n")
    client.transport = Sink()

    @app.before_request
    def fail() -> None:
        patient = {"name": "canary-local"}
        sentry_sdk.set_user({"id": "canary-user", "email": "canary-user@example.com"})
        sentry_sdk.set_tag("patient", "canary-tag")
        sentry_sdk.set_context("visit", {"reason": "canary-context"})
        sentry_sdk.add_breadcrumb(message="canary-crumb")
        logging.getLogger("server").error("canary-log %s", "canary-argument")
        raise LookupError(f"canary-message {patient['name']}")

    with sentry_sdk.start_transaction(name="a request", op="http.server"):
        app.test_client().post(
            "/api/v1/canary-path?name=canary-query",
            json={"name": "canary-body"},
            headers={"Authorization": "Bearer canary-token", "Cookie": "session=canary-cookie"},
        )
    sentry_sdk.flush()


main()
