"""From the global options to the settings. Apart from `context`: it imports the config model."""

from __future__ import annotations

from envwatch import config
from envwatch.cli.context import Options
from envwatch.errors import Conflict
from envwatch.settings import Settings


def settings_of(options: Options) -> Settings:
    """The settings in force on this machine; ConfigError where the file is bad.

    Raises Conflict where the command is for a server elsewhere.
    """
    if options.server:
        raise elsewhere(options.server)
    file = options.config_file
    if file is None:
        return config.default(root=options.root)
    return config.load(file, root=options.root)


def elsewhere(server: str) -> Conflict:
    """What only the machine of the server can do."""
    return Conflict(
        f"this works on the machine of {server} alone",
        hint="run it there; for a root on this machine leave --url and ENVWATCH_URL out",
    )
