"""Edits become commits: one for each, by the person, on what the person saw."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import NoReturn

from envwatch.catalog import Catalog
from envwatch.door.judge import Judge, Verdict
from envwatch.edit import Edit, Edited, FileText
from envwatch.errors import Conflict, NotFound, Outdated, SpecError
from envwatch.git import commits
from envwatch.git.commits import Change
from envwatch.git.pushing import push_edit
from envwatch.git.run import GitFailed
from envwatch.git.tree import Run, Tree
from envwatch.git.urls import shown
from envwatch.model import EnvKey, Level, Message, Snapshot, SourceFile
from envwatch.repowords import is_repo_file
from envwatch.settings import SourceSettings
from envwatch.sources import Source, files
from envwatch.sources.git import GitSource
from envwatch.sources.managed import ManagedSource

logger = logging.getLogger(__name__)

ATTEMPTS = 10  # each fails only because another commit came in between


@dataclass(frozen=True, slots=True)
class Editor:
    """Changes single files of sources. `mark` has a source looked at."""

    catalog: Catalog
    sources: Callable[[], tuple[Source, ...]]
    judge: Judge
    mark: Callable[[str], None]

    def read(self, key: EnvKey) -> FileText:
        """The file of an environment as it is at the tip of its source now."""
        env = self.catalog.generations.environment(key)
        if env.retired_at is not None:
            raise Conflict(f"{key} is retired: its file is gone", hint="create it again")
        source = next((s for s in self.sources() if s.name == env.source), None)
        if source is None:
            raise NotFound(f"source `{env.source}` of {key} is not in the config any more")
        if not source.settings.takes_edits:
            raise _takes_none(source.settings)
        snapshot = source.snapshot()
        file = next((f for f in snapshot.files if f.path == env.path), None)
        if file is None:
            raise NotFound(f"`{env.path}` is not in source `{env.source}` any more")
        if file.data is None:
            raise Conflict(str(file.problem))
        try:
            text = file.data.decode()
        except UnicodeDecodeError:
            raise Conflict(f"`{env.path}` is not UTF-8: it cannot be edited as text") from None
        return FileText(env.source, env.path, text, snapshot.revision)

    def edit(self, wanted: Edit) -> Edited:
        """Make one commit.

        Raises SpecError where the text would be refused, and Conflict where somebody changed the
        file since `seen`, or where the source takes no edits.
        """
        source = self._source(wanted)
        if isinstance(source, ManagedSource):
            return self._commit(source, wanted)
        if isinstance(source, GitSource) and source.settings.edits == "branch":
            return self._propose(source, wanted)
        raise _takes_none(source.settings)

    def _source(self, wanted: Edit) -> Source:
        """The one that is named, else the one that fills the namespace, a managed one first."""
        # a request to change a source is for its author to edit
        found = [s for s in self.sources() if not s.settings.base]
        filling = [s for s in found if s.settings.namespace == wanted.namespace]
        if wanted.source:
            filling = [s for s in filling if s.name == wanted.source]
        managed = [s for s in filling if isinstance(s, ManagedSource)]
        if not filling:
            raise NotFound(
                f"no source fills the namespace `{wanted.namespace}`",
                hint="an admin makes one: `envwatch namespace create NAME`",
            )
        if len(filling) > 1 and not managed:
            names = ", ".join(f"`{s.name}`" for s in filling)
            raise Conflict(f"the sources {names} fill `{wanted.namespace}`", hint="name one")
        return (managed or filling)[0]

    def _tell(self, made: Edited, wanted: Edit) -> None:
        text = f"{made.path} by {wanted.author.name}: {made.revision[:12]} on `{made.branch}`"
        logger.info("edit in %s: %s", made.source, text)
        self.catalog.sources.tell(made.source, "edited", text)

    # ------------------------------------------------------------ the two ways

    def _commit(self, source: ManagedSource, wanted: Edit) -> Edited:
        branch, repository = source.settings.branch, source.repository
        change = _change(source.reader, wanted)
        for _ in range(ATTEMPTS):
            tip = repository.tip(branch)
            run = repository.tree(tip).run
            before = source.at(tip) if tip else Snapshot(source.name, "", ())
            made = self._made(run, tip, source.settings, before, (wanted, change))
            if not made.changed or commits.move(run, branch, made.revision, tip):
                if made.changed:
                    self._tell(made, wanted)
                    self.mark(source.name)
                return replace(made, branch=branch, live=True)
        raise Conflict(f"`{repository.path.name}` is changed all the time", hint="try again")

    def _propose(self, source: GitSource, wanted: Edit) -> Edited:
        settings, change = source.settings, _change(source, wanted)

        def propose(tree: Tree) -> Edited:
            within = (wanted, change)
            made = self._made(tree.run, tree.revision, settings, source.at(tree), within)
            if not made.changed:
                return made
            subject = change.path.removesuffix(".yml").removesuffix(".yaml")
            branch = push_edit(tree.run, settings.url, made.revision, subject)
            made = replace(made, branch=branch)
            self._tell(made, wanted)
            return made

        return source.mirror.read(source.tip(), propose, settings.verify)

    def _made(
        self,
        run: Run,
        tip: str,
        source: SourceSettings,
        before: Snapshot,
        asked: tuple[Edit, Change],
    ) -> Edited:
        """The commit on top of `tip`; no ref has moved."""
        wanted, change = asked
        now = commits.blob_at(run, tip, change.path) if tip else ""
        if now and wanted.name:
            _check_owner(self.judge.owner(source, before, change.path), wanted)
        if now and change.data is not None and now == _blob(run, change.data):
            return Edited(source.name, change.path, tip, source.branch, live=True, changed=False)
        _check_seen(run, tip, now, wanted)
        verdict = self._verdict(source, before, _after(before, change), wanted)
        message = wanted.message.strip() or _default_message(now, change)
        made = commits.commit(run, tip, change, wanted.author, message)
        return Edited(
            source.name,
            change.path,
            made,
            source.branch,
            live=False,
            outcomes=verdict.outcomes,
            messages=verdict.warned,
        )

    def _verdict(
        self, source: SourceSettings, before: Snapshot, after: Snapshot, wanted: Edit
    ) -> Verdict:
        """Raises what is against it; who may change one environment is told of no other."""
        verdict = self.judge(source, before, after)
        if not wanted.name:
            _refuse(verdict)
            return verdict
        key = EnvKey(wanted.namespace, wanted.name)
        # a name that is taken is said with the file that has it
        found = verdict.key_of(wanted.path) or self.judge.alone(source, after, wanted.path)
        _check_name(found, wanted)
        own = verdict.only(verdict.changed | {key}, wanted.path)
        _refuse(own)
        if found is None and wanted.text is not None:
            raise Conflict(f"{wanted.path}: not an environment: it has no `dependencies`")
        _check_others(verdict.changed - {key}, wanted)
        if verdict.refused:
            _refuse_for_others(verdict, wanted)
        return own


# ---------------------------------------------------------------- what is refused


def _change(source: GitSource, wanted: Edit) -> Change:
    """The change, if its file is one that the source reads."""
    path = wanted.path
    strange = files.strange_name(path) or len(path) > 500
    if strange or ".git" in path.lower().split("/"):
        raise Conflict(f"`{files.shown(path)[:200]}` cannot be the path of a file")
    if not (source.selection.takes(path) or files.is_lock(path)):
        raise Conflict(
            f"source `{source.name}` does not read `{path}`",
            hint="the name ends in .yml or .yaml, and `include` takes it",
        )
    if wanted.name and (is_repo_file(path) or files.is_lock(path)):
        hint = "change it in a clone of the source"
        raise Conflict(f"`{path}` is not the file of one environment", hint=hint)
    data = None if wanted.text is None else wanted.text.encode("utf-8", "replace")
    if data is not None and len(data) > files.limit_of(path):
        raise SpecError(files.too_large(path, "").problem.text, path=path)  # type: ignore[union-attr]  # it has one
    return Change(path, data)


def _check_owner(owner: EnvKey | None, wanted: Edit) -> None:
    """Who may change one environment must not overwrite any other file, nor learn of it."""
    if owner != EnvKey(wanted.namespace, wanted.name):
        hint = "give it another name" if wanted.text is not None else "change it in a clone"
        raise Conflict(f"`{wanted.path}` is not the file of `{wanted.name}`", hint=hint)


def _check_seen(run: Run, tip: str, now: str, wanted: Edit) -> None:
    """Refuse what was not written for the file as it is now. Other files may have changed."""
    if wanted.text is None and not now:
        raise NotFound(f"there is no `{wanted.path}`")
    if not wanted.seen:
        if now:
            hint = "edit it, and say which revision you saw"
            raise Conflict(f"`{wanted.path}` is there already", hint=hint)
        return
    if wanted.seen == tip:
        return
    if not commits.is_revision(wanted.seen) or not _holds(run, wanted.seen):
        text = f"`{wanted.seen[:12]}`, which you saw, cannot be compared with {tip[:12]} of now"
        raise Outdated(text, hint="look at the file again")
    if commits.blob_at(run, wanted.seen, wanted.path) != now:
        last = commits.last_change(run, tip, wanted.path)
        raise Outdated(
            f"`{wanted.path}` was changed by {last.author} in {last.revision[:12]} "
            f"({last.subject}), after {wanted.seen[:12]} that you saw",
            hint="look at it again, and put your change on top",
        )


def _holds(run: Run, revision: str) -> bool:
    try:
        return run("cat-file", "-t", revision).strip() == b"commit"
    except GitFailed:
        return False


def _refuse(verdict: Verdict) -> None:
    if verdict.refused:
        first = verdict.refused[0]
        lines = [str(m) for m in verdict.refused] if len(verdict.refused) > 1 else [_told(first)]
        raise SpecError("\n".join(lines), hint=first.hint if len(lines) == 1 else "")


def _check_name(found: EnvKey | None, wanted: Edit) -> None:
    if found is not None and found.name != wanted.name:
        raise Conflict(
            f"{wanted.path}: the file calls its environment `{found.name}`, not `{wanted.name}`",
            hint="change its `name:`, or leave it out",
        )


def _refuse_for_others(verdict: Verdict, wanted: Edit) -> NoReturn:
    """Who may not change all files of the source is not told which would be refused."""
    if all(f.key is not None and wanted.may(f.key) for f in verdict.files):
        _refuse(verdict)
    if wanted.text is None:
        text, hint = f"without `{wanted.path}`", "ask who may change all of the source"
    else:
        text = f"with `{wanted.path}`"
        hint = "choose another path, or ask who may change all of the source"
    raise Conflict(f"{text} other files would be refused", hint=hint)


def _check_others(others: Set[EnvKey], wanted: Edit) -> None:
    if not all(wanted.may(key) for key in others):
        hint = "ask who may change all of them, or use a file of your own"
        raise Conflict(f"`{wanted.path}` is a part of other environments too", hint=hint)


def _told(message: Message) -> str:
    return str(Message(Level.ERROR, message.text, message.path, message.line, message.column))


def _takes_none(source: SourceSettings) -> Conflict:
    if source.url:
        hint = f"edit it in {shown(source.url)}, or have `edits: branch` set for the source"
    else:
        hint = f"edit it in {source.directory}"
    return Conflict(f"source `{source.name}` takes no edits", hint=hint)


# ---------------------------------------------------------------- helpers


def _after(before: Snapshot, change: Change) -> Snapshot:
    """The source as it would be."""
    kept = tuple(f for f in before.files if f.path != change.path)
    if change.data is not None:
        content = hashlib.sha256(change.data).hexdigest()
        kept = (*kept, SourceFile(change.path, content, change.data))
    return replace(before, files=kept)


def _blob(run: Run, data: bytes) -> str:
    return run("hash-object", "--stdin", data=data).decode().strip()


def _default_message(now: str, change: Change) -> str:
    verb = "Remove" if change.data is None else "Change" if now else "Add"
    return f"{verb} {change.path}"
