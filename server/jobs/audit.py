"""Sealing the audit, and telling the ledger outside the database."""

from pathlib import Path

from flask import current_app

from server.services import audit_ledger, sealing
from server.settings import Settings


def seal() -> int:
    """Seal what is due; every seal goes to AUDIT_FOLDER as well. Answers how many events were sealed."""
    settings: Settings = current_app.config["FRONTDESK"]
    sealed = sealing.seal_due(sealing.key_of(settings))
    if settings.audit_folder:
        audit_ledger.export(Path(settings.audit_folder))
    return sealed
