"""/demo/mail."""

from flask import Blueprint

from server.web.guards import everybody, guard

demo_mail = Blueprint("demo_mail", __name__, url_prefix="/demo")
guard(demo_mail, everybody)
