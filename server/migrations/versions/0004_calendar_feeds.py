"""Calendar feeds of patients and practitioners."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.create_table('calendar_feeds',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('fingerprint', sa.LargeBinary(length=32), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=True),
    sa.Column('practitioner_id', sa.Uuid(), nullable=True),
    sa.Column('shows_names', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_read_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('num_nonnulls(patient_id, practitioner_id) = 1', name=op.f('ck_calendar_feeds_is_of_one_person')),
    sa.CheckConstraint(
        'NOT shows_names OR practitioner_id IS NOT NULL', name=op.f('ck_calendar_feeds_names_are_for_practitioners')
    ),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_calendar_feeds_patient_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(
        ['practitioner_id'], ['practitioners.id'], name=op.f('fk_calendar_feeds_practitioner_id'), ondelete='CASCADE'
    ),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_calendar_feeds_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_calendar_feeds')),
    sa.UniqueConstraint('fingerprint', name=op.f('uq_calendar_feeds_fingerprint'))
    )
    op.create_index(op.f('ix_calendar_feeds_user_id'), 'calendar_feeds', ['user_id'])


def downgrade() -> None:
    op.drop_table('calendar_feeds')
