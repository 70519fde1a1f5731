"""Headers on every answer, errors included: no third party, no framing, no caching unless a door says so."""

import secrets

from flask import Flask, Response, current_app, g, request

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def init_app(app: Flask) -> None:
    app.before_request(_make_nonce)
    app.after_request(_set_headers)
    app.jinja_env.globals["csp_nonce"] = lambda: g.csp_nonce


def _make_nonce() -> None:
    g.csp_nonce = secrets.token_urlsafe(16)


def _set_headers(response: Response) -> Response:
    nonce = g.get("csp_nonce", "")
    # Swagger UI and the previews of letters style themselves inline; nothing else does.
    inline = getattr(g, "inline_styles", False)
    style = "'self' 'unsafe-inline'" if inline else f"'self' 'nonce-{nonce}'"
    wanted = {
        "Content-Security-Policy": f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src {style}; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; frame-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'",
        **ALWAYS,
    }
    if request.is_secure:
        wanted["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if request.path.startswith("/api") and current_app.config["FRONTDESK"].cors_origins:
        response.vary.add("Origin")  # a cache must not show one origin what was meant for another
    if not (request.endpoint or "").endswith("static"):
        wanted["Cache-Control"] = "no-store"
    given = {name.lower() for name, _ in response.headers}  # asking for each by its name looks through all each time
    response.headers.extend((name, value) for name, value in wanted.items() if name.lower() not in given)
    return response
