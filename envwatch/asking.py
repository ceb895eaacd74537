"""One candidate → what it asks for, or why it is refused. Pure, as the plan that it is part of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from envwatch import declared, layers, packagerules, policy, spec, virtualfile, wishes
from envwatch.declared import Candidate, Declarations, words_for
from envwatch.digests import with_lock
from envwatch.errors import SpecError
from envwatch.model import (
    Ask,
    Composition,
    EnvKey,
    FileOutcome,
    FileState,
    Layer,
    Level,
    Message,
    Requirement,
    SourceFile,
    Spec,
    Standing,
)
from envwatch.repofile import Declared, RepoFile
from envwatch.repowords import Words
from envwatch.settings import NamespaceSettings, Network

VIRTUAL_NOTE = Message(Level.NOTE, "virtual packages that an `envwatch.yml` names")
IGNORED = Message(Level.NOTE, "not an environment: it has no `dependencies`")
MOST_LAYERED = 16 * 2**20  # bytes of all layers of all environments of one source

# with `known`, a file that had an environment is refused rather than ignored when it has none now
Parse = Callable[[SourceFile, bool], Spec | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every file of one source.

    `platforms` starts with the host's. `rename` makes the environment's name of the one that a
    file gives. `confirmed_empty`: a person said that an empty source is meant.
    """

    namespace: NamespaceSettings
    network: Network
    platforms: tuple[str, ...]
    rename: str = "{name}"
    confirmed_empty: bool = False

    def key(self, name: str, path: str) -> EnvKey:
        """What an environment is called that a file calls `name`. Raises SpecError."""
        renamed = self.rename.replace("{name}", name)
        if not spec.valid_name(renamed):
            raise SpecError(
                f"the environment would be called `{renamed}`, which is no name",
                path=path,
                hint="a shorter `name:` or branch: 64 letters, digits, `.`, `_` and `-` at most",
            )
        return EnvKey(self.namespace.name, renamed)


def asked_digest(
    parsed: Spec, channels: Sequence[str], platforms: Sequence[str], lock: str, rules: Rules
) -> str:
    """Identity of what is asked for: everything that may lead to other packages or files."""
    solve = rules.namespace.solve
    applied = packagerules.applied(parsed, rules.namespace)
    identity = [
        parsed.digest,
        list(channels),
        list(platforms),
        "",  # where the lock was once
        solve.solver,
        solve.strict_channel_priority,
        sorted(solve.virtual_packages),
        rules.namespace.pip.index if parsed.pip else "",
        rules.namespace.pip.allow_sdist if parsed.pip else False,
        rules.namespace.link_scripts,
        *packagerules.identity(parsed, applied, rules.namespace),
    ]
    return with_lock(hashlib.sha256(json.dumps(identity).encode()).hexdigest(), lock)


def channels_of(parsed: Spec, namespace: NamespaceSettings, network: Network) -> tuple[str, ...]:
    """The channels of a spec as URLs, in order. Raises SpecError where one is not allowed."""
    policy.check_pip_urls(parsed, namespace.pip)
    return policy.channel_urls(
        parsed,
        default=namespace.channels,
        allowed=namespace.allowed_channels,
        alias=network.alias,
    )


def platforms_of(parsed: Spec, rules: Rules) -> tuple[str, ...]:
    """The platforms to lock for: the host first, then what the config and the file name."""
    host, *others = rules.platforms
    return tuple(dict.fromkeys([host, *others, *rules.namespace.platforms, *parsed.platforms]))


