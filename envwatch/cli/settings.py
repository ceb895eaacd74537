"""From the global options to the settings. Apart from `context`: it imports the config model."""

from __future__ import annotations

from envwatch import config
from envwatch.cli.context import Options
from envwatch.settings import Settings


def settings_of(options: Options) -> Settings:
    """The settings in force; ConfigError where the file is bad."""
    file = options.config_file
    if file is None:
        return config.default(root=options.root)
    return config.load(file, root=options.root)
