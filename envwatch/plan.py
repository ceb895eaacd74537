"""A snapshot and what was last asked for → what must change. Pure: it reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envwatch import spec
from envwatch.asking import (
    Findings,
    Maker,
    Parse,
    Rules,
    asked_digest,
    channels_of,
    message_of,
    platforms_of,
)
from envwatch.declared import counted, declarations, is_lock
from envwatch.model import (
    Ask,
    FileState,
    Level,
    Message,
    Plan,
    Snapshot,
    SourceFile,
    Spec,
    Standing,
)

__all__ = [
    "Rules",
    "asked_digest",
    "channels_of",
    "is_lock",
    "make_plan",
    "message_of",
    "parse_file",
    "platforms_of",
]

LOCK_NOTE = Message(Level.NOTE, "a lock beside an environment")


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
    found = Findings(own, _held_by_others(standing, snapshot.source))
    locks = {f.path: f for f in snapshot.files if is_lock(f.path)}
    readable = [f for f in snapshot.files if f.path not in locks]
    said = declarations(readable)
    maker = Maker(snapshot.source, rules, locks, said.files, counted(readable), found, parse)
    for candidate in sorted(
        said.candidates(readable), key=lambda c: (not found.knows(c.path), c.path)
    ):
        maker.take(candidate)
    maker.conclude(said)
    for path in locks:
        found.tell(path, FileState.IGNORED, LOCK_NOTE)
    return _plan(snapshot, found, rules)


def _held_by_others(standing: Iterable[Standing], source: str) -> dict[str, Standing]:
    # names that differ in case alone would be one file on some filesystems, and one to the eye
    return {str(s.key).casefold(): s for s in standing if s.source != source and not s.retired}


def _plan(snapshot: Snapshot, found: Findings, rules: Rules) -> Plan:
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
        ref=snapshot.ref,
        build=tuple(build),
        touch=tuple(touch),
        retire=() if empty else tuple(sorted(gone)),
        invalid=invalid,
        files=found.outcomes(),
        messages=snapshot.messages,
        empty=empty,
    )
