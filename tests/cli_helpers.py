"""A root filled by the real parts with hand-made results, and the command line on it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repos import make_repo

from envwatch import config, plan, spec
from envwatch.catalog.records import BuildRecord
from envwatch.cli import main
from envwatch.daemon.parts import Parts, assemble
from envwatch.model import (
    Ask,
    BuildState,
    Commit,
    EnvKey,
    Failure,
    FailureKind,
    Kernel,
    Manager,
    Package,
    Phase,
    Plan,
    Result,
)
from envwatch.settings import Settings, host_platform
from envwatch.store import Store
from envwatch.worker import records

KEY = EnvKey("analyst", "demo")
PHASES = (Phase(BuildState.SOLVING, 0.5), Phase(BuildState.LINKING, 1.25))


@dataclass(frozen=True)
class Told:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def cli(*args: object) -> Told:
    """Run one command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(a) for a in args])
        except SystemExit as e:
            code = e.code
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]  # BytesIO
    return Told(int(code or 0), *texts)


@dataclass(frozen=True)
class Place:
    """A root with its config and one git source."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def settings(self) -> Settings:
        return config.load(self.config)

    def cli(self, *args: object) -> Told:
        return cli("-c", self.config, *args)

    @contextmanager
    def parts(self) -> Iterator[Parts]:
        with assemble(self.settings) as parts:
            yield parts


def make_place(folder: Path, *, more: str = "") -> Place:
    make_repo(folder / "environments")
    place = Place(folder)
    place.config.write_text(
        f"root: {place.root}\n"
        f"sources: [{{name: team, git: {folder / 'environments'}, namespace: analyst}}]\n"
        f"durability: fast\n{more}"
    )
    return place


def set_aside(place: Place) -> None:
    """Keep what was filled for many tests; `put_back` gives it to one of them."""
    place.folder.rename(place.folder.with_name("kept"))


@contextmanager
def put_back(place: Place) -> Iterator[Place]:
    """A copy of what was set aside, at the path that its files name, and away again."""
    shutil.copytree(place.folder.with_name("kept"), place.folder, symlinks=True)
    try:
        yield place
    finally:
        shutil.rmtree(place.folder)


def text(version: str, name: str = "demo") -> str:
    return f"name: {name}\ndescription: For the tests\ndependencies:\n  - tiny={version}\n"


def ask(parts: Parts, version: str, key: EnvKey = KEY, *, remark: str = "") -> None:
    """As if a commit had asked for this version of tiny."""
    content = text(version, key.name) + remark
    parsed = spec.parse(content.encode(), path=f"{key.name}.yml")
    assert parsed is not None
    namespace = parts.settings().namespace(key.namespace)
    rules = plan.Rules(namespace, parts.settings().network, (host_platform(),))
    digest = plan.asked_digest(parsed, (), (), "", rules)
    asks = (Ask(key, f"{key.name}.yml", parsed, content, digest),)
    known = {s.key: s for s in parts.catalog.sources.standing("team")}
    same = key in known and known[key].digest == digest
    revision = f"{version}{remark}".encode().hex().ljust(40, "0")
    made = Plan("team", revision, Commit(revision, "Ada", "ada@example.org", f"tiny {version}"))
    made = replace(made, touch=asks) if same else replace(made, build=asks)
    parts.catalog.sources.apply(made, fingerprint=revision, rules="")


def claim(parts: Parts) -> BuildRecord:
    """The next build, its origin written down as the worker does."""
    build = parts.catalog.builds.claim()
    assert build is not None
    parts.worker._keep_origin(build)
    parts.store.log(build.id).write_text(f"build {build.id} begins\nit ends\n")
    return build


def result(parts: Parts, build: BuildRecord, version: str) -> Result:
    """What a child would have left: a prefix, its record, the files beside it."""
    prefix = parts.store.prefix(build.id, build.asked_digest)
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/tiny").write_text(f"{version}\n")
    record = parts.store.record(build.id)
    (record / "conda-lock.yml").write_text(f"# the lock of {version}\n")
    made = Result(
        build.id,
        prefix=prefix,
        prefix_digest=f"prefix-{version}",
        lock_digest=f"lock-{version}",
        solved=True,
        packages=(
            Package("tiny", version, "0", Manager.CONDA, "c", 2048, requested=True),
            Package("extra", "1", "0", Manager.PIP, ""),
        )[: 1 if version == "1.0" else 2],
        size=10 * 2**20,
        own_size=2**20,
        phases=PHASES,
        kernels=(Kernel("tiny", "Tiny", "sh"),),
        python="3.11.7",
    )
    (record / records.RECORD).write_bytes(records.RESULT.dump_json(made))
    return made


def publish(parts: Parts, version: str, key: EnvKey = KEY) -> int:
    """Ask for, build and publish a version; the generation."""
    ask(parts, version, key)
    build = claim(parts)
    return parts.publisher.publish(build, result(parts, build, version))


def fail(parts: Parts, version: str, key: EnvKey = KEY) -> BuildRecord:
    """Ask for a version that cannot be solved."""
    ask(parts, version, key)
    build = claim(parts)
    failure = Failure(
        "SolveError", FailureKind.STALLED, f"no `tiny` {version}", "there is 2.0", line=4
    )
    ended = Result(build.id, failure=failure, phases=PHASES[:1])
    parts.catalog.builds.end(build.id, BuildState.FAILED, ended)
    records.keep_ending(parts.store, build.id, BuildState.FAILED, ended)
    return parts.catalog.builds.get(build.id)
