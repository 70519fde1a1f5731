"""J1: an error report says what broke and where, and never whose data it was."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from server.settings import Settings
from server.web.sentry import init_sentry

PROBE = Path(__file__).with_name("sentry_probe.py")


def run(probe: Path) -> str:
    """What leaves for Sentry when a door fails with canaries in every corner."""
    env = {"PYTHONPATH": str(PROBE.parent.parent.parent), "PATH": ""}
    done = subprocess.run([sys.executable, str(probe)], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def sent() -> str:
    return run(PROBE)


def test_J1_no_canary_leaves(sent: str) -> None:
    assert "active: True" in sent
    assert "canary" not in sent
    assert "127.0.0.1" not in sent


def test_the_error_is_told_once_with_its_place(sent: str) -> None:
    events = [json.loads(line) for line in sent.splitlines() if '"exception"' in line]
    assert len(events) == 1
    exception = events[0]["exception"]["values"][0]
    assert exception["type"] == "LookupError"
    assert exception["stacktrace"]["frames"][-1]["function"] == "fail"
    assert set(exception["stacktrace"]["frames"][-1]) <= {
        "filename",
        "abs_path",
        "function",
        "module",
        "lineno",
        "in_app",
    }


def test_without_a_dsn_nothing_is_started(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sentry_sdk", raising=False)
    init_sentry(settings)
    assert "sentry_sdk" not in sys.modules


def test_J1_control_the_canaries_would_be_found(tmp_path: Path) -> None:
    """The same probe with the hook taken away."""
    naked = tmp_path / "sentry_probe.py"
    unscrubbed = "import server.web.sentry\nserver.web.sentry.scrub = lambda event, hint=None: event\n\n\nclass Sink"
    naked.write_text(PROBE.read_text().replace("class Sink", unscrubbed))
    told = run(naked)
    assert "canary-message" in told
    assert "canary-query" in told
