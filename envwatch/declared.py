"""The `envwatch.yml` files of a snapshot → what may become an environment, and of which files.

The nearest `envwatch.yml` above a file speaks for it, and no other. A file that it puts into an
environment, or lists under `layers`, is none by itself. Where it is broken, nothing in its folder
or below changes until it is mended.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from envwatch import repofile
from envwatch.model import Level, Message, SourceFile
from envwatch.repofile import Declared, RepoFile
from envwatch.repowords import NAMES, NOTHING, Words, is_repo_file, over

LOCK_SUFFIXES = ("conda-lock.yml", "conda-lock.yaml")
ENVIRONMENT_FILES = ("environment.yml", "environment.yaml")
MOST_REPO_FILES = 500
NOT_THERE = "compare the path; what a source's `include` does not take is not read"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may become an environment: one file, or those that an `envwatch.yml` puts together.

    `path` is what people edit. `entry` is what is said of it alone, `repo` the file that says it.
    `problem` keeps it as it is. `unsure` keeps back what is new: an entry that is wrong may have
    meant this file for a part.
    """

    path: str
    files: tuple[SourceFile, ...]
    repo: RepoFile | None = None
    entry: Declared | None = None
    problem: Message | None = None
    unsure: Message | None = None


@dataclass(slots=True)
class Declarations:
    """All `envwatch.yml` of one snapshot, the nearest found by folder."""

    files: Mapping[str, SourceFile]
    by_folder: dict[str, RepoFile] = field(default_factory=dict)
    others: list[RepoFile] = field(default_factory=list)

    def nearest(self, path: str) -> RepoFile | None:
        folder = posixpath.dirname(path)
        while folder not in self.by_folder:
            if not folder:
                return None
            folder = posixpath.dirname(folder)
        return self.by_folder[folder]

    @property
    def repo_files(self) -> tuple[RepoFile, ...]:
        return (*self.by_folder.values(), *self.others)

    def parts(self) -> dict[str, tuple[str, ...]]:
        """The files that are no environment by themselves, and of which ones they are part."""
        parts: dict[str, tuple[str, ...]] = {}
        for repo in self.by_folder.values():
            if repo.broken is not None:
                continue
            for entry in repo.environments:
                own = (f.text for f in entry.files if self.nearest(f.text) is repo)
                for path in own:
                    parts[path] = (*parts.get(path, ()), entry.name)
            for layer in repo.layers:
                if self.nearest(layer.text) is repo:
                    parts.setdefault(layer.text, ())
        return parts

    def virtual_files(self) -> frozenset[str]:
        """conda-lock's files of virtual packages, as far as they are named."""
        whole = (r for r in self.by_folder.values() if r.broken is None)
        words = (w for r in whole for w in (r.defaults, *(e.words for e in r.environments)))
        return frozenset(w.virtual_file for w in words if w.virtual_file)

    def candidates(self, readable: Iterable[SourceFile]) -> Iterator[Candidate]:
        """What may become an environment: entries with `files`, and the files that are left."""
        for repo in self.by_folder.values():
            if repo.broken is None:
                yield from (self._of_entry(repo, e) for e in repo.environments if e.files)
        elsewhere = {*self.parts(), *self.virtual_files()}
        unsure = {repo.path: self._unsure(repo) for repo in self.by_folder.values()}
        for file in readable:
            if file.path not in elsewhere and not is_repo_file(file.path):
                near = self.nearest(file.path)
                doubts = (near.broken, unsure[near.path]) if near else (None, None)
                yield Candidate(file.path, (file,), near, None, *doubts)

    def _unsure(self, repo: RepoFile) -> Message | None:
        problems = (self._problem(repo, entry) for entry in repo.environments)
        return next((p for p in problems if p is not None), None)

    def _problem(self, repo: RepoFile, entry: Declared) -> Message | None:
        missing = next((f for f in entry.files if f.text not in self.files), None)
        if entry.problem is not None or missing is None:
            return entry.problem
        text = f"`{missing.text}` is not among the files of this source"
        return Message(Level.ERROR, text, repo.path, missing.line, missing.column, NOT_THERE)

    def _of_entry(self, repo: RepoFile, entry: Declared) -> Candidate:
        """Its path is its single file, where this envwatch.yml speaks for that, else the latter."""
        first = entry.files[0].text
        alone = len(entry.files) == 1 and self.nearest(first) is repo
        path = first if alone else repo.path
        found = tuple(self.files[f.text] for f in entry.files if f.text in self.files)
        return Candidate(path, found, repo, entry, self._problem(repo, entry))


def declarations(files: Sequence[SourceFile]) -> Declarations:
    """What all `envwatch.yml` among these files say."""
    made = Declarations({f.path: f for f in files})
    # envwatch.yml before envwatch.yaml, so that it is clear which of two counts
    chosen = sorted(
        (f for f in files if is_repo_file(f.path)),
        key=lambda f: (posixpath.dirname(f.path), NAMES.index(posixpath.basename(f.path))),
    )
    for file in chosen:
        folder = posixpath.dirname(file.path)
        if len(made.by_folder) >= MOST_REPO_FILES:
            text = f"more than {MOST_REPO_FILES} `envwatch.yml` in one source"
            made.by_folder.setdefault(folder, _broken(file, text))
        elif folder in made.by_folder:
            text = f"`{made.by_folder[folder].path}` speaks for this folder already"
            made.others.append(_broken(file, text, "remove one of them"))
        else:
            made.by_folder[folder] = _read(file)
    return made


