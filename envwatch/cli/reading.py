"""The catalog, opened to be read: whether or not a daemon runs, and never as a stranger."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envwatch.catalog import Catalog, read_catalog
from envwatch.cli.context import Options
from envwatch.cli.settings import settings_of
from envwatch.errors import Forbidden, NotFound
from envwatch.store import Store


@contextmanager
def reading(options: Options) -> Iterator[tuple[Catalog, Store]]:
    """The catalog and the store of the root in force. Raises NotFound, Forbidden."""
    store = Store(settings_of(options).root)
    check_readable(store)
    catalog = read_catalog(store.catalog)
    try:
        yield catalog, store
    finally:
        catalog.close()


def check_readable(store: Store) -> None:
    """Raises NotFound, Forbidden."""
    check_owner(store.root)
    if not store.catalog.exists():
        raise NotFound(
            f"{store.root}: there is no catalog yet",
            hint="`envwatch run` or `envwatch once` makes it; is it the right `--root`?",
        )


def check_owner(root: Path, *, superuser: bool = True) -> None:
    """What is in a root is its owner's, and root's where that leaves no files. Raises Forbidden."""
    try:
        owner = root.stat().st_uid
    except FileNotFoundError:
        return  # whoever needs it says what is missing
    except OSError as e:
        raise Forbidden(
            f"{root}: cannot be looked at: {e.strerror}", hint="run this as the user of envwatch"
        ) from e
    if os.geteuid() != owner and not (superuser and os.geteuid() == 0):
        name = login_name(owner)
        raise Forbidden(
            f"{root} belongs to `{name}`", hint=f"run this as `{name}`: sudo -u {name} envwatch …"
        )


def login_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
