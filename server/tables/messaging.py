"""Letters waiting to leave, and what became of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import Base
from server.tables.columns import Instant, Key, Made


class ReminderRule(Base):
    """When patients get a letter by itself, about visits of one service or location or of all. Rules add up.

    `kind`: "before" a visit starts; "after" one that took place; after a "noshow". `minutes_before` counts from the
    start of the visit backwards, or from its end onwards. With `asks_to_confirm` the reminder asks whether they will
    come, unless they have said so.
    """

    __tablename__ = "reminder_rules"
    __table_args__ = (
        CheckConstraint("kind IN ('before', 'after', 'noshow')", name="kind_is_known"),
        CheckConstraint("kind = 'before' OR NOT asks_to_confirm", name="only_a_coming_visit_is_confirmed"),
        CheckConstraint("channel IN ('email', 'sms')", name="channel_is_known"),
        CheckConstraint("minutes_before BETWEEN 15 AND 86400", name="minutes_before_are_sane"),
    )

    id: Mapped[Key]
    service_id: Mapped[UUID | None] = mapped_column(ForeignKey("healthcare_services.id"))
    location_id: Mapped[UUID | None] = mapped_column(ForeignKey("locations.id"))
    kind: Mapped[str] = mapped_column(String(10), server_default="before")
    channel: Mapped[str] = mapped_column(String(10), server_default="email")
    minutes_before: Mapped[int]
    asks_to_confirm: Mapped[bool] = mapped_column(server_default="false")
    is_active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[Made]


class LetterText(Base):
    """The clinic's own words in one letter in one language; what is empty is as it came."""

    __tablename__ = "letter_texts"

    letter: Mapped[str] = mapped_column(String(60), primary_key=True)  # a folder of templates/email
    language: Mapped[str] = mapped_column(String(10), primary_key=True)
    subject: Mapped[str] = mapped_column(String(120), server_default="")
    introduction: Mapped[str] = mapped_column(String(1000), server_default="")
    closing: Mapped[str] = mapped_column(String(1000), server_default="")
    version: Mapped[int] = mapped_column(server_default="1")


class OutboxMessage(Base):
    """One message to one reader, written in the transaction of its cause; only ids, never content.

    A worker leases a due row, sends, and marks the outcome. The keys on the cause make a message about one state of
    one appointment (its `sequence`) exist once for each channel, and each rule's reminder once. The channel "webhook"
    is the clinic's own system. `missed`: nobody could send it while it was still useful.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        Index(
            "uq_outbox_messages_appointment_id_letter_sequence_channel",
            "appointment_id",
            "letter",
            "sequence",
            "channel",
            unique=True,
            postgresql_where=text("rule_id IS NULL"),
        ),
        UniqueConstraint("appointment_id", "rule_id", "sequence"),
        CheckConstraint("channel IN ('email', 'sms', 'webhook')", name="channel_is_known"),
        UniqueConstraint("offer_id", "letter"),
        CheckConstraint("outcome IN ('sent', 'skipped', 'failed', 'missed')", name="outcome_is_known"),
        CheckConstraint("user_id IS NOT NULL OR patient_id IS NOT NULL", name="has_a_reader"),
        CheckConstraint("receipt IN ('delivered', 'failed', 'undelivered')", name="receipt_is_known"),
        Index("ix_outbox_messages_sent_to", "sent_to", postgresql_where=text("sent_to <> ''")),
        Index("ix_outbox_messages_due_at", "due_at", postgresql_where=text("outcome IS NULL")),
        Index(
            "ix_outbox_messages_repaired",
            "created_at",
            postgresql_where=text("detail = 'It was missing, and was written again.'"),  # services/reminders.py
        ),
    )

    id: Mapped[Key]  # also the Message-ID, so that a repeat is recognised
    letter: Mapped[str] = mapped_column(String(60))  # a folder of templates/email
    channel: Mapped[str] = mapped_column(String(10), server_default="email")
    sample_language: Mapped[str | None] = mapped_column(String(10))  # a test for staff, about an invented visit
    rule_id: Mapped[UUID | None] = mapped_column(ForeignKey("reminder_rules.id", ondelete="CASCADE"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"))
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointments.id", ondelete="CASCADE"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("waitlist_offers.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(server_default="0")  # of the appointment, when it was written
    created_at: Mapped[Made]
    due_at: Mapped[Instant] = mapped_column(server_default=func.now())
    leased_until: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    outcome: Mapped[str | None] = mapped_column(String(10))
    outcome_at: Mapped[Instant | None]
    provider_id: Mapped[str] = mapped_column(String(120), server_default="")  # what a gateway calls it
    detail: Mapped[str] = mapped_column(String(200), server_default="")
    sent_to: Mapped[str] = mapped_column(String(20), server_default="")  # of a text: the number it was handed over for
    retries: Mapped[int] = mapped_column(server_default="0")  # how often staff had it tried again
    receipt: Mapped[str | None] = mapped_column(String(12))  # what came back about it later
    receipt_at: Mapped[Instant | None]
    receipt_detail: Mapped[str] = mapped_column(String(200), server_default="")


class ClosedAddress(Base):
    """Where reminders do not go: a mail address that bounced, a phone number that said STOP.

    It is the address that is closed and not a patient: all who share it are meant, and another address is open.
    """

    __tablename__ = "closed_addresses"
    __table_args__ = (CheckConstraint("because IN ('bounced', 'stopped')", name="because_is_known"),)

    address: Mapped[str] = mapped_column(String(254), primary_key=True)  # lower case, or E.164
    because: Mapped[str] = mapped_column(String(10))
    detail: Mapped[str] = mapped_column(String(200), server_default="")
    created_at: Mapped[Made]


class TextReply(Base):
    """A text that somebody sent us: what it said, and what it was answered; never its words.

    `offered`: the visits that an answer asked to choose from, by the letters A, B, ...
    """

    __tablename__ = "text_replies"
    __table_args__ = (Index("ix_text_replies_number_created_at", "number", "created_at"),)

    id: Mapped[Key]
    gateway_id: Mapped[str] = mapped_column(String(120), unique=True)
    number: Mapped[str] = mapped_column(String(20))
    said: Mapped[str] = mapped_column(String(10))
    answered: Mapped[str] = mapped_column(String(20))
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointments.id", ondelete="SET NULL"))
    offered: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default="{}")
    created_at: Mapped[Made]
