"""ETags of things that change: the version in quotes; If-Match asks for it."""

import re

from flask import Response, request

from server.errors import DomainError, Stale


class PreconditionRequired(DomainError):
    """428 (RFC 6585): an update must say which version it is based on."""

    status, slug, title = 428, "precondition-required", "If-Match is needed"


def etag(version: int) -> str:
    return f'"v{version}"'


def with_etag(response: Response, version: int) -> Response:
    response.headers["ETag"] = etag(version)
    return response


def version_from_if_match(*, required: bool) -> int | None:
    """The version the client read; None when it did not say (or said *). Raises PreconditionRequired, ...Failed."""
    header = request.headers.get("If-Match")
    if header is None:
        if required:
            raise PreconditionRequired("Send the ETag you read as If-Match, so that nobody's change is lost.")
        return None
    if header.strip() == "*":
        return None
    match = re.fullmatch(r'(?:W/)?"v(\d{1,9})"', header.strip())
    if match is None:
        raise Stale("This If-Match is not an ETag of this server.")
    return int(match[1])
