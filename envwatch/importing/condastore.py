"""What a running conda-store holds: its environments, and their builds as states of one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from envwatch.importing import BUILDS, Found, Wanted
from envwatch.importing.client import Client
from envwatch.importing.text import refusal, render
from envwatch.model import Level, Message
from envwatch.spec import valid_name
from envwatch.yamltext import shown


@dataclass(frozen=True, slots=True)
class Build:
    """One build as it is told, with the file that it was made from; empty where there is none."""

    id: int
    status: str
    at: datetime
    data: bytes
    problem: Message | None


@dataclass(frozen=True, slots=True)
class Environment:
    namespace: str
    name: str
    id: int
    current: int | None

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}"


def environments(client: Client) -> tuple[Environment, ...]:
    """All that this token may see, by name. Raises SourceError."""
    found = [_environment(e) for e in client.all("/environment/")]
    return tuple(sorted(filter(None, found), key=lambda e: (e.namespace, e.name)))


def namespaces(client: Client) -> tuple[str, ...]:
    return tuple(sorted(str(n.get("name", "")) for n in client.all("/namespace/")))


def read_namespace(
    client: Client, found: Sequence[Environment], *, all_builds: bool, keep_broken: bool
) -> Found:
    """The states of each environment of one namespace, in the order in which they were built."""
    states: list[tuple[int, int, Wanted]] = []
    left: list[Message] = []
    for env in found:
        if not valid_name(env.name):
            left.append(_left(env.label, "the name cannot be that of an environment here"))
            continue
        builds = tuple(_builds(client, env, all_builds=all_builds))
        left += [b.problem for b in builds if b.problem is not None]
        good = [b for b in builds if b.data and (b.problem is None or keep_broken)]
        if not good:
            left.append(_left(env.label, "no build of it can be taken"))
        states += _states(client.place, env, good)
    states.sort(key=lambda s: s[:2])
    return Found(client.place, states=tuple(s for _, _, s in states), left=tuple(left))


def _states(
    place: str, env: Environment, builds: Sequence[Build]
) -> Iterator[tuple[int, int, Wanted]]:
    """Each build whose file differs from the one before; the current one is the last."""
    path = f"{env.name}.yml"
    for before, build in pairwise((None, *builds)):
        if build is None or (before is not None and before.data == build.data):
            continue
        title = f"build {build.id} of {env.label} ({build.status})"
        mark = f"{BUILDS}: {place} {env.label} build {build.id}"
        yield 0, build.id, Wanted(path, build.data, build.at, title, mark)
    current = next((b for b in builds if b.id == env.current), None)
    if current is not None:
        title = f"build {current.id} of {env.label} is the current one"
        mark = f"{BUILDS}: {place} {env.label} current {current.id}"
        at = max(b.at for b in builds)
        yield 1, current.id, Wanted(path, current.data, at, title, mark, stands=True)


def _builds(client: Client, env: Environment, *, all_builds: bool) -> Iterator[Build]:
    """Oldest first."""
    if not all_builds:
        if env.current is not None:
            yield _build(client.one(f"/build/{env.current}/"), env)
        return
    listed = {b["id"]: b for b in client.all("/build/", environment_id=env.id) if _is_id(b)}
    for number in sorted(listed):
        # a list leaves the specifications out
        whole = listed[number] if listed[number].get("specification") else None
        yield _build(whole or client.one(f"/build/{number}/"), env)


def _is_id(told: dict[str, Any]) -> bool:
    return isinstance(told.get("id"), int)


def _build(told: dict[str, Any], env: Environment) -> Build:
    number = int(told.get("id", 0))
    status = shown(str(told.get("status", "")), longest=20)
    at = _moment(told.get("scheduled_on"))
    label = f"build {number} of {env.label}"
    values = (told.get("specification") or {}).get("spec")
    if not isinstance(values, dict) or "dependencies" not in values:
        why = "it was made from a lock file" if _is_locked(values) else "it has no specification"
        return Build(number, status, at, b"", _left(label, why))
    data = render(values | {"name": env.name})
    problem = refusal(data, label)
    return Build(number, status, at, data, problem)


def _is_locked(values: object) -> bool:
    return isinstance(values, dict) and "lockfile" in values


def _environment(told: dict[str, Any]) -> Environment | None:
    name, namespace = told.get("name"), (told.get("namespace") or {}).get("name")
    if not isinstance(name, str) or not isinstance(namespace, str) or not _is_id(told):
        return None
    current = told.get("current_build_id")
    return Environment(namespace, name, told["id"], current if isinstance(current, int) else None)


def _moment(text: object) -> datetime:
    """A conda-store tells UTC without saying so."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _left(label: str, text: str) -> Message:
    return Message(Level.ERROR, text, path=shown(label))
