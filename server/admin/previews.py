"""A letter in a frame beside a form: it shows what it would look like, and can do nothing."""

import re
from html import escape

from flask import Response, render_template, request

from server.errors import Invalid
from server.services import appearance
from server.services.letters import Letter

VIEWS = {"light": "Light", "dark": "Dark", "narrow": "Narrow", "text": "Plain text"}
# The letter's own styles and pictures inside it, and nothing else; the frame is nobody's origin and runs nothing.
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
# A mail program follows the system; here the reader chooses.
DARK_RULES = "@media (prefers-color-scheme: dark)"
HEADING = (
    '<p style="margin:0;padding:8px 16px;background:#eaf0ee;color:#17302b;font:14px sans-serif">Subject: <b>{}</b></p>'
)
NARROW = "<style>html { max-width: 320px; margin: 0 auto; border: solid #7d9690; border-width: 0 1px; }</style>"


def show(letter: Letter) -> Response:
    """The view that ?view= asks for. Raises Invalid."""
    view = request.args.get("view", "light")
    if view not in VIEWS:
        raise Invalid("There is no such view.")
    if view == "text":
        response = _framed(f"Subject: {letter.subject}\n\n{letter.text}")
        response.content_type = "text/plain; charset=utf-8"
        return response
    html = appearance.with_logo_inside(letter.html, letter.logo)
    html = re.sub(r'href="[^"]*"', 'href="#"', html)  # links lead nowhere
    html = html.replace(DARK_RULES, "@media all" if view == "dark" else "@media not all")
    html = html.replace('content="light dark"', f'content="{"dark" if view == "dark" else "light"}"')
    heading = HEADING.format(escape(letter.subject))
    html = re.sub(r"<body[^>]*>", lambda body: body[0] + heading, html, count=1)
    return _framed(html.replace("</head>", NARROW + "</head>", 1) if view == "narrow" else html)


def refused(reason: Invalid) -> Response:
    """Why there is nothing to look at."""
    sentences = [sentence for found in reason.extra["errors"].values() for sentence in found]
    return _framed(render_template("admin/preview_refused.html", sentences=sentences), status=reason.status)


def _framed(body: str, *, status: int = 200) -> Response:
    response = Response(body, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = LETTER_POLICY
    return response
