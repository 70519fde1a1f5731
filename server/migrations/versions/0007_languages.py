"""Languages: the clinic's own, for whoever has not chosen one; and the devices that people have signed in with."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    for table in ('patients', 'users'):
        op.alter_column(table, 'language', existing_type=sa.String(length=10), server_default=None, nullable=True)
    op.add_column('clinic_settings', sa.Column('language', sa.String(length=10), server_default='en', nullable=False))
    op.create_table('known_devices',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('fingerprint', sa.LargeBinary(length=32), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_known_devices_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'fingerprint', name=op.f('pk_known_devices'))
    )


def downgrade() -> None:
    op.drop_table('known_devices')
    op.drop_column('clinic_settings', 'language')
    for table in ('patients', 'users'):
        op.execute(f"UPDATE {table} SET language = 'en' WHERE language IS NULL")
        op.alter_column(table, 'language', existing_type=sa.String(length=10), server_default='en', nullable=False)
