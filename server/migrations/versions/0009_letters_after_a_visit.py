"""Letters after a visit and after a no-show; messages to the clinic's own system."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'

OLD, NEW = 'uq_outbox_messages_appointment_id_letter_sequence', 'uq_outbox_messages_appointment_id_letter_sequence_channel'


def upgrade() -> None:
    op.add_column('reminder_rules', sa.Column('kind', sa.String(length=10), server_default='before', nullable=False))
    op.create_check_constraint(
        op.f('ck_reminder_rules_kind_is_known'), 'reminder_rules', "kind IN ('before', 'after', 'noshow')"
    )
    op.create_check_constraint(
        op.f('ck_reminder_rules_only_a_coming_visit_is_confirmed'), 'reminder_rules',
        "kind = 'before' OR NOT asks_to_confirm",
    )
    op.drop_constraint(op.f('ck_outbox_messages_channel_is_known'), 'outbox_messages')
    op.create_check_constraint(
        op.f('ck_outbox_messages_channel_is_known'), 'outbox_messages', "channel IN ('email', 'sms', 'webhook')"
    )
    op.create_index(
        NEW, 'outbox_messages', ['appointment_id', 'letter', 'sequence', 'channel'], unique=True,
        postgresql_where=sa.text('rule_id IS NULL'),
    )
    op.drop_index(OLD, table_name='outbox_messages')
    op.create_index(
        'ix_outbox_messages_repaired', 'outbox_messages', ['created_at'],
        postgresql_where=sa.text("detail = 'It was missing, and was written again.'"),
    )


def downgrade() -> None:
    op.drop_index('ix_outbox_messages_repaired', table_name='outbox_messages')
    op.execute("DELETE FROM outbox_messages WHERE channel = 'webhook'")
    op.execute("DELETE FROM reminder_rules WHERE kind <> 'before'")
    op.execute("UPDATE outbox_messages SET letter = 'appointment-reminder' WHERE letter = 'appointment-confirm'")
    op.create_index(
        OLD, 'outbox_messages', ['appointment_id', 'letter', 'sequence'], unique=True,
        postgresql_where=sa.text('rule_id IS NULL'),
    )
    op.drop_index(NEW, table_name='outbox_messages')
    op.drop_constraint(op.f('ck_outbox_messages_channel_is_known'), 'outbox_messages')
    op.create_check_constraint(
        op.f('ck_outbox_messages_channel_is_known'), 'outbox_messages', "channel IN ('email', 'sms')"
    )
    op.drop_constraint(op.f('ck_reminder_rules_only_a_coming_visit_is_confirmed'), 'reminder_rules')
    op.drop_constraint(op.f('ck_reminder_rules_kind_is_known'), 'reminder_rules')
    op.drop_column('reminder_rules', 'kind')
