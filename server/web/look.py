"""How the pages look: the clinic's name, logo and colour, read once for each page."""

from flask import current_app, g
from werkzeug.local import LocalProxy

from server.services import appearance
from server.services.appearance import Appearance


def look() -> Appearance:
    """The clinic's appearance, for this request."""
    if "look" not in g:
        g.look = appearance.read(current_app.config["FRONTDESK"])
    found: Appearance = g.look
    return found


def keep_plain() -> None:
    """This page asks the database for nothing: it may be what is missing."""
    g.setdefault("look", appearance.standard(current_app.config["FRONTDESK"]))


clinic_name = LocalProxy(lambda: look().name)
