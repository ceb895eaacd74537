"""The values that are answered, in conda-store's words; what it lacks is added beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, WithJsonSchema

from envwatch.catalog.records import EnvironmentRecord, SpecRecord
from envwatch.errors import SpecError
from envwatch.model import RUNNING, ArchiveState, BuildState, Package
from envwatch.views.board import Standing
from envwatch.views.listing import FILES, ListedPackage, Looked
from envwatch.yamltext import Kind, Node, load

WORDS = {
    "QUEUED": (BuildState.QUEUED,),
    "BUILDING": RUNNING,
    "COMPLETED": (BuildState.READY,),
    "FAILED": (BuildState.FAILED, BuildState.TIMED_OUT),
    "CANCELED": (BuildState.CANCELLED, BuildState.SUPERSEDED),
}
_WORD_OF = {state: word for word, states in WORDS.items() for state in states}


def _plain_time(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()


# conda-store's page puts a `Z` behind each of its times, and shows midnight after two of them
StoreTime = Annotated[
    datetime,
    PlainSerializer(_plain_time, return_type=str),
    WithJsonSchema({"type": "string", "description": "UTC, without an offset"}),
]


class Namespace(BaseModel):
    """`id` is made of the name: a namespace is one, not a row of its own."""

    id: int
    name: str
    metadata_: dict[str, Any] = {}
    role_mappings: tuple[dict[str, Any], ...] = ()


class Specification(BaseModel):
    id: int
    name: str
    spec: dict[str, Any]
    sha256: str
    created_on: StoreTime


class BuildArtifact(BaseModel):
    id: int
    artifact_type: str
    key: str


class Build(BaseModel):
    """`state` is our own word, `generation` the number that it was published under.

    `environment` is `namespace/name`.
    """

    id: int
    environment_id: int
    environment: str
    specification: Specification | None
    packages: None = None
    status: str
    status_info: str | None
    size: int
    scheduled_on: StoreTime
    started_on: StoreTime | None
    ended_on: StoreTime | None
    build_artifacts: tuple[BuildArtifact, ...]
    state: str
    generation: int | None
    revision: str
    reason: str
    requested_by: str


class Environment(BaseModel):
    """`current_build_id` is the build of what is in use; before there is one, the newest build."""

    id: int
    namespace: Namespace
    name: str
    description: str
    current_build_id: int | None
    current_build: Build | None = None
    current: int | None
    held: bool
    source: str
    path: str
    revision: str
    changed_on: datetime


class CondaChannel(BaseModel):
    id: int
    name: str
    last_update: StoreTime | None = None


class CondaPackage(BaseModel):
    """`summary` is not known: packages are known from locks, which have none."""

    id: int
    channel: CondaChannel
    license: str | None
    name: str
    version: str
    summary: str | None = None
    build: str
    sha256: str
    manager: str


class BuildId(BaseModel):
    build_id: int


def number(*parts: str) -> int:
    """An id for what has none in the catalog: the same everywhere, and exact in JSON."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big")


def namespace(name: str, **told: str) -> Namespace:
    """`told` is what else is known of it; what is empty is left out."""
    return Namespace(id=number(name), name=name, metadata_={k: v for k, v in told.items() if v})


def environment(
    env: EnvironmentRecord | Standing, build_id: int | None, build: Build | None = None
) -> Environment:
    return Environment(
        id=env.id,
        namespace=namespace(env.key.namespace),
        name=env.key.name,
        description=env.description,
        current_build_id=build_id,
        current_build=build,
        current=env.current,
        held=env.held,
        source=env.source,
        path=env.path,
        revision=env.revision,
        changed_on=env.changed_at,
    )


def build(found: Looked, *, spec: bool = True) -> Build:
    it = found.build
    return Build(
        id=it.id,
        environment_id=it.environment_id,
        environment=str(it.key),
        specification=_specification(found.spec, it.key.name, it.queued_at) if spec else None,
        status=_WORD_OF[it.state],
        status_info=_info(found),
        size=it.size,
        scheduled_on=it.queued_at,
        started_on=it.started_at,
        ended_on=it.ended_at,
        build_artifacts=tuple(_artifacts(found)),
        state=it.state.value,
        generation=it.generation,
        revision=it.revision,
        reason=it.reason.value,
        requested_by=it.requested_by,
    )


def package(it: ListedPackage | Package) -> CondaPackage:
    return CondaPackage(
        id=number(it.channel, it.name, it.version, it.build, it.manager),
        channel=CondaChannel(id=number(it.channel), name=it.channel or it.manager.value),
        license=it.license or None,
        name=it.name,
        version=it.version,
        build=it.build,
        sha256=it.sha256,
        manager=it.manager.value,
    )


def _info(found: Looked) -> str | None:
    it = found.build
    if it.failure is not None:
        return (
            f"{it.failure.message} ({it.failure.hint})" if it.failure.hint else it.failure.message
        )
    words = {BuildState.SUPERSEDED: "a newer commit came", BuildState.TIMED_OUT: "it took too long"}
    if it.state is BuildState.CANCELLED:
        return f"cancelled by {it.cancelled_by}" if it.cancelled_by else "cancelled"
    return words.get(it.state)


def _artifacts(found: Looked) -> Iterable[BuildArtifact]:
    """An archive counts as there when it can be made: asking for it makes it."""
    it, made = found.build, found.generation
    there = [word for word, kind in FILES.items() if kind in found.files]
    if "LOGS" not in there and it.started_at is not None:
        there.append("LOGS")
    if made is not None and made.pruned_at is None:
        there.append("DIRECTORY")
        if made.archive is not ArchiveState.FAILED and "CONDA_PACK" not in there:
            there.append("CONDA_PACK")
    order = ("LOCKFILE", "YAML", "LOGS", "CONDA_PACK", "DIRECTORY")
    keys = {w: FILES[w].value if w in FILES else "prefix" for w in order}
    for place, word in enumerate(order):
        if word in there:
            yield BuildArtifact(id=it.id * 10 + place, artifact_type=word, key=keys[word])


def _specification(spec: SpecRecord, name: str, at: datetime) -> Specification:
    """With every key that conda-store gives: its page sends back what it makes of them, a list
    of variables where there were none.
    """
    base: dict[str, Any] = {"channels": [], "dependencies": [], "description": "", "prefix": None}
    base |= {"name": name, "variables": {}}
    said = {key: value for key, value in mapping(spec.text).items() if value is not None}
    return Specification(
        id=spec.id, name=name, spec=base | said, sha256=spec.digest,
        created_on=at,
    )  # fmt: skip


def mapping(text: str) -> dict[str, Any]:
    """A yaml text as JSON has it, empty where it is no mapping; scalars stay text."""
    try:
        made = _plain(load(text.encode("utf-8", "replace"), path=""))
    except SpecError:
        return {}
    return made if isinstance(made, dict) else {}


def _plain(node: Node) -> Any:
    if node.kind is Kind.SEQUENCE:
        return [_plain(n) for n in node.items]
    if node.kind is Kind.MAPPING:
        return {name.text: _plain(value) for name, value in node.entries}
    return None if node.null else node.text
