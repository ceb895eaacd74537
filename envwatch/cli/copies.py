"""Where environments lie on this machine: published ones, or copies pulled from a server."""

from __future__ import annotations

import os
import re
from pathlib import Path

from envwatch.cli.context import Options
from envwatch.cli.servers import address
from envwatch.cli.settings import settings_of
from envwatch.errors import NotFound
from envwatch.model import EnvKey
from envwatch.store import Store


def store_of(options: Options) -> Store:
    """The store in which links of the house in force are."""
    if options.server:
        return copies_of(address(options.server))
    return Store(settings_of(options).root)


def copies_of(url: str) -> Store:
    """The store of what was pulled from a server."""
    home = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    name = re.sub(r"[^a-z0-9.-]+", "_", url.partition("://")[2].lower())
    return Store(Path(home, "envwatch", name))


def link_of(options: Options, key: EnvKey) -> Path:
    """The link that people use. Raises NotFound where there is none."""
    link = store_of(options).link(key)
    if link.is_symlink():
        return link
    if options.server:
        raise NotFound(f"{key} is not on this machine", hint=f"`envwatch env pull {key}` makes it")
    raise NotFound(
        f"{key}: there is no link `{link}`",
        hint="nothing is published yet, it is retired, or you may not look into its namespace",
    )
