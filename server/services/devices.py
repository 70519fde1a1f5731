"""Sign-ins from where an account has not signed in before: told by letter, never refused."""

import ipaddress
import re
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from server.extensions import db
from server.models import KnownDevice
from server.services import outbox
from server.services.access import Actor
from server.services.transaction import atomic
from server.utils.tokens import fingerprint


def note_sign_in(user_id: UUID, *, agent: str, actor: Actor) -> None:
    """Remember the program and the network of a sign-in; a new one is told, but the very first is no news."""
    with atomic():
        is_first = db.session.scalar(select(func.count()).where(KnownDevice.user_id == user_id)) == 0
        row = insert(KnownDevice).values(user_id=user_id, fingerprint=mark(user_id, agent, actor.ip))
        seen = row.on_conflict_do_update(
            index_elements=["user_id", "fingerprint"], set_={"last_seen_at": func.clock_timestamp()}
        ).returning(KnownDevice.last_seen_at == func.now())
        is_new = db.session.scalar(seen)
        if is_new and not is_first:
            outbox.post("account-new-sign-in", user_id=user_id)


def mark(user_id: UUID, agent: str, ip: str) -> bytes:
    """What is kept of a program and a network: enough to know them again, for one account."""
    return fingerprint(f"{user_id} {_program(agent)} {_network(ip)}")


def _program(agent: str) -> str:
    """A browser's name for itself without its numbers, which change with every update."""
    return re.sub(r"[\d._]+", "", agent)[:300]


def _network(ip: str) -> str:
    """The neighbourhood of an address: the last part of it changes by itself."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    return str(ipaddress.ip_network(f"{ip}/{24 if address.version == 4 else 48}", strict=False))
