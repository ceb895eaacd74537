"""Opening the database: SQLite in WAL mode by default, migrated after a backup copy."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import alembic.command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from envwatch.errors import CatalogError

logger = logging.getLogger(__name__)

BUSY_TIMEOUT = 30_000  # milliseconds


class Database:
    """One engine, and the numbers of its last changes.

    By `version` pages know that they are stale; `changes` leaves out details, `news` all that is
    work for nobody. They count what this process writes: where it is not `alone`, nothing may be
    kept by them.
    """

    def __init__(self, engine: Engine, *, alone: bool = True) -> None:
        self._engine = engine
        self.alone = alone
        self._lock = threading.Condition()
        self._version = 1
        self._changes = 1
        self._news = 1

    @property
    def version(self) -> int:
        """Grows with each committed write of this process."""
        return self._version

    @property
    def changes(self) -> int:
        """Grows with each that is more than a detail."""
        return self._changes

    @property
    def news(self) -> int:
        """Grows with each committed write of this process that may be work for a thread."""
        return self._news

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(readonly=True) as connection:
            yield connection

    @contextmanager
    def write(self, *, news: bool = True, detail: bool = False) -> Iterator[Connection]:
        """One transaction; it is committed when the block ends without an error.

        What is only shown, and is work for nobody, is no news: it wakes nobody. A detail is less:
        it changes no list of environments and nobody's right (how far a build is, who was told).
        """
        with self._engine.begin() as connection:
            yield connection
        with self._lock:
            # before the version: what is made for it must not be of older changes
            self._changes += not detail
            self._version += 1
        if news and not detail:
            self.wake()

    def wait(self, news: int, timeout: float) -> None:
        """Wait until there is something newer than `news`."""
        with self._lock:
            self._lock.wait_for(lambda: self._news > news, timeout)

    def wake(self) -> None:
        """Let those that wait look around."""
        with self._lock:
            self._news += 1
            self._lock.notify_all()

    def close(self) -> None:
        self._engine.dispose()


def open_database(path: Path, *, durable: bool = True) -> Database:
    """Open (and make or migrate) the SQLite file at `path`.

    A newer file than this envwatch knows is refused; before a migration the file is copied to
    `<path>.before-<revision>`. Raises CatalogError.
    """
    fresh = not path.exists()
    engine = _engine(path, durable=durable)
    try:
        _check(engine, path)
        _migrate(engine, path, fresh=fresh)
    except (DatabaseError, sqlite3.DatabaseError) as e:
        engine.dispose()
        raise _unreadable(path, e) from e
    except CatalogError:
        engine.dispose()
        raise
    return Database(engine)


def read_database(path: Path) -> Database:
    """Open a catalog that is there, only to read: another process may be writing.

    It is never made or migrated. Raises CatalogError.
    """
    engine = _reader(path)
    try:
        with engine.connect().execution_options(readonly=True) as connection:
            present = MigrationContext.configure(connection).get_current_revision()
    except (DatabaseError, sqlite3.DatabaseError) as e:
        engine.dispose()
        raise _unreadable(path, e) from e
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    if present != head:
        engine.dispose()
        raise CatalogError(
            f"{path}: is at version `{present}`, and this envwatch reads `{head}`",
            hint="the daemon brings it up to date at its start; both must be the same envwatch",
        )
    return Database(engine, alone=False)


def _unreadable(path: Path, error: Exception) -> CatalogError:
    return CatalogError(
        f"{path}: cannot be read as a catalog: {error.__cause__ or error}",
        hint="stop the daemon and run `envwatch rebuild-index`",
    )


def _reader(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")

    return engine


def _engine(path: Path, *, durable: bool) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=24, max_overflow=24, pool_timeout=60)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we begin ourselves: the driver would begin too late
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'NORMAL'}",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT}",
            "cache_size=-8000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a deferred transaction that later writes can fail with "locked" at any statement
        mode = "DEFERRED" if connection.get_execution_options().get("readonly") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _check(engine: Engine, path: Path) -> None:
    with engine.connect().execution_options(readonly=True) as connection:
        answer = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if answer != "ok":
        raise CatalogError(
            f"{path}: the catalog is damaged: {answer}",
            hint="stop the daemon and run `envwatch rebuild-index`",
        )


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", "envwatch.catalog:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _migrate(engine: Engine, path: Path, *, fresh: bool) -> None:
    config = _alembic()
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    with engine.connect().execution_options(readonly=True) as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present == head:
        return
    known = {r.revision for r in script.walk_revisions()}
    if present is not None and present not in known:
        raise CatalogError(
            f"{path}: was written by a newer envwatch (catalog `{present}`, known is `{head}`)",
            hint="install the newer envwatch, or restore the copy made before its migration",
        )
    if not fresh:
        copy_database(path, path.with_name(f"{path.name}.before-{head}"))
        logger.info("catalog %s was copied before its migration", path)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
    logger.info("catalog %s is at version %s", path, head)


def copy_database(path: Path, copy: Path) -> None:
    """As it is at one moment, also while a daemon writes."""
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
