"""What every command is given: the global options, and the settings they lead to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

URL_VARIABLE = "ENVWATCH_URL"


@dataclass(frozen=True, slots=True)
class Options:
    """`config`, `root` and `url` as given, or None.

    `here` says that a config or a root was named on the command line: then no variable of the
    shell leads elsewhere.
    """

    config: Path | None = None
    root: Path | None = None
    url: str | None = None
    here: bool = False

    @property
    def config_file(self) -> Path | None:
        """The config in force; None where there is none and the defaults hold."""
        return self.config or next((p for p in usual_places() if _is_there(p)), None)

    @property
    def server(self) -> str:
        """The server that the command is for; empty for a root on this machine."""
        return self.url or ("" if self.here else os.environ.get(URL_VARIABLE, ""))


def usual_places() -> tuple[Path, ...]:
    """Where a config is looked for, the nearest first."""
    return (
        Path("envwatch.yaml"),
        own_folder() / "config.yaml",
        Path("/etc/envwatch/config.yaml"),
    )


def own_folder() -> Path:
    """Where a person keeps what is theirs."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(home, "envwatch")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # the home of another user, after `su` without a login
