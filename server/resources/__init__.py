"""The REST door: one file a noun, each with its blueprint."""

from server.resources.account import account
from server.resources.appointments import appointments
from server.resources.auth import auth
from server.resources.availability import availability
from server.resources.directory import directory, directory_changes
from server.resources.docs import api_docs
from server.resources.holds import holds

api_blueprints = (auth, account, directory, directory_changes, availability, holds, appointments)

__all__ = ["api_blueprints", "api_docs"]