@dataclass(slots=True)
class Findings:
    """What the files of one snapshot came to, while they are gone through."""

    own: Mapping[EnvKey, Standing]
    others: Mapping[str, Standing]
    asks: dict[EnvKey, Ask] = field(default_factory=dict)
    invalid: dict[EnvKey, Message] = field(default_factory=dict)
    files: dict[str, FileOutcome] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    by_path: dict[str, list[EnvKey]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for standing in self.own.values():
            if not standing.retired:
                self.by_path.setdefault(standing.path, []).append(standing.key)

    def knows(self, path: str) -> bool:
        """Did this file ask for an environment before?"""
        return path in self.by_path

    def refuse(self, path: str, message: Message, key: EnvKey | None = None) -> None:
        """The file is shown as refused; what it asked for before goes on serving."""
        self.tell(path, FileState.REFUSED, message, key=key)
        self.invalid |= dict.fromkeys(self.by_path.get(path, ()), message)

    def keep(self, key: EnvKey, message: Message) -> None:
        """What this environment asked for before goes on serving."""
        if key in self.own and not self.own[key].retired:
            self.invalid[key] = message

    def tell(
        self, path: str, state: FileState, *messages: Message, key: EnvKey | None = None
    ) -> None:
        """Add to what is shown of a file: refused goes before understood, and errors come first."""
        old = self.files.get(path)
        if old is not None:
            state = FileState.REFUSED if FileState.REFUSED in (old.state, state) else old.state
            messages, key = (*old.messages, *messages), old.key or key
        ordered = sorted(dict.fromkeys(messages), key=lambda m: m.level is not Level.ERROR)
        self.files[path] = FileOutcome(path, state, key, tuple(ordered))

    def outcomes(self) -> tuple[FileOutcome, ...]:
        return tuple(self.files[path] for path in sorted(self.files))


@dataclass(slots=True)
class Maker:
    """Takes the candidates of one snapshot, each for itself."""

    source: str
    rules: Rules
    locks: Mapping[str, SourceFile]
    readable: Mapping[str, SourceFile]
    folders: Mapping[str, int]
    found: Findings
    parse: Parse
    used: set[tuple[str, str]] = field(default_factory=set)
    parts: dict[str, Spec | Message] = field(default_factory=dict)
    layered: int = 0

    def take(self, candidate: Candidate) -> None:
        """Ask for what the candidate is, or say why it is not used."""
        if candidate.entry is not None:
            self._take_entry(candidate, candidate.entry)
        else:
            self._take_file(candidate, candidate.files[0])

    def conclude(self, said: Declarations) -> None:
        """Say what became of the `envwatch.yml` files and of the layers."""
        for repo in said.repo_files:
            self._conclude(repo)
        for message in declared.without_effect(said):
            self.found.tell(message.path, FileState.UNDERSTOOD, message)
        for path, names in said.parts().items():
            self._tell_part(path, names, said)
        for path in said.virtual_files() & said.files.keys():
            self.found.tell(path, FileState.UNDERSTOOD, VIRTUAL_NOTE)

    def _tell_part(self, path: str, names: Sequence[str], said: Declarations) -> None:
        known = self.found.files.get(path)
        if path in said.files and (known is None or known.key is None):
            parts = ", ".join(f"`{name}`" for name in names)
            text = f"a part of {parts}" if names else "a layer, no environment by itself"
            self.found.tell(path, FileState.UNDERSTOOD, Message(Level.NOTE, text))

    def _conclude(self, repo: RepoFile) -> None:
        if repo.broken is not None:
            self.found.refuse(repo.path, repo.broken)
        refused = any(m.level is Level.ERROR for m in repo.messages)
        state = FileState.REFUSED if refused else FileState.UNDERSTOOD
        self.found.tell(repo.path, state, *repo.messages)
        for entry in repo.environments:
            if entry.files or repo.broken or (repo.path, entry.name) in self.used:
                continue
            problem = entry.problem or Message(
                Level.ERROR,
                f"no environment file in this folder or below is called `{entry.name}`",
                repo.path,
                entry.line,
                entry.column,
                "name its `files`",
            )
            self.found.tell(repo.path, FileState.REFUSED, problem)

    # ------------------------------------------------------------ one candidate

    def _take_entry(self, candidate: Candidate, entry: Declared) -> None:
        """An entry of an `envwatch.yml` that names its files."""
        try:
            key = self.rules.key(entry.name, candidate.path)
        except SpecError as e:
            self.found.refuse(candidate.path, message_of(e, candidate.path))
            return
        if candidate.problem is not None:
            self._refuse_entry(key, candidate.problem)
            return
        try:
            specs = [self._part(file) for file in candidate.files]
            ask = self._ask(key, entry.name, candidate, specs)
        except SpecError as e:
            self._refuse_entry(key, message_of(e, candidate.path))
        except _Refused as e:
            self._refuse_entry(key, e.told)
        else:
            self._keep(ask, [f.path for f in candidate.files] if len(candidate.files) == 1 else [])

    def _part(self, file: SourceFile) -> Spec:
        """A file that is named as a part; one that many environments share is read once."""
        if file.path not in self.parts:
            try:
                self.parts[file.path] = file.problem or _understood(self.parse, file)
            except SpecError as e:
                self.parts[file.path] = message_of(e, file.path)
        found = self.parts[file.path]
        if isinstance(found, Message):
            raise _Refused(found)
        return found

    def _refuse_entry(self, key: EnvKey, message: Message) -> None:
        self.found.keep(key, message)
        self.found.tell(message.path, FileState.REFUSED, message)

    def _take_file(self, candidate: Candidate, file: SourceFile) -> None:
        """A file that no `envwatch.yml` puts anywhere."""
        if file.problem is not None:
            self.found.refuse(file.path, file.problem)
            return
        try:
            parsed = self.parse(file, self.found.knows(file.path))
            if parsed is None:
                self.found.tell(file.path, FileState.IGNORED, IGNORED)
                return
            self._refuse_unsure(candidate)
            # a source that is one branch of another is called `team@branch`
            name = parsed.name or spec.default_name(file.path, self.source.partition("@")[0])
            ask = self._ask(self.rules.key(name, file.path), name, candidate, [parsed])
        except SpecError as e:
            self.found.refuse(file.path, message_of(e, file.path))
            return
        except _Refused as e:
            self.found.refuse(file.path, e.told)
            return
        self._keep(ask, [file.path])

    def _refuse_unsure(self, candidate: Candidate) -> None:
        """What a broken `envwatch.yml` speaks for waits; where an entry is wrong, what is new."""
        doubt = None if self.found.knows(candidate.path) else candidate.unsure
        problem = candidate.problem or doubt
        if problem is not None:
            raise _waits(problem, candidate.path)

    def _keep(self, ask: Ask, paths: Iterable[str]) -> None:
        self.found.asks[ask.key] = ask
        self.found.taken[str(ask.key).casefold()] = ask.path
        messages = (*ask.spec.messages, *ask.messages)
        for path in paths:
            own = [m for m in messages if m.path in (path, "")]
            self.found.tell(path, FileState.UNDERSTOOD, *own, key=ask.key)
        for message in messages:
            if message.path and message.path not in paths:
                self.found.tell(message.path, FileState.UNDERSTOOD, message)

    def _ask(self, key: EnvKey, name: str, candidate: Candidate, specs: Sequence[Spec]) -> Ask:
        """Raises SpecError where it cannot be used, and says what of its words is not."""
        self._refuse_second(key, candidate.path)
        words, entry = words_for(candidate, name)
        if entry is not None and candidate.repo is not None:
            self.used.add((candidate.repo.path, entry.name))
            if entry.problem is not None:
                raise _Refused(entry.problem)
        place = candidate.repo.path if candidate.repo else candidate.path
        words, said = wishes.limited(words, self.rules.namespace, place)
        composition = self._composition(candidate, words, place)
        made = layers.compose(specs, candidate.path, composition)
        if words.description:
            made = replace(made, description=words.description)
        lock, late = self._lock(candidate, words, place)
        channels = channels_of(made, self.rules.namespace, self.rules.network)
        platforms = platforms_of(made, self.rules)
        digest = asked_digest(made, channels, platforms, lock, self.rules)
        return Ask(
            key=key,
            path=candidate.path,
            spec=packagerules.applied(made, self.rules.namespace),
            text=self._text(made, key, candidate),
            digest=digest,
            lock_text=lock,
            lock_path=declared.lock_place(candidate, words, self.locks, self.folders),
            messages=(*said, *late),
            composition=composition,
            wishes=wishes.of(words),
        )

    def _composition(self, candidate: Candidate, words: Words, place: str) -> Composition:
        files = candidate.files if len(candidate.files) > 1 else ()
        made = tuple(Layer(f.path, _decoded(f)) for f in files)
        self.layered += sum(len(layer.text) for layer in made)
        if self.layered > MOST_LAYERED:
            limit = MOST_LAYERED // 2**20
            problem = f"the layers of all environments together have more than {limit} MiB"
            raise SpecError(problem, path=place, hint="make fewer or smaller ones")
        return Composition(made, words.platforms, *self._virtual(words, place))

    def _virtual(self, words: Words, place: str) -> tuple[tuple[Requirement, ...], str]:
        """The virtual packages of the list, or of the file that is named instead."""
        if not words.virtual_file:
            return words.virtual_packages, ""
        line, column = words.place("virtual_packages")
        file = self.readable.get(words.virtual_file)
        if file is None or file.data is None:
            problem = f"`{words.virtual_file}` is not among the files of this source"
            raise SpecError(problem, path=place, line=line, column=column, hint=declared.NOT_THERE)
        return virtualfile.read_file(file.data, path=file.path), _decoded(file)

    def _lock(
        self, candidate: Candidate, words: Words, place: str
    ) -> tuple[str, tuple[Message, ...]]:
        lock = declared.lock_of(candidate, words, self.locks, self.folders)
        if lock is not None and lock.data is not None:
            return lock.data.decode("utf-8", "replace"), ()
        if not words.lock:
            return "", ()
        text = f"the lock `{words.lock}` is not there, and is not used"
        place_ = words.place("lock")
        return "", (Message(Level.WARNING, text, place, *place_, "compare the path"),)

    def _text(self, made: Spec, key: EnvKey, candidate: Candidate) -> str:
        if len(candidate.files) > 1:
            return layers.render(made, key.name, [f.path for f in candidate.files])
        return _decoded(candidate.files[0])

    def _refuse_second(self, key: EnvKey, path: str) -> None:
        other = self.found.others.get(str(key).casefold())
        hint = "give one of them another `name:`"
        taken = self.found.taken.get(str(key).casefold())
        where = f"source `{other.source}` in {other.path}" if other is not None else taken
        if where:
            problem = f"environment `{key}` is defined by {where} already"
            raise SpecError(problem, path=path, hint=hint)


class _Refused(Exception):
    """It cannot be used, for a reason that is said already."""

    def __init__(self, told: Message) -> None:
        super().__init__(str(told))
        self.told = told


def _waits(problem: Message, path: str) -> _Refused:
    """A file that an `envwatch.yml` speaks for which is broken."""
    text = f"nothing changes here until this is mended: {problem.place}: {problem.text}"
    return _Refused(Message(Level.ERROR, text, path, hint=problem.hint))


def _understood(parse: Parse, file: SourceFile) -> Spec:
    """A file that is named as a part of an environment must be one."""
    parsed = parse(file, True)
    if parsed is None:
        raise SpecError("not an environment", path=file.path, hint=IGNORED.text)
    return parsed


def _decoded(file: SourceFile) -> str:
    return (file.data or b"").decode("utf-8-sig")


def message_of(error: SpecError, path: str) -> Message:
    """The error as a remark about its file."""
    return Message(
        Level.ERROR, error.message, error.path or path, error.line, error.column, error.hint
    )
