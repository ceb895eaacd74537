"""A snapshot and what was last asked for → what must change. Pure: it reads and writes nothing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from envwatch import policy, spec
from envwatch.errors import SpecError
from envwatch.model import (
    Ask,
    EnvKey,
    FileOutcome,
    FileState,
    Level,
    Message,
    Plan,
    Snapshot,
    SourceFile,
    Spec,
    Standing,
)
from envwatch.settings import NamespaceSettings, Network

ENVIRONMENT_FILES = ("environment.yml", "environment.yaml")
LOCK_SUFFIXES = ("conda-lock.yml", "conda-lock.yaml")
IGNORED = Message(Level.NOTE, "not an environment: it has no `dependencies`")
LOCK_NOTE = Message(Level.NOTE, "a lock beside an environment")

# with `known`, a file that had an environment is refused rather than ignored when it has none now
Parse = Callable[[SourceFile, bool], Spec | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every file of one source.

    `platforms` starts with the host's. `confirmed_empty`: a person said that an empty source is
    meant.
    """

    namespace: NamespaceSettings
    network: Network
    platforms: tuple[str, ...]
    confirmed_empty: bool = False


def parse_file(file: SourceFile, known: bool) -> Spec | None:
    """The environment in a file, None for other yaml. Raises SpecError."""
    return spec.parse(file.data or b"", path=file.path, known=known)


def make_plan(
    snapshot: Snapshot, standing: Sequence[Standing], rules: Rules, parse: Parse = parse_file
) -> Plan:
    """What the source asks for now, compared with what was asked for last.

    A file that has an environment keeps it; among new files of one name the first by path wins.
    """
    own = {s.key: s for s in standing if s.source == snapshot.source}
    known = frozenset(s.path for s in own.values() if not s.retired)
    found = _Findings(own, _held_by_others(standing, snapshot.source), known)
    locks = {f.path: f for f in snapshot.files if is_lock(f.path)}
    readable = [f for f in snapshot.files if f.path not in locks]
    together = Counter(PurePosixPath(f.path).parent for f in readable)
    for file in sorted(readable, key=lambda f: (not found.knows(f.path), f.path)):
        _take(file, locks, together, snapshot, rules, found, parse)
    for path in locks:
        found.files.append(FileOutcome(path, FileState.IGNORED, messages=(LOCK_NOTE,)))
    return _plan(snapshot, found, rules)


def is_lock(path: str) -> bool:
    """`conda-lock.yml`, or `analysis.conda-lock.yml` for `analysis.yml`."""
    name = PurePosixPath(path).name
    return any(name == s or name.endswith(f".{s}") for s in LOCK_SUFFIXES)


