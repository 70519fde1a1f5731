"""The scheduling engine: lanes, rooms and devices by kind, groups, series, requests, rules, plans, waitlist."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'

OCCUPIES = "status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')"
SERVICE_CHECKS = {
    "limit_in_all_is_positive": "max_open_in_all >= 1",
    "limit_per_day_is_positive": "max_per_day >= 1",
    "for_patients_is_known": "for_patients IN ('all', 'new', 'known')",
    "min_age_is_sane": "min_age_years BETWEEN 0 AND 150",
    "max_age_is_sane": "max_age_years BETWEEN coalesce(min_age_years, 0) AND 150",
    "approval_time_is_sane": "approval_minutes BETWEEN 1 AND 100000",
    "no_show_time_is_sane": "no_show_after_minutes BETWEEN 1 AND 1440",
}
APPOINTMENT_CHECKS = {
    "capacity_is_the_sessions": "(session_id IS NULL) = (capacity IS NULL)",
    "a_seat_has_a_session": "lane <= 0 OR session_id IS NOT NULL",
    "seat_is_within_capacity": f"lane <= capacity OR NOT ({OCCUPIES})",
    "a_session_is_for_nobody": "session_id IS NULL OR lane > 0 OR patient_id IS NULL",
    "overbooked_for_a_reason": "lane >= 0 OR override_reason <> ''",
    "only_requests_wait_for_an_answer": "(status = 'pending') = (answer_by IS NOT NULL)",
}


def never_twice(who: str, when: str, *, lanes: bool) -> None:
    name = f"ex_appointments_{who}_{when}"
    op.execute(f"ALTER TABLE appointments DROP CONSTRAINT IF EXISTS {name}")
    lane = ", lane WITH =" if lanes else ""
    op.execute(
        f"ALTER TABLE appointments ADD CONSTRAINT {name}"
        f" EXCLUDE USING gist ({who} WITH =, {when} WITH &&{lane}) WHERE ({OCCUPIES})"
    )


def upgrade() -> None:
    op.create_table('clinic_settings',
    sa.Column('id', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('offer_minutes', sa.Integer(), server_default='120', nullable=False),
    sa.Column('offer_stop_minutes', sa.Integer(), server_default='120', nullable=False),
    sa.Column('offers_a_week', sa.SmallInteger(), server_default='3', nullable=False),
    sa.Column('quiet_from', sa.Time(), server_default='21:00', nullable=False),
    sa.Column('quiet_until', sa.Time(), server_default='08:00', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint('id', name=op.f('ck_clinic_settings_is_one_row')),
    sa.CheckConstraint('offer_minutes BETWEEN 5 AND 10080', name=op.f('ck_clinic_settings_offer_time_is_sane')),
    sa.CheckConstraint('offer_stop_minutes BETWEEN 0 AND 10080', name=op.f('ck_clinic_settings_offer_stop_is_sane')),
    sa.CheckConstraint('offers_a_week BETWEEN 1 AND 100', name=op.f('ck_clinic_settings_offers_a_week_is_sane')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_clinic_settings'))
    )
    op.create_table('group_sessions',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.Column('capacity', sa.SmallInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('capacity BETWEEN 1 AND 500', name=op.f('ck_group_sessions_capacity_is_sane')),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_group_sessions_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_group_sessions')),
    sa.UniqueConstraint('id', 'capacity', name=op.f('uq_group_sessions_id_capacity'))
    )
    op.create_table('appointment_series',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.Column('every_n_weeks', sa.SmallInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('every_n_weeks BETWEEN 1 AND 52', name=op.f('ck_appointment_series_every_n_weeks_is_within_a_year')),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_appointment_series_patient_id')),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_appointment_series_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_appointment_series'))
    )
    op.create_index(op.f('ix_appointment_series_patient_id'), 'appointment_series', ['patient_id'], unique=False)
    op.create_table('external_calendars',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('practitioner_id', sa.Uuid(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('etag', sa.String(length=200), server_default='', nullable=False),
    sa.Column('attempted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('fetched_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error', sa.String(length=200), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_external_calendars_practitioner_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_external_calendars')),
    sa.UniqueConstraint('practitioner_id', name=op.f('uq_external_calendars_practitioner_id'))
    )
    op.create_table('freed_times',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('practitioner_id', sa.Uuid(), nullable=False),
    sa.Column('location_id', sa.Uuid(), nullable=False),
    sa.Column('during', postgresql.TSTZRANGE(), nullable=False),
    sa.Column('cause', sa.String(length=20), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.String(length=10), nullable=True),
    sa.CheckConstraint("cause IN ('cancelled', 'moved', 'opened', 'released')", name=op.f('ck_freed_times_cause_is_known')),
    sa.CheckConstraint("outcome IN ('taken', 'nobody', 'over')", name=op.f('ck_freed_times_outcome_is_known')),
    sa.CheckConstraint('(outcome IS NULL) = (closed_at IS NULL)', name=op.f('ck_freed_times_closed_with_an_outcome')),
    sa.CheckConstraint('NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)', name=op.f('ck_freed_times_is_bounded')),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_freed_times_location_id')),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_freed_times_practitioner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_freed_times'))
    )
    op.create_index('ix_freed_times_open', 'freed_times', ['created_at'], unique=False, postgresql_where=sa.text('outcome IS NULL'))
    op.create_table('practitioner_rules',
    sa.Column('practitioner_id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.Column('minimum_notice_minutes', sa.Integer(), nullable=True),
    sa.Column('horizon_days', sa.SmallInteger(), nullable=True),
    sa.Column('cancel_cutoff_minutes', sa.Integer(), nullable=True),
    sa.Column('self_bookable', sa.Boolean(), nullable=True),
    sa.Column('max_open_per_patient', sa.SmallInteger(), nullable=True),
    sa.Column('max_per_day', sa.SmallInteger(), nullable=True),
    sa.Column('for_patients', sa.String(length=10), nullable=True),
    sa.Column('needs_referral', sa.Boolean(), nullable=True),
    sa.Column('min_age_years', sa.SmallInteger(), nullable=True),
    sa.Column('max_age_years', sa.SmallInteger(), nullable=True),
    sa.Column('needs_approval', sa.Boolean(), nullable=True),
    sa.CheckConstraint("for_patients IN ('all', 'new', 'known')", name=op.f('ck_practitioner_rules_for_patients_is_known')),
    sa.CheckConstraint('cancel_cutoff_minutes >= 0', name=op.f('ck_practitioner_rules_cutoff_is_not_negative')),
    sa.CheckConstraint('horizon_days BETWEEN 1 AND 1000', name=op.f('ck_practitioner_rules_horizon_is_sane')),
    sa.CheckConstraint('max_age_years BETWEEN 0 AND 150', name=op.f('ck_practitioner_rules_max_age_is_sane')),
    sa.CheckConstraint('max_open_per_patient >= 1', name=op.f('ck_practitioner_rules_limit_is_positive')),
    sa.CheckConstraint('max_per_day >= 1', name=op.f('ck_practitioner_rules_limit_per_day_is_positive')),
    sa.CheckConstraint('min_age_years BETWEEN 0 AND 150', name=op.f('ck_practitioner_rules_min_age_is_sane')),
    sa.CheckConstraint('minimum_notice_minutes >= 0', name=op.f('ck_practitioner_rules_notice_is_not_negative')),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_practitioner_rules_practitioner_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_practitioner_rules_service_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('practitioner_id', 'service_id', name=op.f('pk_practitioner_rules'))
    )
    op.create_index(op.f('ix_practitioner_rules_service_id'), 'practitioner_rules', ['service_id'], unique=False)
    op.create_table('referrals',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('note', sa.String(length=300), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_referrals_patient_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_referrals_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_referrals'))
    )
    op.create_index('ix_referrals_patient_id_service_id', 'referrals', ['patient_id', 'service_id'], unique=False)
    op.create_table('closure_plan_items',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('closure_id', sa.Uuid(), nullable=False),
    sa.Column('appointment_id', sa.Uuid(), nullable=False),
    sa.Column('action', sa.String(length=10), nullable=False),
    sa.Column('start', sa.DateTime(timezone=True), nullable=True),
    sa.Column('practitioner_id', sa.Uuid(), nullable=True),
    sa.Column('decided_by_id', sa.Uuid(), nullable=True),
    sa.Column('state', sa.String(length=10), server_default='waiting', nullable=False),
    sa.Column('detail', sa.String(length=300), server_default='', nullable=False),
    sa.CheckConstraint("(action = 'move') = (practitioner_id IS NOT NULL)", name=op.f('ck_closure_plan_items_a_move_names_the_practitioner')),
    sa.CheckConstraint("(action = 'move') = (start IS NOT NULL)", name=op.f('ck_closure_plan_items_only_a_move_has_a_start')),
    sa.CheckConstraint("action IN ('keep', 'move', 'cancel')", name=op.f('ck_closure_plan_items_action_is_known')),
    sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f('ck_closure_plan_items_state_is_known')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointments.id'], name=op.f('fk_closure_plan_items_appointment_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['closure_id'], ['closures.id'], name=op.f('fk_closure_plan_items_closure_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['decided_by_id'], ['users.id'], name=op.f('fk_closure_plan_items_decided_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_closure_plan_items_practitioner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_closure_plan_items')),
    sa.UniqueConstraint('closure_id', 'appointment_id', name=op.f('uq_closure_plan_items_closure_id_appointment_id'))
    )
    op.create_index(op.f('ix_closure_plan_items_appointment_id'), 'closure_plan_items', ['appointment_id'], unique=False)
    op.create_index('ix_closure_plan_items_waiting', 'closure_plan_items', ['closure_id'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_table('waitlist_entries',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=False),
    sa.Column('service_id', sa.Uuid(), nullable=False),
    sa.Column('practitioner_id', sa.Uuid(), nullable=True),
    sa.Column('location_id', sa.Uuid(), nullable=True),
    sa.Column('appointment_id', sa.Uuid(), nullable=True),
    sa.Column('weekdays', postgresql.ARRAY(sa.SmallInteger()), server_default='{}', nullable=False),
    sa.Column('from_time', sa.Time(), nullable=True),
    sa.Column('until_time', sa.Time(), nullable=True),
    sa.Column('from_on', sa.Date(), nullable=True),
    sa.Column('until_on', sa.Date(), nullable=True),
    sa.Column('notice_minutes', sa.Integer(), server_default='1440', nullable=False),
    sa.Column('status', sa.String(length=10), server_default='waiting', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("status IN ('waiting', 'booked', 'left', 'over')", name=op.f('ck_waitlist_entries_status_is_known')),
    sa.CheckConstraint('(from_time IS NULL) = (until_time IS NULL)', name=op.f('ck_waitlist_entries_times_come_in_pairs')),
    sa.CheckConstraint('notice_minutes BETWEEN 0 AND 100000', name=op.f('ck_waitlist_entries_notice_is_sane')),
    sa.CheckConstraint('until_on >= from_on', name=op.f('ck_waitlist_entries_until_is_after_from')),
    sa.CheckConstraint('until_time > from_time', name=op.f('ck_waitlist_entries_until_time_is_after_from')),
    sa.CheckConstraint('weekdays <@ ARRAY[1,2,3,4,5,6,7]::smallint[]', name=op.f('ck_waitlist_entries_weekdays_are_iso')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointments.id'], name=op.f('fk_waitlist_entries_appointment_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_waitlist_entries_location_id')),
    sa.ForeignKeyConstraint(['patient_id'], ['patients.id'], name=op.f('fk_waitlist_entries_patient_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_waitlist_entries_practitioner_id')),
    sa.ForeignKeyConstraint(['service_id'], ['healthcare_services.id'], name=op.f('fk_waitlist_entries_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waitlist_entries'))
    )
    op.create_index(op.f('ix_waitlist_entries_appointment_id'), 'waitlist_entries', ['appointment_id'], unique=False)
    op.create_index('ix_waitlist_entries_patient_id', 'waitlist_entries', ['patient_id'], unique=False)
    op.create_index('ix_waitlist_entries_service_id', 'waitlist_entries', ['service_id'], unique=False, postgresql_where=sa.text("status = 'waiting'"))
    op.create_index('uq_waitlist_entries_waiting', 'waitlist_entries', ['patient_id', 'service_id'], unique=True, postgresql_where=sa.text("status = 'waiting'"))
    op.create_table('waitlist_offers',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=False),
    sa.Column('freed_time_id', sa.Uuid(), nullable=False),
    sa.Column('hold_id', sa.Uuid(), nullable=True),
    sa.Column('practitioner_id', sa.Uuid(), nullable=False),
    sa.Column('location_id', sa.Uuid(), nullable=False),
    sa.Column('start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('status', sa.String(length=10), server_default='open', nullable=False),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('days_gained', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("status IN ('open', 'accepted', 'declined', 'expired', 'withdrawn')", name=op.f('ck_waitlist_offers_status_is_known')),
    sa.ForeignKeyConstraint(['entry_id'], ['waitlist_entries.id'], name=op.f('fk_waitlist_offers_entry_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['freed_time_id'], ['freed_times.id'], name=op.f('fk_waitlist_offers_freed_time_id')),
    sa.ForeignKeyConstraint(['hold_id'], ['appointments.id'], name=op.f('fk_waitlist_offers_hold_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['location_id'], ['locations.id'], name=op.f('fk_waitlist_offers_location_id')),
    sa.ForeignKeyConstraint(['practitioner_id'], ['practitioners.id'], name=op.f('fk_waitlist_offers_practitioner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waitlist_offers'))
    )
    op.create_index(op.f('ix_waitlist_offers_entry_id'), 'waitlist_offers', ['entry_id'], unique=False)
    op.create_index('ix_waitlist_offers_expires_at', 'waitlist_offers', ['expires_at'], unique=False, postgresql_where=sa.text("status = 'open'"))
    op.create_index('ix_waitlist_offers_freed_time_id', 'waitlist_offers', ['freed_time_id'], unique=False)
    op.create_index('ix_waitlist_offers_hold_id', 'waitlist_offers', ['hold_id'], unique=False)
    op.create_index('uq_waitlist_offers_open', 'waitlist_offers', ['entry_id'], unique=True, postgresql_where=sa.text("status = 'open'"))
    op.add_column('appointments', sa.Column('device_id', sa.Uuid(), nullable=True))
    op.add_column('appointments', sa.Column('lane', sa.SmallInteger(), server_default='0', nullable=False))
    op.add_column('appointments', sa.Column('session_id', sa.Uuid(), nullable=True))
    op.add_column('appointments', sa.Column('capacity', sa.SmallInteger(), nullable=True))
    op.add_column('appointments', sa.Column('series_id', sa.Uuid(), nullable=True))
    op.add_column('appointments', sa.Column('answer_by', sa.DateTime(timezone=True), nullable=True))
    op.add_column('appointments', sa.Column('arrived_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('appointments', sa.Column('started_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('appointments', sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_appointments_answer_by', 'appointments', ['answer_by'], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.create_index('ix_appointments_series_id', 'appointments', ['series_id'], unique=False, postgresql_where=sa.text('series_id IS NOT NULL'))
    op.create_index('ix_appointments_session_id', 'appointments', ['session_id'], unique=False, postgresql_where=sa.text('session_id IS NOT NULL'))
    op.create_foreign_key(op.f('fk_appointments_series_id'), 'appointments', 'appointment_series', ['series_id'], ['id'])
    op.create_foreign_key(op.f('fk_appointments_device_id'), 'appointments', 'rooms', ['device_id'], ['id'])
    op.create_foreign_key('fk_appointments_session_id_capacity', 'appointments', 'group_sessions', ['session_id', 'capacity'], ['id', 'capacity'], onupdate='CASCADE')
    op.execute("UPDATE appointments SET answer_by = lower(during) WHERE status = 'pending'")
    op.drop_constraint(op.f('ck_appointments_booked_for_somebody'), 'appointments')
    op.create_check_constraint(
        op.f('ck_appointments_booked_for_somebody'), 'appointments',
        "status = 'proposed' OR patient_id IS NOT NULL OR (session_id IS NOT NULL AND lane = 0)",
    )
    for name, rule in APPOINTMENT_CHECKS.items():
        op.create_check_constraint(op.f(f'ck_appointments_{name}'), 'appointments', rule)
    for who in ('practitioner_id', 'room_id', 'device_id'):
        never_twice(who, 'occupied', lanes=True)
    op.add_column('closures', sa.Column('external_calendar_id', sa.Uuid(), nullable=True))
    op.add_column('closures', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.create_index('ix_closures_external_calendar_id', 'closures', ['external_calendar_id'], unique=False)
    op.create_foreign_key(op.f('fk_closures_external_calendar_id'), 'closures', 'external_calendars', ['external_calendar_id'], ['id'], ondelete='CASCADE')
    op.add_column('healthcare_services', sa.Column('max_open_in_all', sa.SmallInteger(), nullable=True))
    op.add_column('healthcare_services', sa.Column('max_per_day', sa.SmallInteger(), nullable=True))
    op.add_column('healthcare_services', sa.Column('for_patients', sa.String(length=10), server_default='all', nullable=False))
    op.add_column('healthcare_services', sa.Column('needs_referral', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('healthcare_services', sa.Column('min_age_years', sa.SmallInteger(), nullable=True))
    op.add_column('healthcare_services', sa.Column('max_age_years', sa.SmallInteger(), nullable=True))
    op.add_column('healthcare_services', sa.Column('needs_approval', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('healthcare_services', sa.Column('approval_minutes', sa.Integer(), server_default='2880', nullable=False))
    op.add_column('healthcare_services', sa.Column('room_kind', sa.String(length=40), nullable=True))
    op.add_column('healthcare_services', sa.Column('device_kind', sa.String(length=40), nullable=True))
    op.add_column('healthcare_services', sa.Column('no_show_after_minutes', sa.SmallInteger(), nullable=True))
    op.add_column('healthcare_services', sa.Column('frees_rest', sa.Boolean(), server_default='false', nullable=False))
    for name, rule in SERVICE_CHECKS.items():
        op.create_check_constraint(op.f(f'ck_healthcare_services_{name}'), 'healthcare_services', rule)
    op.drop_constraint(op.f('ck_closures_kind_is_known'), 'closures')
    op.create_check_constraint(
        op.f('ck_closures_kind_is_known'), 'closures', "kind IN ('leave', 'holiday', 'block', 'external')"
    )
    op.create_check_constraint(
        op.f('ck_closures_external_has_its_calendar'), 'closures',
        "(kind = 'external') = (external_calendar_id IS NOT NULL)",
    )
    op.add_column('locations', sa.Column('country', sa.String(length=2), server_default='', nullable=False))
    op.add_column('locations', sa.Column('region', sa.String(length=10), server_default='', nullable=False))
    op.add_column('outbox_messages', sa.Column('offer_id', sa.Uuid(), nullable=True))
    op.create_unique_constraint(op.f('uq_outbox_messages_offer_id_letter'), 'outbox_messages', ['offer_id', 'letter'])
    op.create_foreign_key(op.f('fk_outbox_messages_offer_id'), 'outbox_messages', 'waitlist_offers', ['offer_id'], ['id'], ondelete='CASCADE')
    op.add_column('rooms', sa.Column('is_device', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('rooms', sa.Column('is_active', sa.Boolean(), server_default='true', nullable=False))
    op.add_column('rooms', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.create_index('ix_rooms_location_id_kind', 'rooms', ['location_id', 'kind'], unique=False)
    op.add_column('schedules', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.execute("INSERT INTO clinic_settings DEFAULT VALUES")


def downgrade() -> None:
    # What the old schema cannot hold: groups, what lies over other visits, other people's calendars.
    op.execute("DELETE FROM closures WHERE kind = 'external'")
    op.execute("UPDATE appointments SET status = 'cancelled', answer_by = NULL WHERE lane <> 0 AND status <> 'proposed'")
    op.execute("DELETE FROM appointments WHERE patient_id IS NULL AND (lane <> 0 OR session_id IS NOT NULL)")
    op.drop_constraint(op.f('ck_closures_external_has_its_calendar'), 'closures')
    op.drop_constraint(op.f('ck_closures_kind_is_known'), 'closures')
    op.create_check_constraint(op.f('ck_closures_kind_is_known'), 'closures', "kind IN ('leave', 'holiday', 'block')")
    for name in SERVICE_CHECKS:
        op.drop_constraint(op.f(f'ck_healthcare_services_{name}'), 'healthcare_services')
    for who in ('practitioner_id', 'room_id'):
        never_twice(who, 'occupied', lanes=False)
    op.execute("ALTER TABLE appointments DROP CONSTRAINT ex_appointments_device_id_occupied")
    for name in APPOINTMENT_CHECKS:
        op.drop_constraint(op.f(f'ck_appointments_{name}'), 'appointments')
    op.drop_constraint(op.f('ck_appointments_booked_for_somebody'), 'appointments')
    op.create_check_constraint(
        op.f('ck_appointments_booked_for_somebody'), 'appointments', "status = 'proposed' OR patient_id IS NOT NULL"
    )
    op.drop_column('schedules', 'version')
    op.drop_index('ix_rooms_location_id_kind', table_name='rooms')
    op.drop_column('rooms', 'version')
    op.drop_column('rooms', 'is_active')
    op.drop_column('rooms', 'is_device')
    op.drop_constraint(op.f('fk_outbox_messages_offer_id'), 'outbox_messages', type_='foreignkey')
    op.drop_constraint(op.f('uq_outbox_messages_offer_id_letter'), 'outbox_messages', type_='unique')
    op.drop_column('outbox_messages', 'offer_id')
    op.drop_column('locations', 'region')
    op.drop_column('locations', 'country')
    op.drop_column('healthcare_services', 'frees_rest')
    op.drop_column('healthcare_services', 'no_show_after_minutes')
    op.drop_column('healthcare_services', 'device_kind')
    op.drop_column('healthcare_services', 'room_kind')
    op.drop_column('healthcare_services', 'approval_minutes')
    op.drop_column('healthcare_services', 'needs_approval')
    op.drop_column('healthcare_services', 'max_age_years')
    op.drop_column('healthcare_services', 'min_age_years')
    op.drop_column('healthcare_services', 'needs_referral')
    op.drop_column('healthcare_services', 'for_patients')
    op.drop_column('healthcare_services', 'max_per_day')
    op.drop_column('healthcare_services', 'max_open_in_all')
    op.drop_constraint(op.f('fk_closures_external_calendar_id'), 'closures', type_='foreignkey')
    op.drop_index('ix_closures_external_calendar_id', table_name='closures')
    op.drop_column('closures', 'version')
    op.drop_column('closures', 'external_calendar_id')
    op.drop_constraint('fk_appointments_session_id_capacity', 'appointments', type_='foreignkey')
    op.drop_constraint(op.f('fk_appointments_device_id'), 'appointments', type_='foreignkey')
    op.drop_constraint(op.f('fk_appointments_series_id'), 'appointments', type_='foreignkey')
    op.drop_index('ix_appointments_session_id', table_name='appointments', postgresql_where=sa.text('session_id IS NOT NULL'))
    op.drop_index('ix_appointments_series_id', table_name='appointments', postgresql_where=sa.text('series_id IS NOT NULL'))
    op.drop_index('ix_appointments_answer_by', table_name='appointments', postgresql_where=sa.text("status = 'pending'"))
    op.drop_column('appointments', 'ended_at')
    op.drop_column('appointments', 'started_at')
    op.drop_column('appointments', 'arrived_at')
    op.drop_column('appointments', 'answer_by')
    op.drop_column('appointments', 'series_id')
    op.drop_column('appointments', 'capacity')
    op.drop_column('appointments', 'session_id')
    op.drop_column('appointments', 'lane')
    op.drop_column('appointments', 'device_id')
    op.drop_index('uq_waitlist_offers_open', table_name='waitlist_offers', postgresql_where=sa.text("status = 'open'"))
    op.drop_index('ix_waitlist_offers_hold_id', table_name='waitlist_offers')
    op.drop_index('ix_waitlist_offers_freed_time_id', table_name='waitlist_offers')
    op.drop_index('ix_waitlist_offers_expires_at', table_name='waitlist_offers', postgresql_where=sa.text("status = 'open'"))
    op.drop_index(op.f('ix_waitlist_offers_entry_id'), table_name='waitlist_offers')
    op.drop_table('waitlist_offers')
    op.drop_index('uq_waitlist_entries_waiting', table_name='waitlist_entries', postgresql_where=sa.text("status = 'waiting'"))
    op.drop_index('ix_waitlist_entries_service_id', table_name='waitlist_entries', postgresql_where=sa.text("status = 'waiting'"))
    op.drop_index('ix_waitlist_entries_patient_id', table_name='waitlist_entries')
    op.drop_index(op.f('ix_waitlist_entries_appointment_id'), table_name='waitlist_entries')
    op.drop_table('waitlist_entries')
    op.drop_index('ix_closure_plan_items_waiting', table_name='closure_plan_items', postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index(op.f('ix_closure_plan_items_appointment_id'), table_name='closure_plan_items')
    op.drop_table('closure_plan_items')
    op.drop_index('ix_referrals_patient_id_service_id', table_name='referrals')
    op.drop_table('referrals')
    op.drop_index(op.f('ix_practitioner_rules_service_id'), table_name='practitioner_rules')
    op.drop_table('practitioner_rules')
    op.drop_index('ix_freed_times_open', table_name='freed_times', postgresql_where=sa.text('outcome IS NULL'))
    op.drop_table('freed_times')
    op.drop_table('external_calendars')
    op.drop_index(op.f('ix_appointment_series_patient_id'), table_name='appointment_series')
    op.drop_table('appointment_series')
    op.drop_table('group_sessions')
    op.drop_table('clinic_settings')
