"""The clinic's logo, under an address that changes with it."""

from flask import Response

from server.services import appearance


def show_logo(fingerprint: str) -> Response:
    response = Response(appearance.logo(fingerprint), content_type="image/png")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
