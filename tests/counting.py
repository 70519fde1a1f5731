"""How many times a piece of code asks the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.engine import Engine

from server.services.statements import Statement

# The frame around the work: the tests turn each transaction into a savepoint.
FRAME = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


@contextmanager
def counted() -> Iterator[list[str]]:
    """A list that fills with the statements sent inside the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(FRAME):
            statements.append(" ".join(statement.split()))

    run = Statement._run

    def note_and_run(self: Statement, values: Any) -> Any:
        note(None, None, self.sql.decode())
        return run(self, values)

    event.listen(Engine, "before_cursor_execute", note)
    with patch.object(Statement, "_run", note_and_run):
        try:
            yield statements
        finally:
            event.remove(Engine, "before_cursor_execute", note)
