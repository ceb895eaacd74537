"""Sources that follow several branches, the ref that was chosen, and who signed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("source", _text("family", sa.String(length=64)))
    op.add_column("source", _text("ref", sa.Text()))
    op.add_column("revision", _text("signature", sa.Text()))


def _text(name: str, kind: sa.types.TypeEngine[str]) -> sa.Column[str]:
    return sa.Column(name, kind, nullable=False, server_default="")
