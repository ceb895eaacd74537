"""config.yaml → frozen `Settings`; errors say `file:line:column: key: what, and what to do`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from envwatch.config import render
from envwatch.config.fill import resolved, settings_of
from envwatch.config.read import read
from envwatch.config.render import show
from envwatch.config.roots import root_problem
from envwatch.config.sections import Config
from envwatch.config.words import Wrong, cron_fields
from envwatch.errors import ConfigError
from envwatch.model import Level, Message
from envwatch.settings import Settings

__all__ = ["check", "cron_fields", "default", "load", "read", "schema", "show"]


def load(path: Path, *, root: Path | None = None) -> Settings:
    """The settings that a file gives; `root` goes before the one in the file."""
    settings, messages = read(path, root)
    if settings is None:
        raise ConfigError("\n".join(str(m) for m in messages if m.level is Level.ERROR))
    return settings


def default(*, root: Path | None = None) -> Settings:
    """The settings without any config: nothing watched, `./envwatch-data`, loopback."""
    root = resolved(root or Path("envwatch-data"))
    try:
        root_problem(root)
    except Wrong as e:
        raise ConfigError(f"root: {e.problem}", hint=e.hint) from e
    return replace(settings_of(Config(), Path("/envwatch.yaml"), root), path=None)


def check(path: Path) -> tuple[Message, ...]:
    """Everything there is to say about a file: errors, warnings, notes."""
    return read(path)[1]


def schema() -> dict[str, Any]:
    """The JSON Schema of the config, for editors."""
    defaults = settings_of(Config(), Path("/envwatch.yaml"), Path("envwatch-data"))
    return render.schema(defaults)
