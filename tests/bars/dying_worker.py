"""`frontdesk job send-letters` that dies at a named point of its n-th letter.

`python -m tests.bars.dying_worker POINT N`
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from server.jobs.timetable import BY_NAME
from server.services import outbox

POINTS = ("before-claim", "after-claim", "before-mark", "after-mark")


def die_at(point: str, number: int) -> None:
    """Replace the function at this point by one whose n-th call is the end of this process, like kill -9."""
    name = {"before-claim": "_lease", "after-claim": "_deliver", "before-mark": "_mark", "after-mark": "_mark"}[point]
    real: Callable[..., Any] = getattr(outbox, name)
    calls = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and point != "after-mark":
            os._exit(9)
        answer = real(*args, **kwargs)
        if calls == number:
            os._exit(9)
        return answer

    setattr(outbox, name, dying)


if __name__ == "__main__":
    from server.app import create_app
    from server.settings import load

    die_at(sys.argv[1], int(sys.argv[2]))
    with create_app(load()).app_context():
        BY_NAME["send-letters"].run()
