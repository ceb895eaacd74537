"""A remote with an environment, envwatch on it, and what its branch of locks holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repos import GitRepo, make_repo

from envwatch.catalog.records import BuildRecord, EnvironmentRecord
from envwatch.catalog.writebacks import WriteBackRecord
from envwatch.daemon.parts import Parts, assemble
from envwatch.model import EnvKey
from envwatch.settings import (
    NamespaceSettings,
    Settings,
    SourceKind,
    SourceSettings,
    WriteBack,
)

KEY = EnvKey("analyst", "demo")
BRANCH = "envwatch/locks"
FILE = "demo/environment.yml"
LOCK = "demo/conda-lock.yml"
LIST = "demo/packages.txt"
PATIENCE = 60.0


def text(*dependencies: str, name: str = "demo") -> str:
    listed = "".join(f"  - {d}\n" for d in dependencies)
    return f"name: {name}\ndependencies:\n{listed}"


@dataclass(frozen=True)
class Lab:
    """`work` is a clone of somebody, `forge` the bare repository that both push to."""

    parts: Parts
    work: GitRepo
    forge: GitRepo

    def push(self, files: dict[str, str | None], message: str = "change") -> str:
        made = self.work.commit(files, message)
        self.work.git("push", "--quiet", "origin", "main")
        return made

    def merge(self) -> None:
        """What somebody does who takes the locks over."""
        self.work.git("fetch", "--quiet", "origin", BRANCH)
        self.work.git("merge", "--quiet", "--no-edit", "FETCH_HEAD")
        self.work.git("push", "--quiet", "origin", "main")

    def settle(self) -> int:
        """Look, build what is asked for, write back; how many builds ran."""
        self.parts.look("team")
        built = 0
        while self.parts.worker.run_one():
            built += 1
        self.write()
        return built

    def write(self) -> None:
        self.parts.writer.flush(PATIENCE)

    def again(self) -> None:
        """As if its time to try again had come."""
        self.parts.catalog.writebacks.declare(["team"])

    @property
    def state(self) -> WriteBackRecord:
        record = self.parts.catalog.writebacks.get("team")
        assert record is not None
        return record

    @property
    def env(self) -> EnvironmentRecord:
        return self.parts.catalog.generations.environment(KEY)

    @property
    def builds(self) -> tuple[BuildRecord, ...]:
        return self.parts.catalog.builds.of(self.env.id)

    def tip(self, branch: str = BRANCH) -> str:
        return self.forge.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def show(self, path: str, revision: str = BRANCH) -> str:
        return self.forge.git("show", f"{revision}:{path}")

    def told(self, what: str, revision: str = BRANCH) -> str:
        return self.forge.git("show", "--no-patch", f"--format={what}", revision)

    def changed(self, revision: str = BRANCH) -> list[str]:
        return self.forge.git("diff", "--name-only", f"{revision}~1", revision).splitlines()


@contextmanager
def lab_on(
    folder: Path, channel: Path, files: dict[str, str], namespace: NamespaceSettings | None = None
) -> Iterator[Lab]:
    work = make_repo(folder / "work")
    work.commit(files, "first")
    forge = work.bare(folder / "forge.git")
    with opened(folder, channel, namespace) as parts:
        yield Lab(parts, work, forge)


@contextmanager
def opened(
    folder: Path, channel: Path, namespace: NamespaceSettings | None = None
) -> Iterator[Parts]:
    url = channel.as_uri()
    team = namespace or NamespaceSettings("analyst", channels=(url,), allowed_channels=(url,))
    source = SourceSettings(
        "team",
        SourceKind.GIT,
        "analyst",
        url=str(folder / "forge.git"),
        branch="main",
        write_back=WriteBack(name="Locks Bot", email="locks@example.org"),
    )
    settings = Settings(folder / "root", sources=(source,), namespaces=(team,), durability="fast")
    with assemble(settings) as parts:
        parts.executor.start()
        try:
            yield parts
        finally:
            parts.writer.join(PATIENCE)
            parts.executor.stop()
