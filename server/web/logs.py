"""Log lines: when, how bad, which request, what. Never whose."""

import logging
import sys

from flask import g, has_app_context

REPLACED = {"\r": "\\r", "\n": "\\n", "\x1b": "\\x1b"}


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.request_id = g.get("request_id", "-") if has_app_context() else "-"
        record.msg = "".join(REPLACED.get(c, c) for c in str(record.msg)) if not record.args else record.msg
        return super().format(record)


def init_logging(level: str) -> None:
    """Log to standard error; the supervisor or the container keeps it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in ("alembic", "apscheduler", "fontTools"):
        logging.getLogger(noisy).setLevel("WARNING")
