"""Accounts, roles and the tokens of API clients."""

from __future__ import annotations

from uuid import UUID

from flask_security import RoleMixin, UserMixin
from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, String, Table, UniqueConstraint
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
    roles: Mapped[list[Role]] = relationship(secondary=user_roles, lazy="selectin")  # type: ignore[assignment]


class TokenFamily(Base):
    """One sign-in of an API client; every refresh token descends from it, and dies with it."""

    __tablename__ = "token_families"

    id: Mapped[Key]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[Made]
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
