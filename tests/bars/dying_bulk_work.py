"""`frontdesk job work-on-bulk-jobs` that dies in the middle of its n-th row or chunk, before the commit.

`python -m tests.bars.dying_bulk_work import|export N`
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from server.jobs.timetable import BY_NAME
from server.services import exports, import_patients


def die_at(what: str, number: int) -> None:
    """Replace what writes a row (or a chunk) by one whose n-th call is the end, like kill -9, when it has written."""
    room, name = {"import": (import_patients, "apply"), "export": (exports, "_write_chunk")}[what]
    real: Callable[..., Any] = getattr(room, name)
    calls = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = real(*args, **kwargs)
        if calls == number:
            os._exit(9)
        return answer

    setattr(room, name, dying)


if __name__ == "__main__":
    from server.app import create_app
    from server.settings import load

    exports.CHUNK = 10  # so that a small file has several
    die_at(sys.argv[1], int(sys.argv[2]))
    with create_app(load()).app_context():
        BY_NAME["work-on-bulk-jobs"].run()