def asked_digest(
    parsed: Spec, channels: Sequence[str], platforms: Sequence[str], lock: str, rules: Rules
) -> str:
    """Identity of what is asked for: everything that may lead to other packages or files."""
    solve = rules.namespace.solve
    identity = [
        parsed.digest,
        list(channels),
        list(platforms),
        hashlib.sha256(lock.encode()).hexdigest() if lock else "",
        solve.solver,
        solve.strict_channel_priority,
        sorted(solve.virtual_packages),
        rules.namespace.pip.index if parsed.pip else "",
        rules.namespace.pip.allow_sdist if parsed.pip else False,
        rules.namespace.link_scripts,
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


@dataclass(slots=True)
class _Findings:
    """What the files of one snapshot came to, while they are gone through."""

    own: Mapping[EnvKey, Standing]
    others: Mapping[str, Standing]
    known: frozenset[str]
    asks: dict[EnvKey, Ask] = field(default_factory=dict)
    taken: dict[str, Ask] = field(default_factory=dict)
    invalid: dict[EnvKey, Message] = field(default_factory=dict)
    files: list[FileOutcome] = field(default_factory=list)

    def knows(self, path: str) -> bool:
        """Did this file ask for an environment before?"""
        return path in self.known

    def refuse(self, path: str, message: Message, key: EnvKey | None = None) -> None:
        """The file is shown as refused; what it asked for before goes on serving."""
        self.files.append(FileOutcome(path, FileState.REFUSED, key, (message,)))
        for standing in self.own.values():
            if standing.path == path and not standing.retired:
                self.invalid[standing.key] = message


def _held_by_others(standing: Iterable[Standing], source: str) -> dict[str, Standing]:
    # names that differ in case alone would be one file on some filesystems, and one to the eye
    return {str(s.key).casefold(): s for s in standing if s.source != source and not s.retired}


def _take(
    file: SourceFile,
    locks: Mapping[str, SourceFile],
    together: Mapping[PurePosixPath, int],
    snapshot: Snapshot,
    rules: Rules,
    found: _Findings,
    parse: Parse,
) -> None:
    if file.problem is not None:
        found.refuse(file.path, file.problem)
        return
    try:
        parsed = parse(file, found.knows(file.path))
        if parsed is None:
            found.files.append(FileOutcome(file.path, FileState.IGNORED, messages=(IGNORED,)))
            return
        key = _key(parsed, file, snapshot, rules)
        _refuse_second(key, file, found)
        lock = _lock_text(file, locks, together)
        ask = _ask(key, parsed, file, lock, rules)
    except SpecError as e:
        found.refuse(file.path, message_of(e, file.path))
        return
    found.asks[key] = found.taken[str(key).casefold()] = ask
    messages = (*parsed.messages, *ask.messages)
    found.files.append(FileOutcome(file.path, FileState.UNDERSTOOD, key, messages))


def message_of(error: SpecError, path: str) -> Message:
    """The error as a remark about its file."""
    return Message(
        Level.ERROR, error.message, error.path or path, error.line, error.column, error.hint
    )


def _key(parsed: Spec, file: SourceFile, snapshot: Snapshot, rules: Rules) -> EnvKey:
    name = parsed.name or spec.default_name(file.path, snapshot.source)
    return EnvKey(rules.namespace.name, name)


def _refuse_second(key: EnvKey, file: SourceFile, found: _Findings) -> None:
    other = found.others.get(str(key).casefold())
    if other is not None:
        raise SpecError(
            f"environment `{key}` is defined by source `{other.source}` in {other.path} already",
            path=file.path,
            hint="give one of them another `name:`",
        )
    taken = found.taken.get(str(key).casefold())
    if taken is not None:
        raise SpecError(
            f"environment `{key}` is defined by {taken.path} already",
            path=file.path,
            hint="give one of them another `name:`",
        )


def _lock_text(
    file: SourceFile, locks: Mapping[str, SourceFile], together: Mapping[PurePosixPath, int]
) -> str:
    """The lock beside a file: `<stem>.conda-lock.yml`, or `conda-lock.yml` where it is clear.

    `together` counts the files of each folder.
    """
    if not locks:
        return ""
    path = PurePosixPath(file.path)
    names = [f"{path.stem}.{suffix}" for suffix in LOCK_SUFFIXES]
    if path.name in ENVIRONMENT_FILES or together[path.parent] == 1:
        names += LOCK_SUFFIXES
    for name in names:
        lock = locks.get(str(path.with_name(name)))
        if lock is not None and lock.data is not None:
            return lock.data.decode("utf-8", "replace")
    return ""


def _ask(key: EnvKey, parsed: Spec, file: SourceFile, lock: str, rules: Rules) -> Ask:
    channels = channels_of(parsed, rules.namespace, rules.network)
    platforms = platforms_of(parsed, rules)
    return Ask(
        key=key,
        path=file.path,
        spec=parsed,
        text=(file.data or b"").decode("utf-8-sig"),
        digest=asked_digest(parsed, channels, platforms, lock, rules),
        lock_text=lock,
    )


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


def _plan(snapshot: Snapshot, found: _Findings, rules: Rules) -> Plan:
    standing = {k: s for k, s in found.own.items() if not s.retired}
    invalid = tuple((k, m) for k, m in found.invalid.items() if k not in found.asks)
    gone = [k for k in standing if k not in found.asks and k not in found.invalid]
    nothing = not found.asks and not invalid
    unsure = not snapshot.authoritative and not rules.confirmed_empty
    empty = bool(gone) and nothing and unsure
    build: list[Ask] = []
    touch: list[Ask] = []
    for key, ask in found.asks.items():
        known = found.own.get(key)
        same = known is not None and known.digest == ask.digest
        (touch if same else build).append(ask)
    return Plan(
        source=snapshot.source,
        revision=snapshot.revision,
        commit=snapshot.commit,
        build=tuple(build),
        touch=tuple(touch),
        retire=() if empty else tuple(sorted(gone)),
        invalid=invalid,
        files=tuple(sorted(found.files, key=lambda f: f.path)),
        messages=snapshot.messages,
        empty=empty,
    )
