"""The factory: a table of contents of the whole server."""

from flask import Flask

from server import models  # noqa: F401 - every table is known before anything asks for one
from server.admin.admin_routes import accounts as staff_accounts
from server.admin.admin_routes import admin, audit
from server.extensions import api, bootstrap, cache, cors, csrf, db, jwt, mail
from server.jobs import wake
from server.patient.patient_routes import own_account, own_account_changes, patient, patient_account
from server.resources import api_blueprints, api_docs, hooks
from server.settings import Settings
from server.web import accounts, guards, health, identity, pages, problems, security_headers, sentry, sessions, uploads
from server.web.flask_config import Frontdesk, cors_options, flask_config
from server.web.logs import init_logging


def create_app(settings: Settings) -> Flask:
    """The WSGI application for these settings."""
    app = Frontdesk(__name__)
    app.config.from_mapping(flask_config(settings))
    init_logging(settings.log_level)
    sentry.init_sentry(settings)

    # What every request goes through, in this order
    identity.init_app(app)
    sessions.init_app(app)
    security_headers.init_app(app)
    guards.init_app(app)
    uploads.init_app(app)

    # Libraries
    db.init_app(app)
    csrf.init_app(app)
    cache.init_app(app)
    mail.init_app(app)
    bootstrap.init_app(app)
    if settings.cors_origins:
        cors.init_app(app, resources={r"/api/*": cors_options(settings)})
    jwt.init_app(app)
    api.init_app(app)
    accounts.init_app(app)

    # Doors
    app.register_blueprint(health.blueprint)
    for pages_of in (patient, patient_account, own_account, own_account_changes, admin, staff_accounts, audit):
        app.register_blueprint(pages_of)
    app.register_blueprint(api_docs)
    app.register_blueprint(hooks)
    for blueprint in api_blueprints:
        csrf.exempt(blueprint)  # bearer tokens only: no cookie is looked at
        api.register_blueprint(blueprint)
    if settings.demo:
        from server.trial.mail_page import demo_mail

        app.register_blueprint(demo_mail)

    # What ties the rooms together
    pages.init_app(app)
    wake.init_app(app)
    problems.init_app(app)  # last: see there
    return app
