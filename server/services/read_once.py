"""What a batch would read again for each of its letters is read once: inside one transaction the answer is the same."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from server.extensions import db

Read = TypeVar("Read", bound=Callable[..., Any])


@contextmanager
def reading_once() -> Iterator[None]:
    """Inside, whatever is marked `read_once` remembers its answers."""
    db.session().info["known"] = {}
    try:
        yield
    finally:
        del db.session().info["known"]


def read_once(read: Read) -> Read:
    """A function of hashable positional arguments that reads; outside `reading_once` it is as it was."""

    @wraps(read)
    def reading(*args: Any) -> Any:
        known = db.session().info.get("known")
        if known is None:
            return read(*args)
        key = (reading, *args)
        if key not in known:
            known[key] = read(*args)
        return known[key]

    return reading  # type: ignore[return-value]


def remember(read: Callable[..., Any], answers: Mapping[Any, Any]) -> None:
    """What `read` would answer for each of these arguments, from a statement about all of them."""
    db.session().info["known"].update({(read, about): answer for about, answer in answers.items()})
