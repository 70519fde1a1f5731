"""Second factors, passkeys, sign-ins of browsers beside those of API clients, changes of address, invitations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0011'
down_revision = '0010'

def of_users() -> tuple[sa.Column, ...]:
    return (
        sa.Column('invited_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('new_email', sa.String(length=254), nullable=True),
        sa.Column('previous_email', sa.String(length=254), nullable=True),
        sa.Column('tf_primary_method', sa.String(length=20), nullable=True),
        sa.Column('tf_totp_secret', sa.String(length=500), nullable=True),
        sa.Column('tf_last_counter', sa.BigInteger(), nullable=True),
        sa.Column('mf_recovery_codes', postgresql.ARRAY(sa.String(length=64)), server_default='{}', nullable=False),
        sa.Column('code_failures', sa.Integer(), server_default='0', nullable=False),
        sa.Column('code_failures_since', sa.DateTime(timezone=True), nullable=True),
        sa.Column('fs_webauthn_user_handle', sa.String(length=64), nullable=True),
    )


def of_families() -> tuple[sa.Column, ...]:
    return (
        sa.Column('kind', sa.String(length=10), server_default='api', nullable=False),
        sa.Column('agent', sa.String(length=200), server_default='', nullable=False),
        sa.Column('ip', sa.String(length=45), server_default='', nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    )


def upgrade() -> None:
    for column in of_users():
        op.add_column('users', column)
    op.create_unique_constraint(op.f('uq_users_fs_webauthn_user_handle'), 'users', ['fs_webauthn_user_handle'])
    op.create_table('passkeys',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('credential_id', sa.LargeBinary(length=1024), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False),
    sa.Column('sign_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('transports', postgresql.ARRAY(sa.String(length=20)), nullable=True),
    sa.Column('backup_state', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('device_type', sa.String(length=20), server_default='', nullable=False),
    sa.Column('lastuse_datetime', sa.DateTime(timezone=True), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_passkeys_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_passkeys')),
    sa.UniqueConstraint('credential_id', name=op.f('uq_passkeys_credential_id')),
    sa.UniqueConstraint('user_id', 'name', name=op.f('uq_passkeys_user_id_name'))
    )
    for column in of_families():
        op.add_column('token_families', column)
    op.create_check_constraint(op.f('ck_token_families_kind_is_known'), 'token_families', "kind IN ('api', 'browser')")


def downgrade() -> None:
    op.execute("DELETE FROM token_families WHERE kind = 'browser'")
    op.drop_constraint(op.f('ck_token_families_kind_is_known'), 'token_families')
    for column in of_families():
        op.drop_column('token_families', column.name)
    op.drop_table('passkeys')
    op.drop_constraint(op.f('uq_users_fs_webauthn_user_handle'), 'users')
    for column in of_users():
        op.drop_column('users', column.name)
