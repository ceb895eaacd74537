"""What a request to merge would change: its plan, held against what is asked for now. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from envwatch.digests import mixed
from envwatch.model import (
    Ask,
    FileOutcome,
    FileState,
    Level,
    Message,
    Plan,
    Preview,
    Standing,
)

AS_IT_IS = "as it is asked for already: nothing to preview"


@dataclass(frozen=True, slots=True)
class Target:
    """An environment of the source that a request is for: what it asks for and what is current.

    `lock_digest` is empty where nothing is published.
    """

    name: str
    path: str
    digest: str
    lock_digest: str = ""


def narrowed(
    plan: Plan,
    standing: Sequence[Standing],
    targets: Sequence[Target],
    *,
    rename: str,
    install: bool,
) -> Plan:
    """Of the plan of a request only what differs from its target.

    What is asked for has the lock that is current as a part of its digest: when that moves, the
    question is another one, and is asked again.
    """
    known = {t.name: t for t in targets}
    own = {s.key: s for s in standing if s.source == plan.source and not s.retired}
    asked = {_plain(ask.key.name, rename): ask for ask in (*plan.build, *plan.touch)}
    changed = [
        _asked(ask, name, known.get(name), install=install)
        for name, ask in asked.items()
        if name not in known or known[name].digest != ask.digest
    ]
    wanted = {ask.key for ask in changed}
    invalid = tuple((key, message) for key, message in plan.invalid if key not in wanted)
    kept = wanted | {key for key, _ in invalid}
    same = {ask.path for name, ask in asked.items() if ask.key not in wanted}
    return replace(
        plan,
        build=tuple(a for a in changed if a.key not in own or own[a.key].digest != a.digest),
        touch=tuple(a for a in changed if a.key in own and own[a.key].digest == a.digest),
        retire=tuple(sorted(own.keys() - kept)),
        invalid=invalid,
        files=tuple(_files(plan, same, _gone(plan, asked, targets))),
    )


def _plain(name: str, rename: str) -> str:
    """What an environment is called where it is not a preview."""
    before, _, after = rename.partition("{name}")
    return name.removeprefix(before).removesuffix(after)


def _asked(ask: Ask, name: str, target: Target | None, *, install: bool) -> Ask:
    # a lock that lies beside the file is taken as it is, whatever is current
    lock = target.lock_digest if target and not ask.lock_text else ""
    digest = mixed(ask.digest, lock, "install" if install else "")
    return replace(ask, digest=digest, preview=Preview(name, install))


def _gone(plan: Plan, asked: Mapping[str, Ask], targets: Sequence[Target]) -> dict[str, Target]:
    """What merging would retire, by its path. Of a file that is refused nobody can say."""
    refused = {f.path for f in plan.files if f.state is FileState.REFUSED}
    return {t.path: t for t in targets if t.name not in asked and t.path not in refused}


def _files(plan: Plan, same: set[str], gone: dict[str, Target]) -> Iterator[FileOutcome]:
    """As the page of the request lists them."""
    for file in plan.files:
        notes = [Message(Level.NOTE, AS_IT_IS)] if file.path in same else []
        if file.path in gone:
            notes.append(_retires(gone.pop(file.path)))
        key = None if file.path in same else file.key
        yield replace(file, key=key, messages=(*file.messages, *notes))
    for path, target in gone.items():
        yield FileOutcome(path, FileState.UNDERSTOOD, messages=(_retires(target),))


def _retires(target: Target) -> Message:
    return Message(Level.WARNING, f"merging it would retire `{target.name}`")
