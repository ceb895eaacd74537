"""Environments that are previews of a request to merge, and what their forges say of it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("source", _text("base", sa.String(length=64)))
    op.add_column("source", _text("title", sa.Text()))
    op.add_column("source", _text("link", sa.Text()))
    op.add_column("environment", _text("preview_of", sa.String(length=64)))
    op.add_column("environment", _flag("solve_only"))
    op.add_column("build", _flag("solve_only"))
    op.create_table(
        "comment",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("wanted_at", sa.Float(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("given_up_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_comment")),
    )


def _text(name: str, kind: sa.types.TypeEngine[str]) -> sa.Column[str]:
    return sa.Column(name, kind, nullable=False, server_default="")


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default="0")
