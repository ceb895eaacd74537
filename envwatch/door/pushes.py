"""Clones of and pushes to managed sources: how a push is judged, and what the pusher reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO

from envwatch.door.judge import Judge, Verdict
from envwatch.errors import EnvwatchError, NotFound
from envwatch.git.hooks import AFTER, BEFORE, Question, Reply, Update
from envwatch.git.run import GitFailed, Surroundings
from envwatch.git.serve import Server, Service
from envwatch.model import Level, Message, Snapshot
from envwatch.sources import Source
from envwatch.sources.managed import ManagedSource

logger = logging.getLogger(__name__)

MOST = 20  # lines of one kind that a pusher reads
NOTHING = "nothing has changed"


@dataclass(frozen=True, slots=True)
class Pushes:
    """What the web is handed to serve git.

    `mark` has a source looked at, `tell` adds to its story.
    """

    sources: Callable[[], tuple[Source, ...]]
    server: Server
    judge: Judge
    mark: Callable[[str], None]
    tell: Callable[[str, str, str], None]

    def advertise(self, namespace: str, service: str, protocol: str) -> IO[bytes]:
        source = self._managed(namespace)
        return self.server.advertise(source.repository, Service(service), protocol)

    def answer(
        self, namespace: str, service: str, protocol: str, body: IO[bytes], by: str
    ) -> IO[bytes]:
        source, asked = self._managed(namespace), Service(service)
        hooks = _Push(source, self, by) if asked is Service.RECEIVE else None
        return self.server.answer(source.repository, asked, protocol, body, hooks)

    def _managed(self, namespace: str) -> ManagedSource:
        for source in self.sources():
            if isinstance(source, ManagedSource) and source.settings.namespace == namespace:
                return source
        raise NotFound(
            f"there is no managed repository `{namespace}`", hint="see the sources on the page"
        )


@dataclass(slots=True)
class _Push:
    """One push: it is judged before anything moves, and told of when it has moved."""

    source: ManagedSource
    door: Pushes
    by: str
    verdict: Verdict | None = field(default=None)

    def __call__(self, question: Question) -> Reply:
        try:
            if question.hook == BEFORE and question.updates:
                return self._before(question)
            if question.hook == AFTER:
                return self._after(question.updates)
        except EnvwatchError as e:
            return Reply(False, (f"this push cannot be checked, {NOTHING}: {e}",))
        except Exception:
            logger.exception("push to %s", self.source.name)
            return Reply(False, (f"envwatch failed to check this push, {NOTHING}: see its log",))
        return Reply(False, (f"a push of so many refs is not taken, {NOTHING}",))

    # ------------------------------------------------------------ before

    def _before(self, question: Question) -> Reply:
        within = self.source.repository.quarantine(question.objects, question.alternates)
        for update in question.updates:
            if problem := self._forbidden(update, within):
                return Reply(False, (f"{problem}, {NOTHING}",))
        main = next((u for u in question.updates if self._is_followed(u)), None)
        notes = [self._unused(u) for u in question.updates if not self._is_followed(u)]
        said = _cut(notes)
        return Reply(True, said) if main is None else self._judged(main, within, said)

    def _judged(self, main: Update, within: Surroundings, notes: tuple[str, ...]) -> Reply:
        before = self.source.at(main.old) if main.old else Snapshot(self.source.name, "", ())
        verdict = self.door.judge(self.source.settings, before, self.source.at(main.new, within))
        if verdict.refused:
            lines = _told("", verdict.refused)
            return Reply(False, (f"this push is refused, {NOTHING}:", *lines))
        self.verdict = verdict
        return Reply(True, (*notes, *_told("warning: ", verdict.warned)))

    def _forbidden(self, update: Update, within: Surroundings) -> str:
        """What no push may do, and why, whatever its files hold."""
        name = _short(update.ref)
        if update.ref.startswith(f"refs/heads/{self.source.settings.branch}/"):
            return f"`{name}` would stand in the way of `{self.source.settings.branch}`"
        if not update.new:
            return f"`{name}` is not deleted: history stays here"
        if update.old and not self._is_ahead(update, within):
            return f"this would rewrite the history of `{name}`: fetch, merge and push again"
        if self._is_followed(update) and not self.source.repository.holds(update.new, within):
            return f"`{name}` must be a commit"
        return ""

    def _is_ahead(self, update: Update, within: Surroundings) -> bool:
        ask = ("merge-base", "--is-ancestor", update.old, update.new)
        try:
            self.source.repository.run(*ask, within=within)
        except GitFailed:
            return False
        return True

    def _is_followed(self, update: Update) -> bool:
        return update.ref == f"refs/heads/{self.source.settings.branch}"

    def _unused(self, update: Update) -> str:
        followed = self.source.settings.branch
        return f"`{_short(update.ref)}` is kept, and not looked at: `{followed}` is what is built"

    # ------------------------------------------------------------ after

    def _after(self, updates: tuple[Update, ...]) -> Reply:
        for moved in _cut([_moved(u) for u in updates]):
            logger.info("push to %s with token %s: %s", self.source.name, self.by, moved)
            self.door.tell(self.source.name, "pushed", f"{moved} with the token `{self.by}`")
        if self.verdict is None or not any(self._is_followed(u) for u in updates):
            return Reply(True)
        self.door.mark(self.source.name)
        lines = [str(outcome) for outcome in self.verdict.outcomes]
        return Reply(True, _cut(lines or ["no environment changes"]))


def _told(word: str, messages: Iterable[Message]) -> tuple[str, ...]:
    return _cut([f"{word if m.level is Level.ERROR else ''}{m}" for m in messages])


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - MOST
    return (*lines[:MOST], f"and {more} more") if more > 0 else tuple(lines)


def _moved(update: Update) -> str:
    return f"`{_short(update.ref)}` from {update.old[:12] or 'nothing'} to {update.new[:12]}"


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
