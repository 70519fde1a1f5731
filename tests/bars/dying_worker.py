"""`frontdesk job NAME`, and workers that die at a named point of their n-th letter, forked from one that is ready.

Lines in: `job NAME`, or `POINT N`. Lines out, for each: the id of the process, and how it ended.
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


def work(app: Any, what: str, which: str) -> None:
    if what in POINTS:
        die_at(what, int(which))
    with app.app_context():
        BY_NAME[which if what == "job" else "send-letters"].run()


def main() -> None:
    from server.app import create_app
    from server.settings import load

    app = create_app(load())  # it has not spoken to any server yet, so its children have nothing in common
    for line in sys.stdin:
        what, which = line.split()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                work(app, what, which)
                status = 0
            finally:
                os._exit(status)
        print(pid, flush=True)  # noqa: T201 - our side of the conversation
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
