"""What comes back: receipts and bounces, replies to texts, and addresses that are closed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.create_table('closed_addresses',
    sa.Column('address', sa.String(length=254), nullable=False),
    sa.Column('because', sa.String(length=10), nullable=False),
    sa.Column('detail', sa.String(length=200), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("because IN ('bounced', 'stopped')", name=op.f('ck_closed_addresses_because_is_known')),
    sa.PrimaryKeyConstraint('address', name=op.f('pk_closed_addresses'))
    )
    op.create_table('text_replies',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('gateway_id', sa.String(length=120), nullable=False),
    sa.Column('number', sa.String(length=20), nullable=False),
    sa.Column('said', sa.String(length=10), nullable=False),
    sa.Column('answered', sa.String(length=20), nullable=False),
    sa.Column('appointment_id', sa.Uuid(), nullable=True),
    sa.Column('offered', postgresql.ARRAY(sa.Uuid()), server_default='{}', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(
        ['appointment_id'], ['appointments.id'], name=op.f('fk_text_replies_appointment_id'), ondelete='SET NULL'
    ),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_text_replies')),
    sa.UniqueConstraint('gateway_id', name=op.f('uq_text_replies_gateway_id'))
    )
    op.create_index('ix_text_replies_number_created_at', 'text_replies', ['number', 'created_at'])
    op.add_column('outbox_messages', sa.Column('sent_to', sa.String(length=20), server_default='', nullable=False))
    op.add_column('outbox_messages', sa.Column('retries', sa.Integer(), server_default='0', nullable=False))
    op.add_column('outbox_messages', sa.Column('receipt', sa.String(length=12), nullable=True))
    op.add_column('outbox_messages', sa.Column('receipt_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('outbox_messages', sa.Column('receipt_detail', sa.String(length=200), server_default='', nullable=False))
    op.create_check_constraint(
        op.f('ck_outbox_messages_receipt_is_known'), 'outbox_messages',
        "receipt IN ('delivered', 'failed', 'undelivered')",
    )
    op.create_index(
        'ix_outbox_messages_sent_to', 'outbox_messages', ['sent_to'], postgresql_where=sa.text("sent_to <> ''")
    )


def downgrade() -> None:
    op.drop_index('ix_outbox_messages_sent_to', table_name='outbox_messages')
    op.drop_constraint(op.f('ck_outbox_messages_receipt_is_known'), 'outbox_messages')
    for name in ('receipt_detail', 'receipt_at', 'receipt', 'retries', 'sent_to'):
        op.drop_column('outbox_messages', name)
    op.drop_table('text_replies')
    op.drop_table('closed_addresses')
