"""Asks and results for tests of the catalog and of what stands on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from envwatch.catalog import Catalog
from envwatch.catalog.records import BuildRecord
from envwatch.model import (
    Ask,
    Commit,
    EnvKey,
    Failure,
    FailureKind,
    Manager,
    Package,
    Plan,
    Result,
    Spec,
)
from envwatch.settings import SourceKind, SourceSettings

KEY = EnvKey("analyst", "demo")
SPEC = Spec("demo", (), (), (), (), (), "", "digest")


def declare(catalog: Catalog, *names: str) -> None:
    catalog.sources.declare(
        [(SourceSettings(n, SourceKind.GIT, "analyst", url=f"/{n}"), f"/{n}") for n in names]
    )


def ask(digest: str, key: EnvKey = KEY) -> Ask:
    return Ask(key, f"{key.name}.yml", SPEC, f"# {digest}\n", digest)


def commit(catalog: Catalog, digest: str, key: EnvKey = KEY) -> None:
    """As if a commit had asked for this digest."""
    known = {s.key: s for s in catalog.sources.standing("team")}
    same = key in known and known[key].digest == digest
    asks = (ask(digest, key),)
    plan = Plan("team", f"rev-{digest}", Commit(f"rev-{digest}", "Ada"))
    plan = replace(plan, touch=asks) if same else replace(plan, build=asks)
    catalog.sources.apply(plan, fingerprint=digest, rules="")


def claim(catalog: Catalog) -> BuildRecord:
    build = catalog.builds.claim()
    assert build is not None
    return build


def result(build: BuildRecord, prefix: Path | None = None) -> Result:
    return Result(
        build.id,
        prefix=prefix or Path(f"/store/{build.id}"),
        prefix_digest=f"prefix-{build.asked_digest}",
        lock_digest=f"lock-{build.asked_digest}",
        packages=(Package("tiny", "1.0", "0", Manager.CONDA, "c"),),
        size=10,
    )


def publish(catalog: Catalog, digest: str, key: EnvKey = KEY) -> int:
    """Commit, build and publish; the generation."""
    commit(catalog, digest, key)
    build = claim(catalog)
    return catalog.generations.publish(build, result(build))[1]


def failed(build: BuildRecord, kind: FailureKind = FailureKind.STALLED) -> Result:
    return Result(build.id, failure=Failure("SolveError", kind, "no such package"))
