"""What happens behind the pages: how the timetable runs, and large pieces of work with their progress."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, deferred, mapped_column

from server.extensions import Base
from server.tables.columns import Instant, Key, Made


class JobRun(Base):
    """How one row of the timetable ran last, and how often in all: a row for each, never a log."""

    __tablename__ = "job_runs"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    started_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]  # of the run that started last; empty while it runs, or when it was cut
    took_ms: Mapped[int | None]  # of the last run that ended well, and so on
    did: Mapped[int | None]
    runs: Mapped[int] = mapped_column(BigInteger, server_default="0")
    did_in_all: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failures: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failed_at: Mapped[Instant | None]
    error: Mapped[str] = mapped_column(String(200), server_default="")  # the kind of error, never its text


class ClockLead(Base):
    """Which clock leads: one row, written by the one that has the lock."""

    __tablename__ = "clock_leads"
    __table_args__ = (CheckConstraint("id = 1", name="one_leads"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    clock: Mapped[str] = mapped_column(String(120))  # host and process
    since: Mapped[Instant]
    seen_at: Mapped[Instant]


class BulkJob(Base):
    """An import or an export. Whoever leases it works on it for a while, a row or a chunk a transaction.

    An import is first checked (`step` "check", until it is `checked`), and applied when somebody has read what that
    said. `position` is where the next chunk begins.
    """

    __tablename__ = "bulk_jobs"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('import-patients', 'import-appointments', 'export-patients', 'export-appointments', "
            "'export-messages')",
            name="kind_is_known",
        ),
        CheckConstraint("step IN ('check', 'apply', 'export')", name="step_is_known"),
        CheckConstraint(
            "state IN ('waiting', 'running', 'checked', 'done', 'failed', 'cancelled')", name="state_is_known"
        ),
        CheckConstraint(
            "(state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL)", name="what_is_over_has_an_end"
        ),
        # Of ids and not of leases: a lease that is renewed with every row would change the index each time.
        Index("ix_bulk_jobs_open", "id", postgresql_where=text("state IN ('waiting', 'running')")),
        Index("ix_bulk_jobs_asked_by_id", "asked_by_id"),
    )

    id: Mapped[Key]
    kind: Mapped[str] = mapped_column(String(30))
    step: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10), server_default="waiting")
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    position: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int] = mapped_column(server_default="0")
    asked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[Made]
    started_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    error: Mapped[str] = mapped_column(String(300), server_default="")
    lease: Mapped[UUID | None]  # of whoever works on it; a worker that comes back late has another one
    leased_until: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # since something was done last
    file_name: Mapped[str] = mapped_column(String(120), server_default="")
    file_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    input_file: Mapped[bytes | None] = deferred(mapped_column(LargeBinary))  # until it is checked: then there are rows
    result_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    files_deleted_at: Mapped[Instant | None]

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def has_result(self) -> bool:
        """Whether there is a file to fetch: what was exported, or what became of each row of an import."""
        is_ready = self.state == "done" if self.step == "export" else self.step == "apply" or self.state == "checked"
        return is_ready and self.files_deleted_at is None

    @property
    def sha256(self) -> str | None:
        """Of the file of an import."""
        return self.file_hash.hex() if self.file_hash else None


class BulkRow(Base):
    """One row of an import: what it says, what the check found, and what became of it."""

    __tablename__ = "bulk_rows"
    __table_args__ = (
        CheckConstraint("state IN ('ready', 'skipped', 'wrong', 'done', 'failed')", name="state_is_known"),
    )

    job_id: Mapped[UUID] = mapped_column(ForeignKey("bulk_jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)  # the line in which a spreadsheet shows it
    state: Mapped[str] = mapped_column(String(10))
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB)
    label: Mapped[str] = mapped_column(String(250), server_default="")
    detail: Mapped[str] = mapped_column(String(1000), server_default="")
    object_id: Mapped[UUID | None]  # the patient or appointment that it became


class BulkChunk(Base):
    """A piece of a result file, written in the transaction that moves the job's position behind it."""

    __tablename__ = "bulk_chunks"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("bulk_jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
