"""The patient door: its URLs and their guard."""

from flask import Blueprint

from server.web.guards import everybody, guard

patient = Blueprint("patient", __name__)
guard(patient, everybody)