def _read(file: SourceFile) -> RepoFile:
    if file.problem is not None or file.data is None:
        problem = file.problem or Message(Level.ERROR, "the file was not read", file.path)
        return RepoFile(file.path, messages=(problem,), broken=problem)
    return repofile.read(file.data, path=file.path)


def _broken(file: SourceFile, text: str, hint: str = "") -> RepoFile:
    problem = Message(Level.ERROR, text, file.path, hint=hint)
    return RepoFile(file.path, messages=(problem,), broken=problem)


def words_for(candidate: Candidate, name: str) -> tuple[Words, Declared | None]:
    """What is said of an environment of this name, and the entry that says it."""
    repo, entry = candidate.repo, candidate.entry
    if repo is None:
        return NOTHING, None
    if entry is None:
        named = (e for e in repo.environments if not e.files)
        entry = next((e for e in named if e.name == name), None)
    return over(entry.words if entry else NOTHING, repo.defaults), entry


def without_effect(made: Declarations) -> Iterator[Message]:
    """Layers that are listed and are not there, or that another `envwatch.yml` speaks for."""
    for repo in made.by_folder.values():
        for layer in repo.layers:
            if layer.text in made.files and made.nearest(layer.text) is repo:
                continue
            text = f"the layer `{layer.text}` has no effect: it is no file of this folder or below"
            place = (layer.line, layer.column)
            yield Message(Level.WARNING, text, repo.path, *place, "compare the path")


# ---------------------------------------------------------------- locks


def is_lock(path: str) -> bool:
    """`conda-lock.yml`, or `analysis.conda-lock.yml` for `analysis.yml`."""
    name = posixpath.basename(path)
    return any(name == s or name.endswith(f".{s}") for s in LOCK_SUFFIXES)


def lock_of(
    candidate: Candidate,
    words: Words,
    locks: Mapping[str, SourceFile],
    folders: Mapping[str, int],
) -> SourceFile | None:
    """The lock that is named, or the one that lies where it is looked for.

    `folders` says how many files there are in each that may be environments.
    """
    if words.lock:
        return locks.get(words.lock)
    places = _merged(candidate) if len(candidate.files) > 1 else _single(candidate, folders)
    return next((locks[p] for p in places if p in locks and locks[p].data is not None), None)


def _merged(candidate: Candidate) -> Iterator[str]:
    """Beside the `envwatch.yml`: `<name>.conda-lock.yml`; `conda-lock.yml` where it says one."""
    repo, entry = candidate.repo, candidate.entry
    if repo is None or entry is None:
        return
    names = [f"{entry.name}.{suffix}" for suffix in LOCK_SUFFIXES]
    if sum(bool(e.files) for e in repo.environments) == 1:
        names += LOCK_SUFFIXES
    yield from (posixpath.join(repo.folder, name) for name in names)


def _single(candidate: Candidate, folders: Mapping[str, int]) -> Iterator[str]:
    """Beside the file: `<stem>.conda-lock.yml`, or `conda-lock.yml` where it is clear."""
    folder, name = posixpath.split(candidate.path)
    stems = [candidate.entry.name] if candidate.entry else []
    stems.append(posixpath.splitext(name)[0])
    names = [f"{stem}.{suffix}" for stem in stems for suffix in LOCK_SUFFIXES]
    if name in ENVIRONMENT_FILES or folders.get(folder) == 1:
        names += LOCK_SUFFIXES
    yield from (posixpath.join(folder, name) for name in names)


def lock_place(
    candidate: Candidate,
    words: Words,
    locks: Mapping[str, SourceFile],
    folders: Mapping[str, int],
) -> str:
    """The path of the lock that is read, or where a new one would be.

    Beside `environment.yml` that is `conda-lock.yml`, as everybody knows it. Beside any other file
    it bears a name, so that it goes on being read when more files come to its folder.
    """
    known = lock_of(candidate, words, locks, folders)
    if words.lock or known is not None:
        return words.lock or (known.path if known else "")
    folder, name = posixpath.split(candidate.path)
    if candidate.entry is not None:
        return posixpath.join(folder, f"{candidate.entry.name}.{LOCK_SUFFIXES[0]}")
    if name in ENVIRONMENT_FILES:
        return posixpath.join(folder, LOCK_SUFFIXES[0])
    return posixpath.join(folder, f"{posixpath.splitext(name)[0]}.{LOCK_SUFFIXES[0]}")


def counted(readable: Iterable[SourceFile]) -> Mapping[str, int]:
    """How many files of each folder may be environments."""
    paths = (f.path for f in readable if not is_repo_file(f.path))
    return Counter(posixpath.dirname(path) for path in paths)
