"""The catalog: what is asked for, what was built, what is current. One method, one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.builds import Builds
from envwatch.catalog.database import Database, open_database, read_database
from envwatch.catalog.generations import Generations
from envwatch.catalog.sources import Sources
from envwatch.catalog.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Catalog:
    """One handle for each subject, all on one database."""

    database: Database
    sources: Sources
    builds: Builds
    generations: Generations
    tokens: Tokens

    def last_run(self, chore: str) -> datetime | None:
        """When a scheduled chore last ran: what was missed while down is caught up."""
        CHORE = schema.chore.c  # noqa: N806  # the columns
        with self.database.read() as c:
            return c.execute(select(CHORE.ran_at).where(CHORE.name == chore)).scalar()

    def ran(self, chore: str) -> None:
        now = datetime.now(UTC)
        with self.database.write() as c:
            c.execute(
                upsert(schema.chore)
                .values(name=chore, ran_at=now)
                .on_conflict_do_update(index_elements=["name"], set_={"ran_at": now})
            )

    def close(self) -> None:
        self.database.close()


def open_catalog(path: Path, *, durable: bool = True) -> Catalog:
    """Open, make or migrate the catalog at `path`. Raises CatalogError."""
    return _catalog(open_database(path, durable=durable))


def read_catalog(path: Path) -> Catalog:
    """The catalog that is there, only to read it. Raises CatalogError."""
    return _catalog(read_database(path))


def _catalog(database: Database) -> Catalog:
    return Catalog(
        database, Sources(database), Builds(database), Generations(database), Tokens(database)
    )
