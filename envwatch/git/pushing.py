"""Pushes a commit of a mirror to a new branch of its remote, as the mirror fetches from it."""

from __future__ import annotations

import re

from envwatch.git.mirror import explain
from envwatch.git.run import GitFailed
from envwatch.git.tree import Run
from envwatch.git.urls import address

PREFIX = "envwatch/edit-"
_NUMBER = re.compile(rf"refs/heads/{PREFIX}(\d{{1,9}})-")


def push_edit(run: Run, url: str, commit: str, subject: str) -> str:
    """The new branch, `envwatch/edit-<n>-<subject>`. Raises SourceError where it is refused."""
    try:
        listed = run("ls-remote", "--", address(url), f"refs/heads/{PREFIX}*").decode()
        number = max((int(n) for n in _NUMBER.findall(listed)), default=0) + 1
        branch = f"{PREFIX}{number}-{_slug(subject)}"
        ref = f"refs/heads/{branch}"
        # a branch that somebody made meanwhile is not moved
        lease = f"--force-with-lease={ref}:"
        run("push", "--quiet", "--no-thin", lease, "--", address(url), f"{commit}:{ref}")
    except GitFailed as e:
        # what the mirror would take for a fault of its own, and start over
        raise explain(e, url) from e
    return branch


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:40] or "file"
