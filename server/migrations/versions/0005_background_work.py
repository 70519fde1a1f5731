"""How the timetable runs; imports and exports with their progress."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    op.create_table('clock_leads',
    sa.Column('id', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('clock', sa.String(length=120), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_clock_leads_one_leads')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_clock_leads'))
    )
    op.create_table('job_runs',
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('took_ms', sa.Integer(), nullable=True),
    sa.Column('did', sa.Integer(), nullable=True),
    sa.Column('runs', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('did_in_all', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('failures', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error', sa.String(length=200), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_job_runs'))
    )
    op.create_table('bulk_jobs',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('step', sa.String(length=10), nullable=False),
    sa.Column('state', sa.String(length=10), server_default='waiting', nullable=False),
    sa.Column('options', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('position', postgresql.JSONB(), nullable=True),
    sa.Column('done', sa.Integer(), server_default='0', nullable=False),
    sa.Column('total', sa.Integer(), server_default='0', nullable=False),
    sa.Column('asked_by_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error', sa.String(length=300), server_default='', nullable=False),
    sa.Column('lease', sa.Uuid(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('file_name', sa.String(length=120), server_default='', nullable=False),
    sa.Column('file_hash', sa.LargeBinary(length=32), nullable=True),
    sa.Column('input_file', sa.LargeBinary(), nullable=True),
    sa.Column('result_bytes', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('files_deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL)", name=op.f('ck_bulk_jobs_what_is_over_has_an_end')),
    sa.CheckConstraint("kind IN ('import-patients', 'import-appointments', 'export-patients', 'export-appointments', 'export-messages')", name=op.f('ck_bulk_jobs_kind_is_known')),
    sa.CheckConstraint("state IN ('waiting', 'running', 'checked', 'done', 'failed', 'cancelled')", name=op.f('ck_bulk_jobs_state_is_known')),
    sa.CheckConstraint("step IN ('check', 'apply', 'export')", name=op.f('ck_bulk_jobs_step_is_known')),
    sa.ForeignKeyConstraint(['asked_by_id'], ['users.id'], name=op.f('fk_bulk_jobs_asked_by_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bulk_jobs'))
    )
    op.create_index('ix_bulk_jobs_asked_by_id', 'bulk_jobs', ['asked_by_id'], unique=False)
    op.create_index('ix_bulk_jobs_open', 'bulk_jobs', ['id'], unique=False, postgresql_where=sa.text("state IN ('waiting', 'running')"))
    op.create_table('bulk_chunks',
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['bulk_jobs.id'], name=op.f('fk_bulk_chunks_job_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'number', name=op.f('pk_bulk_chunks'))
    )
    op.create_table('bulk_rows',
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('fields', postgresql.JSONB(), nullable=False),
    sa.Column('label', sa.String(length=250), server_default='', nullable=False),
    sa.Column('detail', sa.String(length=1000), server_default='', nullable=False),
    sa.Column('object_id', sa.Uuid(), nullable=True),
    sa.CheckConstraint("state IN ('ready', 'skipped', 'wrong', 'done', 'failed')", name=op.f('ck_bulk_rows_state_is_known')),
    sa.ForeignKeyConstraint(['job_id'], ['bulk_jobs.id'], name=op.f('fk_bulk_rows_job_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'number', name=op.f('pk_bulk_rows'))
    )
    op.create_index('ix_patients_birth_date', 'patients', ['birth_date'])
    op.create_index('ix_patients_same_email', 'patients', [sa.text('lower(email)')])
    op.create_index(
        'ix_patients_same_phone', 'patients', [sa.text("(\"right\"(regexp_replace(phone, '[^0-9]', '', 'g'), 9))")]
    )


def downgrade() -> None:
    for index in ('ix_patients_same_phone', 'ix_patients_same_email', 'ix_patients_birth_date'):
        op.drop_index(index, 'patients')
    for table in ('bulk_chunks', 'bulk_rows', 'bulk_jobs', 'clock_leads', 'job_runs'):
        op.drop_table(table)
