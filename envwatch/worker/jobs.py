"""A claimed build → the `Job` that a child gets, and the checks before it may start."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from envwatch import layers, packagerules, plan, policy
from envwatch.catalog import Catalog
from envwatch.catalog.records import BuildRecord, GenerationRecord, SpecRecord
from envwatch.catalog.schema import Mode, Reason
from envwatch.errors import LockError, NoSpace, NotFound, SpecError
from envwatch.model import ArtifactKind, Composition, EnvKey, Job, JobKind, Spec
from envwatch.settings import (
    InstallOptions,
    NamespaceSettings,
    Settings,
    SolveOptions,
    host_platform,
)
from envwatch.store import Store
from envwatch.units import size

logger = logging.getLogger(__name__)

# somebody wants to know what the channels have now
SCHEDULE = "schedule"  # who asked, where nobody did
ASKED_ANEW = (Reason.UPDATE, Reason.REBUILD, Reason.RETRY)


def is_scheduled(build: BuildRecord) -> bool:
    """Is it an update that the calendar asked for, and no person?"""
    return build.mode is Mode.UPDATE and build.requested_by == SCHEDULE


def page_url(settings: Settings, key: EnvKey) -> str:
    """Where people see an environment."""
    return f"{settings.web.address}/{key.namespace}/{key.name}/"


def frozen_message(settings: Settings, build: BuildRecord) -> str:
    """What conda tells somebody who tries to change the environment."""
    return (
        f"{build.key} is managed by envwatch: {page_url(settings, build.key)} "
        f"- change {build.path} in source {build.source} instead"
    )


def make_job(build: BuildRecord, catalog: Catalog, store: Store, settings: Settings) -> Job:
    """Everything that the child needs to know. Raises SpecError, LockError."""
    text = catalog.builds.spec(build.spec_id)
    namespace = settings.namespace(build.key.namespace)
    composition = text.composition or Composition()
    parsed = packagerules.applied(parse(text, build.path), namespace)
    rules = plan.Rules(namespace, settings.network, (host_platform(),))
    lock, previous = _locks(build, text.lock_text, catalog, store)
    return Job(
        kind=JobKind.SOLVE if build.solve_only else JobKind.BUILD,
        build_id=build.id,
        key=build.key,
        spec=parsed,
        text=text.text,
        channels=plan.channels_of(parsed, namespace, settings.network),
        platforms=plan.platforms_of(parsed, rules),
        folders=store.folders(build.id, build.asked_digest, build.key.namespace),
        network=settings.network,
        pip=namespace.pip,
        solve=solve_options(namespace, scheduled=is_scheduled(build)),
        install=_install_options(namespace, settings, build),
        lock_text=lock,
        lock_is_known=build.mode in (Mode.LOCK, Mode.REUSE),
        previous_lock_text=previous,
        fresh=build.reason in ASKED_ANEW,
        known_prefixes=_known_prefixes(build, catalog),
        allowed_channels=policy.allowed_urls(
            default=namespace.channels,
            allowed=namespace.allowed_channels,
            alias=settings.network.alias,
        ),
        memory=namespace.limits.memory,
        composition=composition,
    )


def parse(text: SpecRecord, path: str) -> Spec:
    """The spec as it was committed, of one file or of several. Raises SpecError."""
    parsed = layers.read(text.text, path, text.composition or Composition())
    if parsed is None:
        raise SpecError("it is not an environment any more", path=path)
    return parsed


def solve_options(namespace: NamespaceSettings, *, scheduled: bool) -> SolveOptions:
    """How packages are chosen; very young ones only where a person asks."""
    youngest = namespace.min_package_age if scheduled else 0.0
    held = namespace.packages.constrained
    return replace(namespace.solve, min_package_age=youngest, constraints=held)


def _install_options(
    namespace: NamespaceSettings, settings: Settings, build: BuildRecord
) -> InstallOptions:
    return InstallOptions(
        frozen_message=frozen_message(settings, build),
        link_scripts=namespace.link_scripts,
        compile=namespace.compile,
        sandbox=settings.sandbox,
        max_size=settings.max_size,
        sync=settings.durability == "full",
    )


def _locks(build: BuildRecord, beside: str, catalog: Catalog, store: Store) -> tuple[str, str]:
    """The lock to install as it is, and the one whose packages a solve prefers."""
    if build.generation is not None:
        # its files are made again: from its own lock, whatever was solved since
        return _own_lock(store, catalog.generations.get(build.key, build.generation)), ""
    if build.mode in (Mode.LOCK, Mode.REUSE):
        known = catalog.generations.latest_asked(build.environment_id, build.asked_digest)
        return (lock_text(store, known) if known else ""), ""
    if build.mode is Mode.UPDATE:
        return "", ""
    newest = newest_taken(_made(build, catalog))
    return beside, (lock_text(store, newest) if newest else "")


def _made(build: BuildRecord, catalog: Catalog) -> tuple[GenerationRecord, ...]:
    """The generations whose packages are preferred, newest first.

    A preview goes from what is current of its target: that is what merging would do.
    """
    env = catalog.generations.environment(build.key)
    if not env.preview_of:
        return catalog.generations.of(env.id)
    try:
        target = catalog.generations.environment(env.target)
    except NotFound:
        return ()
    return catalog.generations.of(target.id)


def newest_taken(made: Sequence[GenerationRecord]) -> GenerationRecord | None:
    """The newest that is no candidate: a commit must not bring what nobody took."""
    return next((g for g in made if not g.candidate), None)


def _own_lock(store: Store, generation: GenerationRecord) -> str:
    """Raises LockError: a generation is never filled with what another solve gives."""
    text = lock_text(store, generation)
    if not text:
        raise LockError(
            f"{generation.key}: the lock of #{generation.number} is gone",
            hint=f"`envwatch env rebuild {generation.key}` solves afresh",
        )
    return text


def lock_text(store: Store, generation: GenerationRecord) -> str:
    """The lock of a generation, empty where its file is gone."""
    try:
        return (store.record(generation.build_id) / ArtifactKind.LOCK).read_text()
    except OSError:
        logger.warning("%s #%d: its lock file is gone", generation.key, generation.number)
        return ""


def _known_prefixes(build: BuildRecord, catalog: Catalog) -> tuple[tuple[str, str], ...]:
    found = {
        g.prefix_digest: str(g.prefix)
        for g in catalog.generations.of(build.environment_id)
        if g.pruned_at is None and not g.damaged and g.prefix.is_dir()
    }
    return tuple(found.items())


def check_space(store: Store, settings: Settings, wanted: int) -> None:
    """Before a build: is there room? `wanted` is the size of the newest generation, or 0.

    Raises NoSpace.
    """
    space, floor = store.space(), settings.space.floor
    if space.free - wanted < floor:
        raise NoSpace(
            f"{size(space.free)} are free, and this build may need {size(wanted)} "
            f"above the floor of {size(floor)}",
            hint="free space, run `envwatch gc`, or lower `space.floor`",
        )
    quota = settings.space.quota
    if quota and wanted and used(store.root / "builds") + wanted > quota:
        raise NoSpace(
            f"the store has reached its quota of {size(quota)}",
            hint="run `envwatch gc`, or raise `space.quota`",
        )


def check_quota(namespace: NamespaceSettings, taken: int) -> None:
    """Before a build: may the namespace have more? Raises NoSpace."""
    quota = namespace.quota.disk
    if quota and taken >= quota:
        raise NoSpace(
            f"`{namespace.name}` takes {size(taken)} of its {size(quota)}",
            hint="unpin or shorten `retention` and run `envwatch gc`, or raise `quota.disk`",
        )


def used(folder: Path) -> int:
    """Bytes on disk of everything below a folder; hard-linked files count once."""
    seen: set[int] = set()
    total = 0
    waiting = [folder]
    while waiting:
        for entry in waiting.pop().iterdir():
            info = entry.lstat()
            if info.st_ino not in seen:
                seen.add(info.st_ino)
                total += info.st_blocks * 512
            if entry.is_dir() and not entry.is_symlink():
                waiting.append(entry)
    return total
