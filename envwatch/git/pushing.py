"""Pushes a commit of a mirror to a new branch of its remote, as the mirror fetches from it."""

from __future__ import annotations

import re

from envwatch.errors import Conflict, EnvwatchError
from envwatch.git.remote import explain
from envwatch.git.run import GitFailed
from envwatch.git.tree import Run
from envwatch.git.urls import address, shown

PREFIX = "envwatch/edit-"
_REJECTED = re.compile(r"\[(?:remote )?rejected\] [^(\n]*\((?P<reason>[^\n]+)\)$", re.MULTILINE)
_NUMBER = re.compile(rf"refs/heads/{PREFIX}(\d{{1,9}})-")


def push_edit(run: Run, url: str, commit: str, subject: str) -> str:
    """The new branch, `envwatch/edit-<n>-<subject>`. Raises SourceError, and Conflict where the
    remote takes no such branch.
    """
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
        raise _told(e, url) from e
    return branch


def _told(error: GitFailed, url: str) -> EnvwatchError:
    rejected = _REJECTED.search(error.text)
    if rejected is None:
        return explain(error, url)
    said = re.findall(r"^remote: (.*\S)", error.text, re.MULTILINE)
    reason = "; ".join([rejected["reason"], *said[:3]])
    plain = "".join(c for c in reason if c.isprintable())[:300]
    return Conflict(f"`{shown(url)}` takes no new branch: {plain}", hint="see its rules for pushes")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:40] or "file"
