"""What goes on record, in the transaction of the change: who, for whom, what, from where. Never any values."""

from typing import Any
from uuid import UUID

from sqlalchemy import insert

from server.extensions import db
from server.models import AuditEvent
from server.services.access import Actor
from server.utils.tokens import new_id


def record(
    action: str,
    *,
    actor: Actor,
    object_type: str = "",
    object_id: UUID | None = None,
    patient_id: UUID | None = None,
    outcome: str = "success",
) -> None:
    """Add one event to the current transaction."""
    db.session.execute(
        insert(AuditEvent).values(
            values(
                action,
                actor=actor,
                object_type=object_type,
                object_id=object_id,
                patient_id=patient_id,
                outcome=outcome,
            )
        )
    )


def values(action: str, *, actor: Actor, **more: Any) -> dict[str, Any]:
    """The columns of one event, for a statement that writes it together with its cause."""
    return {
        "id": new_id(),
        "action": action,
        "user_id": actor.user_id,
        "role": actor.role,
        "ip": actor.ip,
        "request_id": actor.request_id,
        **more,
    }
