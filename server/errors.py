"""What can go wrong on purpose: one class, one sentence, one status.

A special error subclasses one of the five general kinds, beside the rule that it guards. The doors turn
it into problem+json (RFC 9457) or a page; nothing else of an exception ever reaches a reader.
"""

from typing import Any


class DomainError(Exception):
    """`status` HTTP status, `slug` stable name, `title` the kind, `detail` the sentence, `extra` more members."""

    status = 500
    slug = "error"
    title = "Something went wrong"

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = extra


class NotVisible(DomainError):
    """Not there, or not the reader's to see: the two are never told apart."""

    status, slug, title = 404, "not-found", "Not found"


class NotAllowed(DomainError):
    """Visible, but this person may not do it."""

    status, slug, title = 403, "not-allowed", "You may not do this"


class Conflict(DomainError):
    """The state forbids it now."""

    status, slug, title = 409, "conflict", "That is not possible now"


class Invalid(DomainError):
    """The content is wrong. `errors`: {field: [sentence, ...]}."""

    status, slug, title = 422, "invalid", "Some of what was sent is not right"


class Stale(DomainError):
    """Somebody changed it since it was read: the version that the change is based on is not the one that is there."""

    status, slug, title = 412, "precondition-failed", "It has changed since you read it"


class Unavailable(DomainError):
    """Not now; worth another try after `retry_after` seconds."""

    status, slug, title = 503, "unavailable", "Not available right now"
    retry_after = 1
