"""The catalog: what is asked for, what was built, what is current. One method, one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.audits import Audits
from envwatch.catalog.bindings import Bindings
from envwatch.catalog.builds import Builds
from envwatch.catalog.comments import Comments
from envwatch.catalog.database import Database, open_database, read_database
from envwatch.catalog.deliveries import Deliveries
from envwatch.catalog.generations import Generations
from envwatch.catalog.namespaces import Namespaces
from envwatch.catalog.notices import Notices
from envwatch.catalog.people import People
from envwatch.catalog.recipients import Recipients
from envwatch.catalog.replies import Replies
from envwatch.catalog.sources import Sources
from envwatch.catalog.statuses import Statuses
from envwatch.catalog.tokens import Tokens
from envwatch.catalog.writebacks import WriteBacks
from envwatch.model import EnvKey, Wishes


@dataclass(frozen=True, slots=True)
class Catalog:
    """One handle for each subject, all on one database."""

    database: Database
    sources: Sources
    builds: Builds
    generations: Generations
    deliveries: Deliveries
    statuses: Statuses
    comments: Comments
    notices: Notices
    recipients: Recipients
    tokens: Tokens
    people: People
    bindings: Bindings
    audits: Audits
    namespaces: Namespaces
    replies: Replies
    writebacks: WriteBacks

    def last_run(self, chore: str) -> datetime | None:
        """When a scheduled chore last ran: what was missed while down is caught up."""
        CHORE = schema.chore.c  # noqa: N806  # the columns
        with self.database.read() as c:
            return c.execute(select(CHORE.ran_at).where(CHORE.name == chore)).scalar()

    def updates(self) -> tuple[tuple[EnvKey, Wishes], ...]:
        """The environments whose repository says when they are updated."""
        ENV = schema.environment.c  # noqa: N806  # the columns, as above
        query = select(ENV.namespace, ENV.name, ENV.wishes).where(
            ENV.retired_at.is_(None), ENV.wishes.is_not(None), ENV.preview_of == ""
        )
        with self.database.read() as c:
            found = [(EnvKey(r.namespace, r.name), r.wishes) for r in c.execute(query)]
        return tuple((key, wished) for key, wished in found if wished.update)

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
        database=database,
        sources=Sources(database),
        builds=Builds(database),
        generations=Generations(database),
        statuses=Statuses(database),
        comments=Comments(database),
        notices=Notices(database),
        recipients=Recipients(database),
        deliveries=Deliveries(database),
        tokens=Tokens(database),
        people=People(database),
        bindings=Bindings(database),
        audits=Audits(database),
        namespaces=Namespaces(database),
        replies=Replies(database),
        writebacks=WriteBacks(database),
    )
