"""`frontdesk job send-letters` that dies at a named point of its n-th letter.

`python -m tests.bars.dying_worker POINT N`
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from server.jobs.smtp_backend import GuardedSMTP
from server.jobs.timetable import BY_NAME
from server.services import outbox

# point -> (whose method, its name, whether it dies after it instead of before)
POINTS: dict[str, tuple[Any, str, bool]] = {
    "before-claim": (outbox, "_lease", False),
    "after-claim": (outbox, "_deliver", False),
    "after-250": (outbox, "_mark", False),
    "before-commit": (outbox, "_settle", True),
    "after-commit": (GuardedSMTP, "send_content", False),
}


def die_at(point: str, number: int) -> None:
    """Replace the function at this point by one whose n-th call is the end of this process, like kill -9."""
    owner, name, is_after = POINTS[point]
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not is_after:
            os._exit(9)
        answer = real(*args, **kwargs)
        if calls == number:
            os._exit(9)
        return answer

    setattr(owner, name, dying)


if __name__ == "__main__":
    from server.app import create_app
    from server.settings import load

    die_at(sys.argv[1], int(sys.argv[2]))
    with create_app(load()).app_context():
        BY_NAME["send-letters"].run()
