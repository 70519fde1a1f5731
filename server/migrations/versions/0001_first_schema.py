"""The first schema: people, clinic, scheduling, booking, messaging, security, audit."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from alembic import op

revision = '0001'
down_revision = None


ROLES = ("administrator", "front-desk", "practitioner", "patient")


def upgrade() -> None:
    # EXCLUDE over a uuid and a range in one index. Where it may not be created, `frontdesk migrate` says how.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table('audit_events',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('action', sa.String(length=60), nullable=False),
    sa.Column('outcome', sa.String(length=20), server_default='success', nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('role', sa.String(length=40), server_default='', nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=True),
    sa.Column('object_type', sa.String(length=40), server_default='', nullable=False),
    sa.Column('object_id', sa.Uuid(), nullable=True),
    sa.Column('ip', sa.String(length=45), server_default='', nullable=False),
    sa.Column('request_id', sa.String(length=64), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_events'))
    )
    op.create_index('ix_audit_events_object_id', 'audit_events', ['object_id'], unique=False)
    op.create_index('ix_audit_events_patient_id_created_at', 'audit_events', ['patient_id', 'created_at'], unique=False)
    op.create_table('healthcare_services',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('duration_minutes', sa.SmallInteger(), nullable=False),
    sa.Column('step_minutes', sa.SmallInteger(), nullable=False),
    sa.Column('buffer_before_minutes', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('buffer_after_minutes', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('minimum_notice_minutes', sa.Integer(), server_default='0', nullable=False),
    sa.Column('horizon_days', sa.SmallInteger(), server_default='90', nullable=False),
    sa.Column('cancel_cutoff_minutes', sa.Integer(), server_default='0', nullable=False),
    sa.Column('self_bookable', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('capacity', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('max_open_per_patient', sa.SmallInteger(), nullable=True),
    sa.Column('is_active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('buffer_after_minutes BETWEEN 0 AND 720', name=op.f('ck_healthcare_services_buffer_after_is_sane')),
    sa.CheckConstraint('buffer_before_minutes BETWEEN 0 AND 720', name=op.f('ck_healthcare_services_buffer_before_is_sane')),
    sa.CheckConstraint('cancel_cutoff_minutes >= 0', name=op.f('ck_healthcare_services_cutoff_is_not_negative')),
    sa.CheckConstraint('capacity >= 1', name=op.f('ck_healthcare_services_capacity_is_positive')),
    sa.CheckConstraint('duration_minutes BETWEEN 1 AND 1440', name=op.f('ck_healthcare_services_duration_is_within_a_day')),
    sa.CheckConstraint('horizon_days * 1440 > minimum_notice_minutes', name=op.f('ck_healthcare_services_horizon_is_beyond_notice')),
    sa.CheckConstraint('horizon_days BETWEEN 1 AND 1000', name=op.f('ck_healthcare_services_horizon_is_sane')),
    sa.CheckConstraint('max_open_per_patient >= 1', name=op.f('ck_healthcare_services_limit_is_positive')),
    sa.CheckConstraint('minimum_notice_minutes >= 0', name=op.f('ck_healthcare_services_notice_is_not_negative')),
    sa.CheckConstraint('step_minutes BETWEEN 1 AND 1440', name=op.f('ck_healthcare_services_step_is_within_a_day')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_healthcare_services')),
    sa.UniqueConstraint('name', name=op.f('uq_healthcare_services_name'))
    )
    op.create_table('locations',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('time_zone', sa.String(length=64), nullable=False),
    sa.Column('address', sa.String(length=300), server_default='', nullable=False),
    sa.Column('phone', sa.String(length=40), server_default='', nullable=False),
    sa.Column('is_active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_locations')),
    sa.UniqueConstraint('name', name=op.f('uq_locations_name'))
    )
    op.create_table('roles',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('description', sa.String(length=255), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_roles')),
    sa.UniqueConstraint('name', name=op.f('uq_roles_name'))
    )
    op.create_table('users',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('password', sa.String(length=255), nullable=True),
    sa.Column('name', sa.String(length=200), server_default='', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('fs_uniquifier', sa.String(length=64), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('language', sa.String(length=10), server_default='en', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('email = lower(email)', name=op.f('ck_users_email_is_lower_case')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_users')),
    sa.UniqueConstraint('email', name=op.f('uq_users_email')),
    sa.UniqueConstraint('fs_uniquifier', name=op.f('uq_users_fs_uniquifier'))
    )
    op.create_table('idempotency_keys',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('request_hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('status', sa.SmallInteger(), nullable=False),
    sa.Column('headers', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_idempotency_keys_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'key', name=op.f('pk_idempotency_keys'))
    )
    op.create_index(op.f('ix_idempotency_keys_created_at'), 'idempotency_keys', ['created_at'], unique=False)
    op.create_table('patients',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('mrn', sa.String(length=40), nullable=True),
    sa.Column('given_name', sa.String(length=100), nullable=False),
    sa.Column('family_name', sa.String(length=100), nullable=False),
    sa.Column('birth_date', sa.Date(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('phone', sa.String(length=40), nullable=True),
    sa.Column('language', sa.String(length=10), server_default='en', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("birth_date >= DATE '1900-01-01'", name=op.f('ck_patients_birth_date_is_plausible')),
    sa.CheckConstraint("family_name <> ''", name=op.f('ck_patients_family_name_is_given')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_patients_user_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_patients')),
    sa.UniqueConstraint('mrn', name=op.f('uq_patients_mrn')),
    sa.UniqueConstraint('user_id', name=op.f('uq_patients_user_id'))
    )
    op.create_index('ix_patients_name', 'patients', ['family_name', 'given_name'], unique=False)
    op.create_table('practitioners',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('specialty', sa.String(length=100), server_default='', nullable=False),
    sa.Column('languages', postgresql.ARRAY(sa.String(length=10)), server_default='{}', nullable=False),
    sa.Column('is_active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_practitioners_user_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_practitioners')),
    sa.UniqueConstraint('user_id', name=op.f('uq_practitioners_user_id'))
    )
    op.create_table('rooms',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('location_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('kind', sa.String(length=40), server_default='exam', nullable=False),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_rooms_location_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rooms')),
    sa.UniqueConstraint('location_id', 'name', name=op.f('uq_rooms_location_id_name'))
    )
    op.create_table('token_families',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_token_families_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_token_families'))
    )
    op.create_index(op.f('ix_token_families_user_id'), 'token_families', ['user_id'], unique=False)
    op.create_table('user_roles',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('role_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['role_id'], ['roles.id'], name=op.f('fk_user_roles_role_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_user_roles_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'role_id', name=op.f('pk_user_roles'))
    )
    op.create_table('appointments',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.Column('practitioner_id', sa.Uuid(), nullable=False),
    sa.Column('location_id', sa.Uuid(), nullable=False),
    sa.Column('room_id', sa.Uuid(), nullable=True),
    sa.Column('patient_id', sa.Uuid(), nullable=True),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('during', postgresql.TSTZRANGE(), nullable=False),
    sa.Column('occupied', postgresql.TSTZRANGE(), nullable=False),
    sa.Column('reason', sa.String(length=500), server_default='', nullable=False),
    sa.Column('cancel_reason', sa.String(length=500), server_default='', nullable=False),
    sa.Column('override_reason', sa.String(length=500), server_default='', nullable=False),
    sa.Column('hold_owner_id', sa.Uuid(), nullable=True),
    sa.Column('hold_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('booked_by_id', sa.Uuid(), nullable=True),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sequence', sa.Integer(), server_default='0', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    postgresql.ExcludeConstraint((sa.column('patient_id'), '='), (sa.column('during'), '&&'), where=sa.text("status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"), using='gist', name='ex_appointments_patient_id_during'),
    postgresql.ExcludeConstraint((sa.column('practitioner_id'), '='), (sa.column('occupied'), '&&'), where=sa.text("status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"), using='gist', name='ex_appointments_practitioner_id_occupied'),
    postgresql.ExcludeConstraint((sa.column('room_id'), '='), (sa.column('occupied'), '&&'), where=sa.text("status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"), using='gist', name='ex_appointments_room_id_occupied'),
    sa.CheckConstraint("(status = 'proposed') = (hold_expires_at IS NOT NULL)", name=op.f('ck_appointments_only_holds_expire')),
    sa.CheckConstraint("status <> 'proposed' OR hold_owner_id IS NOT NULL", name=op.f('ck_appointments_held_by_somebody')),
    sa.CheckConstraint("status = 'proposed' OR patient_id IS NOT NULL", name=op.f('ck_appointments_booked_for_somebody')),
    sa.CheckConstraint("status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled', 'cancelled', 'noshow', 'entered-in-error')", name=op.f('ck_appointments_status_is_known')),
    sa.CheckConstraint('NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)', name=op.f('ck_appointments_during_is_bounded')),
    sa.CheckConstraint('lower_inc(during) AND NOT upper_inc(during)', name=op.f('ck_appointments_during_is_half_open')),
    sa.CheckConstraint('occupied @> during', name=op.f('ck_appointments_occupied_covers_during')),
    sa.ForeignKeyConstraint(['booked_by_id'], ['users.id'], name=op.f('fk_appointments_booked_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_appointments_location_id')),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_appointments_patient_id')),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_appointments_practitioner_id')),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_appointments_room_id')),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_appointments_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_appointments'))
    )
    op.create_index('ix_appointments_hold_expires_at', 'appointments', ['hold_expires_at'], unique=False, postgresql_where=sa.text("status = 'proposed'"))
    op.create_index('ix_appointments_hold_owner_id', 'appointments', ['hold_owner_id'], unique=False, postgresql_where=sa.text("status = 'proposed'"))
    op.create_index('ix_appointments_location_id_start', 'appointments', ['location_id', sa.literal_column('lower(during)')], unique=False)
    op.create_index('ix_appointments_occupied', 'appointments', ['occupied'], unique=False, postgresql_using='gist', postgresql_where=sa.text("status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"))
    op.create_index('ix_appointments_patient_id_start', 'appointments', ['patient_id', sa.literal_column('lower(during)')], unique=False)
    op.create_index('ix_appointments_practitioner_id_start', 'appointments', ['practitioner_id', sa.literal_column('lower(during)')], unique=False)
    op.create_index('ix_appointments_service_id', 'appointments', ['service_id'], unique=False)
    op.create_table('closures',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('practitioner_id', sa.Uuid(), nullable=True),
    sa.Column('location_id', sa.Uuid(), nullable=True),
    sa.Column('during', postgresql.TSTZRANGE(), nullable=False),
    sa.Column('kind', sa.String(length=20), server_default='block', nullable=False),
    sa.Column('reason', sa.String(length=200), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind IN ('leave', 'holiday', 'block')", name=op.f('ck_closures_kind_is_known')),
    sa.CheckConstraint('NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)', name=op.f('ck_closures_during_is_bounded')),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_closures_location_id')),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_closures_practitioner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_closures'))
    )
    op.create_index('ix_closures_during', 'closures', ['during'], unique=False, postgresql_using='gist')
    op.create_table('refresh_tokens',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('family_id', sa.Uuid(), nullable=False),
    sa.Column('fingerprint', sa.LargeBinary(length=32), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['family_id'], ['token_families.id'], name=op.f('fk_refresh_tokens_family_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_refresh_tokens')),
    sa.UniqueConstraint('fingerprint', name=op.f('uq_refresh_tokens_fingerprint'))
    )
    op.create_index(op.f('ix_refresh_tokens_family_id'), 'refresh_tokens', ['family_id'], unique=False)
    op.create_table('related_persons',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=False),
    sa.Column('relationship_name', sa.String(length=60), server_default='', nullable=False),
    sa.Column('may_read', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('may_book', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('may_read OR may_book', name=op.f('ck_related_persons_something_is_granted')),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_related_persons_patient_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_related_persons_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_related_persons')),
    sa.UniqueConstraint('user_id', 'patient_id', name=op.f('uq_related_persons_user_id_patient_id'))
    )
    op.create_index(op.f('ix_related_persons_patient_id'), 'related_persons', ['patient_id'], unique=False)
    op.create_table('schedules',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('practitioner_id', sa.Uuid(), nullable=False),
    sa.Column('location_id', sa.Uuid(), nullable=False),
    sa.Column('room_id', sa.Uuid(), nullable=True),
    sa.Column('weekday', sa.SmallInteger(), nullable=False),
    sa.Column('starts_at', sa.Time(), nullable=False),
    sa.Column('ends_at', sa.Time(), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('every_n_weeks', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('ends_at > starts_at', name=op.f('ck_schedules_ends_after_it_starts')),
    sa.CheckConstraint('every_n_weeks BETWEEN 1 AND 52', name=op.f('ck_schedules_every_n_weeks_is_within_a_year')),
    sa.CheckConstraint('valid_until >= valid_from', name=op.f('ck_schedules_valid_until_after_from')),
    sa.CheckConstraint('weekday BETWEEN 1 AND 7', name=op.f('ck_schedules_weekday_is_iso')),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_schedules_location_id')),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_schedules_practitioner_id')),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_schedules_room_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_schedules'))
    )
    op.create_index(op.f('ix_schedules_location_id'), 'schedules', ['location_id'], unique=False)
    op.create_index('ix_schedules_practitioner_id_weekday', 'schedules', ['practitioner_id', 'weekday'], unique=False)
    op.create_table('outbox_messages',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('letter', sa.String(length=60), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('patient_id', sa.Uuid(), nullable=True),
    sa.Column('appointment_id', sa.Uuid(), nullable=True),
    sa.Column('sequence', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('outcome', sa.String(length=10), nullable=True),
    sa.Column('outcome_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('detail', sa.String(length=200), server_default='', nullable=False),
    sa.CheckConstraint("outcome IN ('sent', 'skipped', 'failed')", name=op.f('ck_outbox_messages_outcome_is_known')),
    sa.CheckConstraint('user_id IS NOT NULL OR patient_id IS NOT NULL', name=op.f('ck_outbox_messages_has_a_reader')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointments.id'], name=op.f('fk_outbox_messages_appointment_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_outbox_messages_patient_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_outbox_messages_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox_messages')),
    sa.UniqueConstraint('appointment_id', 'letter', 'sequence', name=op.f('uq_outbox_messages_appointment_id_letter_sequence'))
    )
    op.create_index('ix_outbox_messages_due_at', 'outbox_messages', ['due_at'], unique=False, postgresql_where=sa.text('outcome IS NULL'))
    op.create_table('schedule_services',
    sa.Column('schedule_id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['schedule_id'], ['schedules.id'], name=op.f('fk_schedule_services_schedule_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_schedule_services_service_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('schedule_id', 'service_id', name=op.f('pk_schedule_services'))
    )
    op.create_index(op.f('ix_schedule_services_service_id'), 'schedule_services', ['service_id'], unique=False)
    # APScheduler's own table, so that the application needs no right to create one.
    op.create_table(
        "apscheduler_jobs",
        sa.Column("id", sa.Unicode(191), primary_key=True),
        sa.Column("next_run_time", sa.Float(25), index=True),
        sa.Column("job_state", sa.LargeBinary, nullable=False),
    )
    for role in ROLES:
        op.execute(sa.text("INSERT INTO roles (id, name) VALUES (gen_random_uuid(), :name)").bindparams(name=role))


def downgrade() -> None:
    op.drop_table("apscheduler_jobs")
    op.drop_index(op.f('ix_schedule_services_service_id'), table_name='schedule_services')
    op.drop_table('schedule_services')
    op.drop_index('ix_outbox_messages_due_at', table_name='outbox_messages', postgresql_where=sa.text('outcome IS NULL'))
    op.drop_table('outbox_messages')
    op.drop_index('ix_schedules_practitioner_id_weekday', table_name='schedules')
    op.drop_index(op.f('ix_schedules_location_id'), table_name='schedules')
    op.drop_table('schedules')
    op.drop_index(op.f('ix_related_persons_patient_id'), table_name='related_persons')
    op.drop_table('related_persons')
    op.drop_index(op.f('ix_refresh_tokens_family_id'), table_name='refresh_tokens')
    op.drop_table('refresh_tokens')
    op.drop_index('ix_closures_during', table_name='closures', postgresql_using='gist')
    op.drop_table('closures')
    op.drop_index('ix_appointments_service_id', table_name='appointments')
    op.drop_index('ix_appointments_practitioner_id_start', table_name='appointments')
    op.drop_index('ix_appointments_patient_id_start', table_name='appointments')
    op.drop_index('ix_appointments_occupied', table_name='appointments', postgresql_using='gist', postgresql_where=sa.text("status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"))
    op.drop_index('ix_appointments_location_id_start', table_name='appointments')
    op.drop_index('ix_appointments_hold_owner_id', table_name='appointments', postgresql_where=sa.text("status = 'proposed'"))
    op.drop_index('ix_appointments_hold_expires_at', table_name='appointments', postgresql_where=sa.text("status = 'proposed'"))
    op.drop_table('appointments')
    op.drop_table('user_roles')
    op.drop_index(op.f('ix_token_families_user_id'), table_name='token_families')
    op.drop_table('token_families')
    op.drop_table('rooms')
    op.drop_table('practitioners')
    op.drop_index('ix_patients_name', table_name='patients')
    op.drop_table('patients')
    op.drop_index(op.f('ix_idempotency_keys_created_at'), table_name='idempotency_keys')
    op.drop_table('idempotency_keys')
    op.drop_table('users')
    op.drop_table('roles')
    op.drop_table('locations')
    op.drop_table('healthcare_services')
    op.drop_index('ix_audit_events_patient_id_created_at', table_name='audit_events')
    op.drop_index('ix_audit_events_object_id', table_name='audit_events')
    op.drop_table('audit_events')
