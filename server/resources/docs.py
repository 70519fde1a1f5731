"""The API's description (OpenAPI 3.1) and Swagger UI, both from our own host."""

from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, render_template, send_from_directory

from server.extensions import api
from server.resources.schemas.fields import ProblemSchema
from server.web.guards import GUARDS, account_by_api, everybody, guard

api_docs = Blueprint("api_docs", __name__, url_prefix="/api")
guard(api_docs, everybody)

# What each kind of door may answer beside its success, by guard and method.
PROBLEMS = {400: "The request cannot be read", 404: "Not there, or not yours to see", 422: "The content is wrong",
            429: "Too many requests", 503: "Not now"}  # fmt: skip
ACCOUNT_PROBLEMS = {401: "Who are you?", 403: "You may not"}
WRITE_PROBLEMS = {
    409: "The state forbids it",
    412: "It has changed since",
    413: "Too large",
    415: "Not JSON",
    428: "If-Match is needed",
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
    """What flask-smorest knows, completed by what our guards and error handler do."""
    if "openapi" not in current_app.extensions:
        current_app.extensions["openapi"] = _complete(api.spec.to_dict())
    return current_app.extensions["openapi"]


def _complete(spec: dict[str, Any]) -> dict[str, Any]:
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    if "Problem" not in schemas:
        api.spec.components.schema("Problem", schema=ProblemSchema)
        spec = api.spec.to_dict()
    spec["info"]["description"] = "Find a time, book it, move it. Errors are application/problem+json (RFC 9457)."
    spec["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    guards = {tag["name"]: GUARDS[tag["name"]] for tag in spec.get("tags", []) if tag["name"] in GUARDS}
    for operations in spec["paths"].values():
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                _complete_operation(method, operation, needs_account=guards.get(operation["tags"][0]) is account_by_api)
    return spec


def _complete_operation(method: str, operation: dict[str, Any], *, needs_account: bool) -> None:
    problems = dict(PROBLEMS)
    if needs_account:
        operation["security"] = [{"bearer": []}]
        problems |= ACCOUNT_PROBLEMS
    if operation["tags"][0] == "auth":
        problems |= {401: "Who are you?"}
    if method != "get":
        problems |= WRITE_PROBLEMS
        operation.setdefault("parameters", []).append(
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": False,
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "pattern": "^[A-Za-z0-9_.:-]+$",
                },
                "description": "Repeat the request safely: the same key and body get the first answer again",
            }  # fmt: skip
        )
    shape = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"].pop("default", None)
    for status, meaning in problems.items():
        operation["responses"][str(status)] = {"description": meaning, "content": shape}
