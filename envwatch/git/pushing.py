"""Pushes a commit of a mirror to a branch of its remote, as the mirror fetches from it."""

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
    except GitFailed as e:
        raise explain(e, url) from e
    number = max((int(n) for n in _NUMBER.findall(listed)), default=0) + 1
    branch = f"{PREFIX}{number}-{_slug(subject)}"
    # a branch that somebody made meanwhile is not moved
    push_to(run, url, commit, branch, before="")
    return branch


def push_to(run: Run, url: str, commit: str, branch: str, *, before: str) -> None:
    """Move a branch of the remote, if it still is at `before`; empty is a branch that is not there.

    Raises SourceError, and Conflict where the remote does not take it.
    """
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{before}"
    try:
        run("push", "--quiet", "--no-thin", lease, "--", address(url), f"{commit}:{ref}")
    except GitFailed as e:
        # what the mirror would take for a fault of its own, and start over
        raise _told(e, url, branch) from e


def _told(error: GitFailed, url: str, branch: str) -> EnvwatchError:
    rejected = _REJECTED.search(error.text)
    if rejected is None:
        return explain(error, url)
    said = re.findall(r"^remote: (.*\S)", error.text, re.MULTILINE)
    reason = "; ".join([rejected["reason"], *said[:3]])
    plain = "".join(c for c in reason if c.isprintable())[:300]
    text = f"`{shown(url)}` does not take `{branch}`: {plain}"
    return Conflict(text, hint="see its rules for pushes")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:40] or "file"
