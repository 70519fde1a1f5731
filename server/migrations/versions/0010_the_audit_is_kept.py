"""The audit is only ever added to, and sealed in batches; auditors."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'

# The number of a transaction, as events carry it. After a restore into another cluster, where transactions are counted
# from the beginning, `frontdesk migrate` adds what makes the numbers go on from where they were.
NUMBER = """
    CREATE FUNCTION audit_xid(xid8) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN $1::text::bigint + 0
"""
# Binds the owner of the tables and superusers, too. What has been archived may go: docs/how-to/keep-the-audit.md.
KEPT = """
    CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND current_setting('frontdesk.archived', true) = 'yes' AND pg_has_role(
                current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'MEMBER') THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'What is on record is only ever added to.' USING ERRCODE = 'insufficient_privilege';
    END $$
"""


def upgrade() -> None:
    op.execute(NUMBER)
    op.execute(KEPT)
    op.create_table('audit_seals',
    sa.Column('no', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('sealed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('up_to', sa.BigInteger(), nullable=False),
    sa.Column('prints', sa.LargeBinary(), nullable=False),
    sa.Column('head', sa.LargeBinary(), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False),
    sa.Column('signature', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('no', name=op.f('pk_audit_seals'))
    )
    op.create_table('audit_archives',
    sa.Column('seal_no', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('events', sa.Integer(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False),
    sa.Column('signature', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('seal_no', name=op.f('pk_audit_archives'))
    )
    # What is there already comes before every number; the table is not written anew for it.
    op.add_column('audit_events', sa.Column('xid', sa.BigInteger(), server_default='0', nullable=False))
    op.alter_column('audit_events', 'xid', server_default=sa.text('audit_xid(pg_current_xact_id())'))
    op.create_index('ix_audit_events_xid_created_at', 'audit_events', ['xid', 'created_at'], postgresql_using='brin',
                    postgresql_with={'pages_per_range': '16', 'autosummarize': 'on'})
    for table in ('audit_events', 'audit_seals', 'audit_archives'):
        op.execute(f'CREATE TRIGGER {table}_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} '
                   'FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept()')
    op.execute("INSERT INTO roles (id, name) VALUES (gen_random_uuid(), 'auditor') ON CONFLICT (name) DO NOTHING")


def downgrade() -> None:
    op.execute("DELETE FROM roles WHERE name = 'auditor'")
    op.execute('DROP TRIGGER audit_events_are_kept ON audit_events')
    op.drop_table('audit_archives')
    op.drop_table('audit_seals')
    op.execute('DROP INDEX ix_audit_events_xid_created_at')
    op.drop_column('audit_events', 'xid')
    op.execute('DROP FUNCTION audit_is_kept()')
    op.execute('DROP FUNCTION audit_xid(xid8)')
