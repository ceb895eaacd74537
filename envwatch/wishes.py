"""What a repository asks for, and what the operator lets it have: words → words, and remarks.

Nothing here refuses an environment. What is not allowed is left out, and said at its line with
the key that the operator would have to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from envwatch import cron
from envwatch.model import Level, Message, Wishes
from envwatch.repowords import Words
from envwatch.settings import NamespaceSettings, RepoRules, Retention

T = TypeVar("T", int, float)
LIMITED = (
    "description",
    "labels",
    "kernel",
    "platforms",
    "virtual_packages",
    "retention",
    "update",
)
EMPTY = Words()
FIELDS = {
    "description": ("description",),
    "labels": ("labels",),
    "kernel": ("kernel",),
    "platforms": ("platforms",),
    "virtual_packages": ("virtual_packages", "virtual_file"),
    "retention": ("keep_last", "keep_days"),
    "update": ("update",),
}


def limited(
    words: Words, namespace: NamespaceSettings, path: str
) -> tuple[Words, tuple[Message, ...]]:
    """What of this holds in a namespace, and what to say of the rest. `path` is the file's."""
    allowed, said = _allowed(words, namespace.repo, path)
    out = replace(
        allowed,
        platforms=allowed.platforms[: namespace.repo.platforms],
        keep_last=_least(allowed.keep_last, _most_kept(namespace)),
        keep_days=_least(allowed.keep_days, _most_days(namespace)),
        update="" if _too_often(allowed, namespace.repo) else allowed.update,
    )
    return out, (*said, *_bounds(allowed, out, namespace, path))


def of(words: Words) -> Wishes:
    """What is kept of an environment beside its packages."""
    return Wishes(words.labels, words.kernel, words.keep_last, words.keep_days, words.update)


def retention(policy: Retention, wishes: Wishes | None, namespace: NamespaceSettings) -> Retention:
    """The policy for one environment: bounded again, for the config may have changed since."""
    if wishes is None or "retention" not in namespace.repo.allow:
        return policy
    last = _least(wishes.keep_last, _most_kept(namespace))
    days = _least(wishes.keep_days, _most_days(namespace))
    return replace(
        policy,
        keep_last=policy.keep_last if last is None else last,
        keep_days=policy.keep_days if days is None else days,
    )


def update(namespace: NamespaceSettings, wishes: Wishes | None) -> str:
    """When an environment is updated by itself, as cron text; empty where it follows its
    namespace."""
    if wishes is None or not wishes.update or "update" not in namespace.repo.allow:
        return ""
    return wishes.update


def _allowed(words: Words, rules: RepoRules, path: str) -> tuple[Words, tuple[Message, ...]]:
    said: list[Message] = []
    for key in LIMITED:
        if words.says(key) and key not in rules.allow:
            words = replace(words, **{f: getattr(EMPTY, f) for f in FIELDS[key]})
            text = f"`{key}` is ignored: this envwatch does not let a repository say it"
            hint = f"the operator allows it by `{key}` in `repo_settings.allow`"
            said.append(_warning(words, key, text, hint, path))
    return words, tuple(said)


def _bounds(
    asked: Words, given: Words, namespace: NamespaceSettings, path: str
) -> Iterator[Message]:
    if given.platforms != asked.platforms:
        most = namespace.repo.platforms
        text = f"only the first {most} of {len(asked.platforms)} platforms are locked"
        hint = "`repo_settings.platforms` of envwatch's config sets how many"
        yield _warning(asked, "platforms", text, hint, path)
    for key in ("keep_last", "keep_days"):
        wanted, most = getattr(asked, key), getattr(given, key)
        if wanted != most:
            text = f"`{key}: {wanted:g}` is more than {most:g}, which is used"
            hint = f"`repo_settings.{key}` of envwatch's config sets how much"
            yield _warning(asked, "retention", text, hint, path)
    if given.update != asked.update:
        hours = f"{namespace.repo.update_every / 3600:g} h"
        text = f"`update: {asked.update}` is ignored: it comes more often than every {hours}"
        hint = "`repo_settings.update_every` of envwatch's config sets how often"
        yield _warning(asked, "update", text, hint, path)


def _warning(words: Words, key: str, text: str, hint: str, path: str) -> Message:
    return Message(Level.WARNING, text, path, *words.place(key), hint)


def _least(wanted: T | None, most: T) -> T | None:
    return None if wanted is None else min(wanted, most)


def _most_kept(namespace: NamespaceSettings) -> int:
    return namespace.repo.keep_last or namespace.retention.keep_last


def _most_days(namespace: NamespaceSettings) -> float:
    return namespace.repo.keep_days or namespace.retention.keep_days


def _too_often(words: Words, rules: RepoRules) -> bool:
    if words.update in ("", "off"):
        return False
    return cron.shortest_gap(words.update) < rules.update_every
