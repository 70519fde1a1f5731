"""Error tracking that knows no patient: nothing is sent without a DSN, and then only what is on a short list."""

from typing import Any

import sentry_sdk

from server.settings import Settings

KEPT_IN_EVENT = {"event_id", "timestamp", "platform", "level", "release", "environment", "sdk", "type", "exception",
                 "transaction", "start_timestamp", "contexts", "spans"}  # fmt: skip


def init_sentry(settings: Settings) -> None:
    """Start sentry-sdk when SENTRY_DSN is set; both hooks take everything off that could name a patient."""
    if not settings.sentry_dsn:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=scrub,
        before_send_transaction=scrub,
    )


def scrub(event: Any, hint: Any = None) -> Any:
    """An event with types, places in the code and ids of traces only: no messages, URLs, values or users."""
    kept = {name: value for name, value in event.items() if name in KEPT_IN_EVENT}
    for exception in (kept.get("exception") or {}).get("values") or []:
        exception.pop("value", None)
        for frame in (exception.get("stacktrace") or {}).get("frames") or []:
            for name in ("vars", "pre_context", "context_line", "post_context"):
                frame.pop(name, None)
    contexts = kept.get("contexts") or {}
    kept["contexts"] = {
        "trace": {k: v for k, v in (contexts.get("trace") or {}).items() if k in ("trace_id", "span_id", "op")}
    }
    kept["spans"] = [
        {name: span[name] for name in ("span_id", "trace_id", "op", "start_timestamp", "timestamp") if name in span}
        for span in kept.get("spans") or []
    ]
    return kept
