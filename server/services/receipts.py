"""What became of a message after it was handed over, as gateways and mail servers tell it later."""

from uuid import UUID

from sqlalchemy import func, update

from server.errors import NotVisible
from server.extensions import db
from server.models import OutboxMessage
from server.services.transaction import atomic

FINAL = frozenset({"delivered", "failed", "undelivered"})


def handed_over(message_id: UUID, number: str) -> None:
    """This text is about to be handed over for this number: from now on somebody may reply to it."""
    with atomic():
        db.session.execute(update(OutboxMessage).where(OutboxMessage.id == message_id).values(sent_to=number))


def take(message_id: UUID, receipt: str, *, detail: str = "") -> None:
    """The first final word about a message stands; one on its way says nothing yet. Raises NotVisible.

    It may come before we have even written down that the message was sent, and it may come twice.
    """
    with atomic():
        if db.session.get(OutboxMessage, message_id) is None:
            raise NotVisible("There is no such message.")
        if receipt not in FINAL:
            return
        db.session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id, OutboxMessage.receipt.is_(None))
            .values(receipt=receipt, receipt_at=func.clock_timestamp(), receipt_detail=detail[:200])
            .execution_options(synchronize_session=False)
        )
