"""What every command is given: the global options, and the settings they lead to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """`config` and `root` as given, or None."""

    config: Path | None = None
    root: Path | None = None

    @property
    def config_file(self) -> Path | None:
        """The config in force; None where there is none and the defaults hold."""
        return self.config or next((p for p in usual_places() if _is_there(p)), None)


def usual_places() -> tuple[Path, ...]:
    """Where a config is looked for, the nearest first."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return (
        Path("envwatch.yaml"),
        Path(home, "envwatch", "config.yaml"),
        Path("/etc/envwatch/config.yaml"),
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # the home of another user, after `su` without a login
