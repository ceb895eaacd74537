"""Making a repository with a first commit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from envwatch.git.run import Surroundings, run_git

TIMEOUT = 60.0  # seconds for each step


def make_repository(folder: Path, files: Mapping[str, str], *, author: str, email: str) -> None:
    """A repository with a work tree, the files in one commit on `main`.

    The author is kept in its own settings, so that later commits work for somebody who never
    told git a name.
    """
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    inside = ("-C", str(folder))
    with tempfile.TemporaryDirectory(prefix="envwatch-") as apart:
        for step in (
            ("init", "--quiet", "--initial-branch=main", str(folder)),
            (*inside, "config", "user.name", author),
            (*inside, "config", "user.email", email),
            (*inside, "add", "--", "."),
            (*inside, "commit", "--quiet", "--message", "A first environment"),
        ):
            run_git(Surroundings(Path(apart), "file"), step, timeout=TIMEOUT)
