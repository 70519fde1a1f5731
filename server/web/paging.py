"""Lists in pages: an opaque, signed cursor that belongs to its reader and its filters."""

from collections.abc import Mapping
from typing import Any

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.exceptions import BadRequest

from server.web.identity import current_actor


def encode_cursor(position: Mapping[str, str]) -> str:
    """`position`: where the next page starts, no patient data. Only this reader can use it, for this list."""
    return str(_serializer().dumps(dict(position)))


def decode_cursor(cursor: str | None) -> dict[str, Any] | None:
    """What was encoded. Raises BadRequest for a cursor that was changed or belongs to another reader or list."""
    if not cursor:
        return None
    try:
        return dict(_serializer().loads(cursor))
    except BadSignature as error:
        raise BadRequest("This cursor is not valid for this list.") from error


def _serializer() -> URLSafeSerializer:
    filters = sorted((name, value) for name, value in request.args.items(multi=True) if name not in ("cursor", "limit"))
    return URLSafeSerializer(
        current_app.config["SECRET_KEY"], salt=f"cursor {request.path} {filters} {current_actor().user_id}"
    )
