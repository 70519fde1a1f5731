"""How pages and letters look, the clinic's own words in letters, and tests of letters."""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'

CHECKS = {
    'accent_colour_is_one': "accent_colour ~ '^(#[0-9a-f]{6})?$'",
    'logo_has_a_fingerprint': "(logo IS NULL) = (logo_fingerprint = '')",
    'logo_is_small': 'octet_length(logo) <= 262144',
}


def upgrade() -> None:
    for name, length in (('clinic_name', 80), ('accent_colour', 7), ('signature', 300), ('logo_fingerprint', 64)):
        op.add_column('clinic_settings', sa.Column(name, sa.String(length), server_default='', nullable=False))
    op.add_column('clinic_settings', sa.Column('logo', sa.LargeBinary(), nullable=True))
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f'ck_clinic_settings_{name}'), 'clinic_settings', condition)
    op.create_table('letter_texts',
    sa.Column('letter', sa.String(length=60), nullable=False),
    sa.Column('language', sa.String(length=10), nullable=False),
    sa.Column('subject', sa.String(length=120), server_default='', nullable=False),
    sa.Column('introduction', sa.String(length=1000), server_default='', nullable=False),
    sa.Column('closing', sa.String(length=1000), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('letter', 'language', name=op.f('pk_letter_texts'))
    )
    op.add_column('outbox_messages', sa.Column('sample_language', sa.String(length=10), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM outbox_messages WHERE sample_language IS NOT NULL")
    op.drop_column('outbox_messages', 'sample_language')
    op.drop_table('letter_texts')
    for name in CHECKS:
        op.drop_constraint(op.f(f'ck_clinic_settings_{name}'), 'clinic_settings')
    for name in ('logo', 'logo_fingerprint', 'signature', 'accent_colour', 'clinic_name'):
        op.drop_column('clinic_settings', name)
