"""Whether this process can serve: for load balancers, the demo and `frontdesk doctor`."""

from flask import Blueprint, Response, jsonify
from sqlalchemy import text

from server.extensions import db
from server.web.guards import everybody, guard

blueprint = Blueprint("health", __name__)
guard(blueprint, everybody)


@blueprint.get("/healthz")
def show_health() -> Response:
    """200 when the database answers; the error handler says 503 when it does not."""
    db.session.execute(text("SELECT 1"))
    return jsonify(status="ok")
