"""Accounts, roles, second factors, and sign-ins: of browsers and of API clients."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask_security import RoleMixin, UserMixin, WebAuthnMixin
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, LargeBinary, String, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import Base
from server.tables.columns import Instant, Key, Made
from server.utils.tokens import new_secret

user_roles = Table(
    "user_roles",
    Base.metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
)


class Role(Base, RoleMixin):
    __tablename__ = "roles"

    id: Mapped[Key]  # type: ignore[assignment]
    name: Mapped[str] = mapped_column(String(40), unique=True)
    description: Mapped[str] = mapped_column(String(255), server_default="")


class User(Base, UserMixin):
    """An account: somebody who can sign in. Who they are to the clinic stands in patients or practitioners."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_is_lower_case"),)

    id: Mapped[Key]  # type: ignore[assignment]
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password: Mapped[str | None] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(200), server_default="")
    active: Mapped[bool] = mapped_column(server_default="true")
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True, default=new_secret)
    confirmed_at: Mapped[Instant | None]
    language: Mapped[str | None] = mapped_column(String(10))  # BCP 47; null: the clinic's
    created_at: Mapped[Made]
    invited_at: Mapped[Instant | None]  # of staff, who choose their own password
    new_email: Mapped[str | None] = mapped_column(String(254))  # asked for, not confirmed yet
    previous_email: Mapped[str | None] = mapped_column(String(254))  # where the notice of a change goes
    # The second factor, in Flask-Security's words. The secret is encrypted with a key of the settings.
    tf_primary_method: Mapped[str | None] = mapped_column(String(20))  # "authenticator", or none
    tf_totp_secret: Mapped[str | None] = mapped_column(String(500))
    tf_last_counter: Mapped[int | None] = mapped_column(BigInteger)  # of the code used last: each is used once
    mf_recovery_codes: Mapped[list[str]] = mapped_column(ARRAY(String(64)), server_default="{}")  # their fingerprints
    code_failures: Mapped[int] = mapped_column(server_default="0")
    code_failures_since: Mapped[Instant | None]
    # What passkeys call the account.
    fs_webauthn_user_handle: Mapped[str | None] = mapped_column(String(64), unique=True)  # type: ignore[assignment]
    roles: Mapped[list[Role]] = relationship(secondary=user_roles, lazy="selectin")  # type: ignore[assignment]
    webauthn: Mapped[list[Passkey]] = relationship(  # type: ignore[assignment]
        order_by="Passkey.id", cascade="all, delete-orphan", passive_deletes=True
    )


class _EitherFactor(str):
    """Flask-Security asks of each passkey whether it is for the first factor or for the second: ours are for both."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return other in ("first", "secondary")


class Passkey(Base, WebAuthnMixin):
    """A key on a device of the account's owner (WebAuthn), whose device asks for a finger, a face or a PIN."""

    __tablename__ = "passkeys"
    __table_args__ = (UniqueConstraint("credential_id"), UniqueConstraint("user_id", "name"))

    id: Mapped[Key]  # type: ignore[assignment]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1024))
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    transports: Mapped[list[str] | None] = mapped_column(ARRAY(String(20)))
    backup_state: Mapped[bool] = mapped_column(server_default="false")
    device_type: Mapped[str] = mapped_column(String(20), server_default="")
    lastuse_datetime: Mapped[Instant]
    created_at: Mapped[Made]

    def __init__(self, *, usage: str = "", extensions: object = None, **columns: Any) -> None:
        super().__init__(**columns)  # what a browser says of itself is not kept

    @property
    def extensions(self) -> None:  # type: ignore[override]
        return None

    @property
    def usage(self) -> str:  # type: ignore[override]
        return _EitherFactor()


class TokenFamily(Base):
    """One sign-in, of a browser or of an API client, whose refresh tokens descend from it: they die with it."""

    __tablename__ = "token_families"
    __table_args__ = (CheckConstraint("kind IN ('api', 'browser')", name="kind_is_known"),)

    id: Mapped[Key]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(10), server_default="api")
    agent: Mapped[str] = mapped_column(String(200), server_default="")  # what the program calls itself
    ip: Mapped[str] = mapped_column(String(45), server_default="")
    created_at: Mapped[Made]
    expires_at: Mapped[Instant | None]  # of a browser; an API client's ends with its refresh tokens
    revoked_at: Mapped[Instant | None]


class RefreshToken(Base):
    """Stored as a fingerprint; used once."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (UniqueConstraint("fingerprint"),)

    id: Mapped[Key]
    family_id: Mapped[UUID] = mapped_column(ForeignKey("token_families.id", ondelete="CASCADE"), index=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    expires_at: Mapped[Instant]
    used_at: Mapped[Instant | None]


class KnownDevice(Base):
    """A program and network that an account has signed in with: a fingerprint of both, to notice a new one."""

    __tablename__ = "known_devices"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    last_seen_at: Mapped[Made]
