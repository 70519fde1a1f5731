"""The API's description (OpenAPI 3.1) and Swagger UI, both from our own host."""

import re
from collections.abc import Iterable
from copy import deepcopy
from importlib.resources import files
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from flask import Blueprint, Response, current_app, g, jsonify, render_template, send_from_directory

from server.extensions import api
from server.resources.schemas.fields import ProblemSchema
from server.web.guards import GUARDS, account_by_api, anyone_or_account_by_api, everybody, guard

api_docs = Blueprint("api_docs", __name__, url_prefix="/api")
guard(api_docs, everybody)

# Every problem a door may answer with: status -> type, title, and when.
PROBLEMS = {
    400: ("bad-request", "Bad Request", "The request cannot be read, or the cursor is not of this list"),
    401: ("invalid-token", "Please sign in", "Who are you?"),
    403: ("not-allowed", "You may not do this", "You may see it, but not do this"),
    404: ("not-found", "Not found", "Not there, or not yours to see"),
    409: ("slot-taken", "This time is taken", "The state forbids it"),
    412: ("precondition-failed", "It has changed since you read it", "If-Match names another version"),
    413: ("too-large", "Content Too Large", "The body is larger than this address takes"),
    415: ("unsupported-media-type", "Send JSON", "The body is not application/json"),
    422: ("invalid", "Some of what was sent is not right", "The content is wrong; `errors` says which part"),
    428: ("precondition-required", "If-Match is needed", "If-Match is missing"),
    429: ("too-many-requests", "Too Many Requests", "Too many requests; Retry-After says how long to wait"),
    503: ("unavailable", "Not available right now", "Not now; Retry-After says when"),
}
HEADERS = {
    "X-Request-ID": ("Names this request, in the log too", {"type": "string"}),
    "Retry-After": ("Seconds to wait", {"type": "integer", "minimum": 0}),
    "WWW-Authenticate": ("Bearer (RFC 6750)", {"type": "string"}),
    "ETag": ("The version; send it as If-Match or If-None-Match", {"type": "string"}),
    "Location": ("Where the new thing is", {"type": "string"}),
}
PARAMETERS = {
    "Idempotency-Key": (
        "Repeat the request safely: the same key and the same body get the first answer again",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    ),
    "If-Match": ("The ETag you read", {"type": "string"}),
    "If-None-Match": ("The ETag you have: 304 when it is still right", {"type": "string"}),
}


@api_docs.get("/openapi.json")
def show_description() -> Response:
    """The whole API, machine-readable."""
    return jsonify(description())


@api_docs.get("/docs")
def show_docs() -> str:
    """Swagger UI."""
    g.inline_styles = True
    return render_template("api_docs.html")


@api_docs.get("/docs/files/<path:name>")
def show_docs_file(name: str) -> Response:
    """Swagger UI's own files, from its package."""
    response = send_from_directory(str(files("flask_swagger_ui") / "dist"), name)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


def description() -> dict[str, Any]:
    """What flask-smorest knows, completed by what our guards, decorators and error handler do."""
    if "openapi" not in current_app.extensions:
        current_app.extensions["openapi"] = _complete()
    return current_app.extensions["openapi"]


def _complete() -> dict[str, Any]:
    if "Problem" not in api.spec.components.schemas:
        api.spec.components.schema("Problem", schema=ProblemSchema)
    spec = deepcopy(api.spec.to_dict())
    spec["info"]["description"] = "Find a time, book it, move it. Errors are application/problem+json (RFC 9457)."
    components = spec["components"]
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    components["headers"] = {name: {"description": text, "schema": schema} for name, (text, schema) in HEADERS.items()}
    components["responses"] = {f"Problem{status}": _problem(status) for status in PROBLEMS}
    for rule in current_app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method, operation in spec["paths"].get(path, {}).items():
            if method.upper() in (rule.methods or ()) and isinstance(operation, dict):
                _complete_operation(operation, rule.endpoint, method)
                _add_examples(operation, components["schemas"])
    return spec


def _problem(status: int) -> dict[str, Any]:
    slug, title, meaning = PROBLEMS[status]
    example = {"type": slug, "title": title, "status": status, "detail": f"{meaning}.", "request_id": "pQ4x7n2LkT0w"}
    media = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    headers = ["X-Request-ID", *{401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])]
    return {
        "description": meaning,
        "content": {"application/problem+json": media},
        "headers": _header_refs(headers),
    }


def _complete_operation(operation: dict[str, Any], endpoint: str, method: str) -> None:
    """What a door declares in `doc(refusals=, shows=, cacheable=)`, and what its guard and decorators add."""
    view: Any = current_app.view_functions[endpoint]
    door = getattr(view.view_class, method)
    refusals = {*operation.pop("refusals", ()), 422, 503}
    shown = _header_refs(["X-Request-ID", *operation.pop("shows", ())])
    operation["operationId"] = f"{endpoint.replace('.', '_')}_{method}"
    operation["responses"] = answers = {
        code: {**answer, "headers": shown} for code, answer in operation["responses"].items() if code.startswith("2")
    }
    parameters = operation.setdefault("parameters", [])
    guard = GUARDS[endpoint.partition(".")[0]]
    if guard in (account_by_api, anyone_or_account_by_api):
        operation["security"] = [{"bearer": []}] if guard is account_by_api else [{}, {"bearer": []}]
        refusals.add(401)
    if "requestBody" in operation:
        refusals |= {413, 415}
    if any(parameter.get("name") == "cursor" for parameter in parameters):
        refusals.add(400)
    if getattr(view, "is_idempotent", False) or getattr(door, "is_idempotent", False):
        refusals.add(409)
        parameters.append(_parameter("Idempotency-Key"))
    if 412 in refusals:
        parameters.append(_parameter("If-Match", required=428 in refusals))
    if operation.pop("cacheable", False):
        parameters.append(_parameter("If-None-Match"))
        answers["304"] = {"description": "Still what you have", "headers": shown}
    answers |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in sorted(refusals)}


def _header_refs(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _parameter(name: str, *, required: bool = False) -> dict[str, Any]:
    text, schema = PARAMETERS[name]
    return {"in": "header", "name": name, "required": required, "schema": schema, "description": text}


def _add_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """An example of each body, put together from the examples of its fields."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for media in (media for body in bodies for media in body.get("content", {}).values()):
        if "schema" in media:
            media.setdefault("example", _example(media["schema"], schemas))


def _example(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if "example" in schema:
        return schema["example"]
    if "properties" in schema:
        fields, required = schema["properties"], schema.get("required", ())
        shown = {key: inner for key, inner in fields.items() if key in required or "example" in inner}
        return {key: _example(inner, schemas, key) for key, inner in shown.items()}
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "array":
        return [_example(schema["items"], schemas, name)]
    if kind == "string":
        by_format = {"uuid": str(uuid5(NAMESPACE_URL, name)), "date-time": "2026-12-01T14:00:00Z"}
        return by_format.get(schema.get("format", ""), schema.get("enum", [""])[0])
    return {"integer": schema.get("minimum", 0), "boolean": True, "object": {}}[kind]
