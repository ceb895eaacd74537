"""What pages show beside their value: files to download, lines to copy, charts, the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from envwatch.artifacts import ARCHIVES, file_name, recipes
from envwatch.because import because
from envwatch.catalog.records import ArtifactRecord, GenerationRecord
from envwatch.model import ArchiveState, ArtifactKind, EnvKey, Manager, Package, Wishes
from envwatch.views import environments, notifiers
from envwatch.views.values import BuildPage, EnvironmentPage, SourcePage, SourceRow
from envwatch.web import logfile
from envwatch.web.answers import word
from envwatch.web.charts import charts
from envwatch.web.context import site
from envwatch.web.seeing import scope

_MEANINGS = {
    ArtifactKind.SPEC: "the file as committed",
    ArtifactKind.PINNED: "the same with exact versions",
    ArtifactKind.LOCK: "every package with its hash, for conda-lock, mamba and micromamba",
    ArtifactKind.EXPLICIT: "the list for conda create --file",
    ArtifactKind.PACKAGES: "the packages as JSON",
    ArtifactKind.LOG: "the log of the build",
    ArtifactKind.TAR_ZST: "the whole environment, to unpack anywhere",
    ArtifactKind.TAR_GZ: "the whole environment, to unpack anywhere",
    ArtifactKind.SUMS: "the sums of these files",
}
_STATES = {
    ArchiveState.NONE: "made when first asked for",
    ArchiveState.QUEUED: "queued",
    ArchiveState.MAKING: "being made",
    ArchiveState.READY: "ready",
    ArchiveState.FAILED: "could not be made",
}


@dataclass(frozen=True, slots=True)
class Download:
    """A file of a generation; `state` says what an archive is that is not there yet."""

    kind: ArtifactKind
    name: str
    url: str
    meaning: str
    size: int = 0
    sha256: str = ""
    state: str = ""


def of_listing(namespace: str) -> dict[str, Any]:
    context = site().context
    return {
        "namespaces": environments.namespaces(context.catalog.database, scope()),
        "namespace": namespace,
        "settings": context.settings.namespace(namespace) if namespace else None,
        "envs": context.settings.root / "envs" / namespace,
        "query": {k: word(k) or None for k in ("q", "state", "label", "retired")},
    }


def of_environment(it: EnvironmentPage) -> dict[str, Any]:
    context = site().context
    key = it.row.key
    found = {g.generation.number: g for g in it.generations}
    return {
        "link": context.settings.root / "envs" / key.namespace / key.label,
        "found": found,
        "charts": charts(it.points),
        "fault_line": _fault_line(it),
        "ways": because(it.packages),
        "asked": _asked(it),
        "downloads": downloads(it.generation, it.artifacts),
        "recipes": _recipes(it.generation, it.artifacts, it.packages),
        "badge": absolute(url_for("feeds.badge", namespace=key.namespace, name=key.name)),
    }


def of_source(it: SourcePage) -> dict[str, Any]:
    name = it.source.record.name
    taken = site().context.hooks.knows(name)
    hook = absolute(url_for("hooks.receive", source=name)) if taken else ""
    return {"hook": hook, **_told({name})}


def _asked(it: EnvironmentPage) -> tuple[str, ...]:
    """What its `envwatch.yml` asks for, in words."""
    wished = it.record.wishes or Wishes()
    kept = [f"{wished.keep_last} generations" if wished.keep_last is not None else ""]
    kept.append(f"{wished.keep_days:g} days" if wished.keep_days is not None else "")
    retention = " and ".join(k for k in kept if k)
    updates = "no updates" if wished.update == "off" else f"updates {wished.update}"
    return (
        *((f"to be kept {retention}",) if retention else ()),
        *((updates,) if wished.update else ()),
        *(f"the solver to believe in {v}" for v in it.virtual_packages),
    )


def _fault_line(it: EnvironmentPage) -> int:
    """The line of the text shown at which the newest build failed; its text may be an older one."""
    newest = next((b.build for b in it.builds if b.build.id == it.row.build_id), None)
    same = newest is not None and newest.spec_id == it.record.spec_id
    own = it.row.failure is not None and it.row.failure.path in ("", it.row.path)
    return it.row.failure.line if it.row.failure and same and own and not it.layers else 0


def of_build(it: BuildPage) -> dict[str, Any]:
    context = site().context
    hidden = word("log") == "no"
    log = context.log_path(it.build.id)
    return {
        "log": logfile.Piece("", 0) if hidden else logfile.tail(log),
        "downloads": downloads(it.generation, it.artifacts),
        "recipes": _recipes(it.generation, it.artifacts, it.packages),
        "address": absolute(request.path),
    }


def of_sources(it: tuple[SourceRow, ...]) -> dict[str, Any]:
    return _told({s.record.name for s in it})


def _told(sources: set[str]) -> dict[str, Any]:
    """How telling goes: notifiers tell of everything, the forge of a source is its own."""
    context, all_of_it = site().context, scope().everything
    found = notifiers.told(context.catalog)
    return {
        "told": [r for r in found if all_of_it or (r.role == "forge" and r.name in sources)],
        "next_look": context.next_look,
        "families": {record.family for record in context.catalog.sources.all()},
    }


def downloads(
    generation: GenerationRecord | None, artifacts: tuple[ArtifactRecord, ...]
) -> tuple[Download, ...]:
    """In the order of their kinds; an archive also before it is made."""
    if generation is None:
        return ()
    known = {a.kind: a for a in artifacts}
    made = []
    for kind in ArtifactKind:
        record = known.get(kind)
        if record is not None:
            made.append(_offered(generation, kind, size=record.size, sha256=record.sha256))
        elif kind is ArtifactKind.TAR_ZST and generation.pruned_at is None:
            made.append(_offered(generation, kind, state=_STATES[generation.archive]))
    return tuple(made)


def _offered(generation: GenerationRecord, kind: ArtifactKind, **known: Any) -> Download:
    name = file_name(kind, generation.key, generation.number)
    url = artifact_url(generation.key, generation.number, kind)
    return Download(kind, name, url, _MEANINGS[kind], **known)


def artifact_url(key: EnvKey, number: int, kind: ArtifactKind) -> str:
    return url_for(
        "downloads.of_generation",
        namespace=key.namespace,
        name=key.name,
        generation=number,
        file=kind.value,
    )


def absolute(path: str) -> str:
    """As people outside see it: never by the Host header, which anybody can set."""
    return site().context.settings.web.address + path.removeprefix(request.script_root)


def _recipes(
    generation: GenerationRecord | None,
    artifacts: tuple[ArtifactRecord, ...],
    packages: tuple[Package, ...],
) -> Any:
    if generation is None:
        return ()
    kinds = {a.kind for a in artifacts}
    if generation.pruned_at is None and not kinds.intersection(ARCHIVES):
        kinds.add(ArtifactKind.TAR_ZST)
    urls: Mapping[ArtifactKind, str] = {
        kind: absolute(artifact_url(generation.key, generation.number, kind)) for kind in kinds
    }
    pip = sum(p.manager is Manager.PIP for p in packages)
    return recipes(generation.key, generation.number, urls, pip_packages=pip)
