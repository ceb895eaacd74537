"""Where locks lie, which of them are written back, and generations that wait to be taken."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("environment", _text("lock_path", sa.Text()))
    op.add_column("environment", _text("offer", sa.Text()))
    op.add_column("generation", _text("lock_file_digest", sa.String(length=64)))
    op.add_column(
        "generation", sa.Column("candidate", sa.Boolean(), nullable=False, server_default="0")
    )
    op.create_table(
        "write_back",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("done", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.Float(), nullable=True),
        sa.Column("written_at", sa.Float(), nullable=True),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_write_back")),
    )


def _text(name: str, kind: sa.types.TypeEngine[str]) -> sa.Column[str]:
    return sa.Column(name, kind, nullable=False, server_default="")
