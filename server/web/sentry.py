"""Error tracking that knows no patient: nothing is sent without a DSN, and then only what is on a short list."""

import sys
from typing import Any

from server.settings import Settings

KEPT_IN_EVENT = {"event_id", "timestamp", "platform", "level", "release", "environment", "sdk", "type", "transaction",
                 "start_timestamp"}  # fmt: skip
KEPT_IN_FRAME = {"filename", "abs_path", "function", "module", "lineno", "in_app"}
KEPT_IN_SPAN = {"span_id", "trace_id", "op", "start_timestamp", "timestamp"}


def init_sentry(settings: Settings) -> None:
    """Start sentry-sdk when SENTRY_DSN is set; both hooks take everything off that could name a patient."""
    if not settings.sentry_dsn:
        return
    import sentry_sdk  # a quarter of a second of every start, for those who use it

    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=scrub,
        before_send_transaction=scrub,
    )


def report(error: Exception) -> None:
    """Tell of an error that our handler answered, so that nobody else would; nothing without a DSN."""
    if (sdk := sys.modules.get("sentry_sdk")) is not None:  # only `init_sentry` imports it
        sdk.capture_exception(error)


def scrub(event: Any, hint: Any = None) -> Any:
    """An event with types, places in the code and ids of traces only: no messages, URLs, values or users.

    None for a line of the log: without its message it says nothing.
    """
    exceptions = (event.get("exception") or {}).get("values") or []
    if not exceptions and event.get("type") != "transaction":
        return None
    kept = _only(KEPT_IN_EVENT, event)
    kept["exception"] = {"values": [_scrub_exception(exception) for exception in exceptions]}
    kept["contexts"] = {"trace": _only(KEPT_IN_SPAN, (event.get("contexts") or {}).get("trace") or {})}
    kept["spans"] = [_only(KEPT_IN_SPAN, span) for span in event.get("spans") or []]
    return kept


def _scrub_exception(exception: dict[str, Any]) -> dict[str, Any]:
    frames = (exception.get("stacktrace") or {}).get("frames") or []
    return {
        **_only({"type", "module"}, exception),
        "stacktrace": {"frames": [_only(KEPT_IN_FRAME, frame) for frame in frames]},
    }


def _only(names: set[str], values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}
