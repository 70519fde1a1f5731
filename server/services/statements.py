"""Statements of the hot path: text that never changes, sent by psycopg itself on the session's own connection.

What SQLAlchemy does for a statement (parameters by name, a result that can do everything) takes longer here than to
run it. Transactions, savepoints, the pool and the kinds of errors stay SQLAlchemy's. See docs/decisions/0014.
"""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy.exc import DBAPIError

from server.extensions import db

_NAME = re.compile(r"(?<![:\w]):([a-z]\w*)")


class Statement:
    """SQL with `:names`. Values are psycopg's: a range comes back as psycopg's Range, JSON goes in as `Jsonb`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = list(dict.fromkeys(_NAME.findall(text)))
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        self.sql = _NAME.sub(lambda found: numbers[found[1]], text).encode()

    def all(self, values: Mapping[str, Any]) -> list[Any]:
        """Every row, as a named tuple. Raises what SQLAlchemy raises."""
        return self._run(values).fetchall()

    def first(self, values: Mapping[str, Any]) -> Any:
        """The first row as a named tuple, or None. Raises what SQLAlchemy raises."""
        return self._run(values).fetchone()

    def count(self, values: Mapping[str, Any]) -> int:
        """How many rows it wrote. Raises what SQLAlchemy raises."""
        return self._run(values).rowcount

    def _run(self, values: Mapping[str, Any]) -> psycopg.RawCursor[Any]:
        db.session.flush()  # what was changed before belongs to what it sees
        connection = db.session.connection()
        driver: Any = connection.connection.driver_connection
        cursor = psycopg.RawCursor(driver, row_factory=namedtuple_row)
        try:
            cursor.execute(self.sql, [values[name] for name in self.names])
        except psycopg.Error as error:
            if driver.closed:
                connection.exec_driver_sql("SELECT 1")  # raises, and SQLAlchemy sees for itself that the pool is stale
            raise DBAPIError.instance("", None, error, psycopg.Error, hide_parameters=True) from error
        return cursor
