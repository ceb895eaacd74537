"""What an `envwatch.yml` says, with each spec and with each environment."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("spec", sa.Column("composition", sa.Text(), nullable=True))
    op.add_column("environment", sa.Column("wishes", sa.Text(), nullable=True))
    op.create_table(
        "label",
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.id"],
            name=op.f("fk_label_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_label")),
    )
    op.create_index("ix_label_name", "label", ["name", "value"], unique=False)
