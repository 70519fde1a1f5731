"""The staff door: its URLs and their guard."""

from flask import Blueprint

from server.web.guards import guard, staff_on_pages

admin = Blueprint("admin", __name__, url_prefix="/admin")
guard(admin, staff_on_pages)
