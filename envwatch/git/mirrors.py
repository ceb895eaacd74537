"""All mirrors of one root: sources that follow one address with one key share theirs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from envwatch.git.mirror import Mirror, remove
from envwatch.git.remote import Remote
from envwatch.git.urls import shown
from envwatch.settings import NO_CREDENTIALS, Credentials


class Mirrors:
    """Hands out the mirror of an address; `folder` holds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[str, Credentials], Mirror] = {}

    def of(self, url: str, credentials: Credentials, timeout: float) -> Mirror:
        """The one mirror for an address and its credentials, with the longest time limit."""
        key = (url, credentials)
        if key not in self._known:
            remote = Remote(self.folder, url, timeout, credentials)
            self._known[key] = Mirror(self.folder / name_of(url, credentials), remote)
        found = self._known[key]
        found.remote.timeout = max(found.remote.timeout, timeout)
        return found

    def sweep(self) -> None:
        """Remove what no source has asked for: the cache of a source that is gone."""
        kept = {mirror.path.name for mirror in self._known.values()}
        for path in self.folder.glob("*.git*"):
            if path.name.partition(".git")[0] + ".git" not in kept:
                remove(path)


def name_of(url: str, credentials: Credentials = NO_CREDENTIALS) -> str:
    """The folder of a mirror. With another key another repository may be seen."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(shown(url)).name.removesuffix(".git")).strip("-")
    described = url if credentials == NO_CREDENTIALS else repr((url, credentials))
    return f"{name[:40]}-{hashlib.sha256(described.encode()).hexdigest()[:12]}.git"
