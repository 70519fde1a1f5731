"""Reminders: rules, one message for each, and who does not want them."""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.create_table('reminder_rules',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=True),
    sa.Column('location_id', sa.Uuid(), nullable=True),
    sa.Column('channel', sa.String(length=10), server_default='email', nullable=False),
    sa.Column('minutes_before', sa.Integer(), nullable=False),
    sa.Column('asks_to_confirm', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('is_active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f('ck_reminder_rules_channel_is_known')),
    sa.CheckConstraint('minutes_before BETWEEN 15 AND 86400', name=op.f('ck_reminder_rules_minutes_before_are_sane')),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_reminder_rules_location_id')),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_reminder_rules_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reminder_rules'))
    )
    op.add_column('outbox_messages', sa.Column('channel', sa.String(length=10), server_default='email', nullable=False))
    op.add_column('outbox_messages', sa.Column('rule_id', sa.Uuid(), nullable=True))
    op.add_column('outbox_messages', sa.Column('provider_id', sa.String(length=120), server_default='', nullable=False))
    op.create_foreign_key(
        op.f('fk_outbox_messages_rule_id'), 'outbox_messages', 'reminder_rules', ['rule_id'], ['id'], ondelete='CASCADE'
    )
    op.drop_constraint(op.f('uq_outbox_messages_appointment_id_letter_sequence'), 'outbox_messages')
    op.create_index(
        'uq_outbox_messages_appointment_id_letter_sequence', 'outbox_messages',
        ['appointment_id', 'letter', 'sequence'], unique=True, postgresql_where=sa.text('rule_id IS NULL'),
    )
    op.create_unique_constraint(
        op.f('uq_outbox_messages_appointment_id_rule_id_sequence'), 'outbox_messages',
        ['appointment_id', 'rule_id', 'sequence'],
    )
    op.create_check_constraint(
        op.f('ck_outbox_messages_channel_is_known'), 'outbox_messages', "channel IN ('email', 'sms')"
    )
    op.drop_constraint(op.f('ck_outbox_messages_outcome_is_known'), 'outbox_messages')
    op.create_check_constraint(
        op.f('ck_outbox_messages_outcome_is_known'), 'outbox_messages',
        "outcome IN ('sent', 'skipped', 'failed', 'missed')",
    )
    op.add_column('patients', sa.Column('time_zone', sa.String(length=64), nullable=True))
    for channel in ('email', 'sms'):
        name = f'wants_{channel}_reminders'
        op.add_column('patients', sa.Column(name, sa.Boolean(), server_default='true', nullable=False))
    # A week and a day ahead, by e-mail: what most clinics begin with.
    op.execute("""
        INSERT INTO reminder_rules (id, minutes_before, asks_to_confirm)
        VALUES (gen_random_uuid(), 10080, false), (gen_random_uuid(), 1440, true)
    """)


def downgrade() -> None:
    op.execute("DELETE FROM outbox_messages WHERE rule_id IS NOT NULL OR outcome = 'missed'")
    for channel in ('email', 'sms'):
        op.drop_column('patients', f'wants_{channel}_reminders')
    op.drop_column('patients', 'time_zone')
    op.drop_constraint(op.f('ck_outbox_messages_outcome_is_known'), 'outbox_messages')
    op.create_check_constraint(
        op.f('ck_outbox_messages_outcome_is_known'), 'outbox_messages', "outcome IN ('sent', 'skipped', 'failed')"
    )
    op.drop_constraint(op.f('ck_outbox_messages_channel_is_known'), 'outbox_messages')
    op.drop_constraint(op.f('uq_outbox_messages_appointment_id_rule_id_sequence'), 'outbox_messages')
    op.drop_index('uq_outbox_messages_appointment_id_letter_sequence', table_name='outbox_messages')
    op.drop_constraint(op.f('fk_outbox_messages_rule_id'), 'outbox_messages', type_='foreignkey')
    for name in ('provider_id', 'rule_id', 'channel'):
        op.drop_column('outbox_messages', name)
    op.create_unique_constraint(
        op.f('uq_outbox_messages_appointment_id_letter_sequence'), 'outbox_messages',
        ['appointment_id', 'letter', 'sequence'],
    )
    op.drop_table('reminder_rules')
