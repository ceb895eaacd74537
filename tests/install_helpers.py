"""Packages, jobs and children for the tests of fetching and installing.

rattler works in a child: its threads do not outlive a test, it may end the process that uses it,
and it would sometimes crash an interpreter that shuts down after using it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from envwatch.errors import EnvwatchError
from envwatch.model import (
    EnvKey,
    Folders,
    Job,
    JobKind,
    LockedPackage,
    Manager,
    Message,
    Requirement,
    Spec,
)
from envwatch.settings import InstallOptions, Network, PipOptions

ORDER = TypeAdapter(tuple[str, Job, tuple[LockedPackage, ...]])


@dataclass(frozen=True)
class Done:
    """What a child came to: nothing raised, or the class and text of what was."""

    status: int
    error: str = ""
    text: str = ""
    line: int = 0
    messages: tuple[Message, ...] = ()
    packages: tuple[LockedPackage, ...] = ()
    progress: tuple[tuple[str, int, int], ...] = ()


DONE = TypeAdapter(Done)


def packages(channel: Path, *names: str, url: str = "") -> tuple[LockedPackage, ...]:
    """The newest packages of these names and all that they need, as a lock would list them."""
    index: dict[str, LockedPackage] = {}
    base = url or channel.as_uri()
    for file in sorted(channel.glob("*/repodata.json")):
        if file.parent.name in ("noarch", "linux-64"):
            listed = json.loads(file.read_bytes())["packages.conda"]
            for file_name, row in sorted(listed.items()):
                index[row["name"]] = _locked(base, file_name, row)
    found: dict[str, LockedPackage] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and not name.startswith("__"):
            found[name] = index[name]
            waiting += [d.split()[0] for d in index[name].depends]
    return tuple(found.values())


def _locked(base: str, file_name: str, row: dict[str, object]) -> LockedPackage:
    return LockedPackage(
        manager=Manager.CONDA,
        platform="linux-64",
        name=str(row["name"]),
        version=str(row["version"]),
        build=str(row["build"]),
        url=f"{base}/{row['subdir']}/{file_name}",
        sha256=str(row["sha256"]),
        md5=str(row.get("md5", "")),
        subdir=str(row["subdir"]),
        channel=base,
        size=int(str(row["size"])),
        depends=tuple(row["depends"]),  # type: ignore[arg-type]  # a list of texts
        noarch=str(row.get("noarch", "")),
        python_site_packages_path=str(row.get("python_site_packages_path", "")),
    )


def of_archive(archive: Path, name: str, version: str = "1.0", build: str = "0") -> LockedPackage:
    """A package of a lock for one archive of this machine."""
    data = archive.read_bytes()
    return LockedPackage(
        manager=Manager.CONDA,
        platform="linux-64",
        name=name,
        version=version,
        build=build,
        url=archive.as_uri(),
        sha256=hashlib.sha256(data).hexdigest(),
        subdir="noarch",
        channel=archive.parent.parent.as_uri(),
        size=len(data),
    )


def make_job(
    root: Path,
    name: str = "1-aaaaaaaa",
    *,
    dependencies: Sequence[str] = (),
    pip: Sequence[str] = (),
    variables: Sequence[tuple[str, str]] = (),
    install: InstallOptions | None = None,
    pip_options: PipOptions | None = None,
    network: Network | None = None,
) -> Job:
    tmp = root / "tmp" / name
    tmp.mkdir(parents=True, exist_ok=True)
    folders = Folders(
        root / "builds" / name, root / "record", tmp, root / "pkgs", root / "pyc",
        root / "uv", root / "repodata",
    )  # fmt: skip
    spec = Spec(
        name="demo",
        channels=(),
        dependencies=tuple(Requirement(d) for d in dependencies),
        pip=tuple(Requirement(p, line=n) for n, p in enumerate(pip, 10)),
        variables=tuple(variables),
        platforms=(),
        description="",
        digest="",
    )
    return Job(
        kind=JobKind.BUILD, build_id=1, key=EnvKey("team", "demo"), spec=spec, text="",
        channels=(), platforms=("linux-64",), folders=folders,
        network=network or Network(retries=0, timeout=20),
        pip=pip_options or PipOptions(), install=install or InstallOptions(),
    )  # fmt: skip


def run(action: str, job: Job, locked: Sequence[LockedPackage] = ()) -> Done:
    """`fetch`, `install` (fetch first), `resolve` or `pip` (install first), in a child."""
    command = (sys.executable, str(Path(__file__)))
    order = ORDER.dump_json((action, job, tuple(locked)))
    done = subprocess.run(command, input=order, capture_output=True, timeout=120, check=False)
    if done.returncode:
        return Done(done.returncode, "crash", done.stderr.decode())
    return replace(DONE.validate_json(done.stdout), status=0)


def start(action: str, job: Job, locked: Sequence[LockedPackage]) -> subprocess.Popen[bytes]:
    """The same, left running."""
    child = subprocess.Popen(
        (sys.executable, str(Path(__file__))), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin
    child.stdin.write(ORDER.dump_json((action, job, tuple(locked))))
    child.stdin.close()
    child.stdin = None
    return child


def _act(action: str, job: Job, locked: tuple[LockedPackage, ...]) -> Done:
    from envwatch import fetch, install

    told: list[tuple[str, int, int]] = []
    messages: tuple[Message, ...] = ()
    chosen: tuple[LockedPackage, ...] = ()

    def report(progress: object) -> None:
        told.append((progress.state.value, progress.done, progress.total))  # type: ignore[attr-defined]

    conda = [p for p in locked if p.manager is Manager.CONDA]
    try:
        messages += fetch.fetch(
            conda, pkgs=job.folders.pkgs, network=job.network, report=report, stall=1.0,
            link_scripts=job.install.link_scripts,
        )  # fmt: skip
        if action == "install":
            with install.ahead(conda, job.folders.pkgs) as helper:
                messages += install.install_conda(conda, job, report)
                install.conclude(job.folders.prefix, conda, helper)
        if action in ("resolve", "pip"):
            messages += install.install_conda(conda, job, report)
            chosen = tuple(p for p in locked if p.manager is Manager.PIP)
            chosen = chosen or install.resolve_pip(job)
        if action == "pip":
            messages += install.install_pip(chosen, job, report)
        if action in ("resolve", "pip"):
            install.conclude(job.folders.prefix, conda)
    except EnvwatchError as e:
        line = getattr(e, "line", 0)
        return Done(0, type(e).__name__, str(e), line, messages, chosen, tuple(told))
    return Done(0, "", "", 0, messages, chosen, tuple(told))


def link_forever(folders: Sequence[str]) -> None:
    """Link one package after another, for tests that look at what linking does to its surroundings.

    Confined to these folders, if there are any. A line in: the cache, the prefix. A line out: an
    error, or nothing.
    """
    from rattler import (
        Client,
        PackageCache,
        PackageRecord,
        RepoDataRecord,
        ValidationMode,
        install,
    )

    from envwatch.sandbox import confine

    async def link(view: Path, prefix: Path) -> None:
        records = []
        for folder in sorted(view.iterdir()):
            if folder.is_dir():
                record = PackageRecord.from_index_json(folder / "info/index.json", 1, "0" * 64)
                name = f"{folder.name}.conda"
                records.append(RepoDataRecord(record, name, f"file:///none/{name}", "file:///none"))
        cache = PackageCache.new_layered([view], False, ValidationMode.skip())
        await install(
            records, prefix, client=Client(), show_progress=False, package_cache=cache,
            execute_link_scripts=False,
        )  # fmt: skip

    if folders:
        assert confine([Path(f) for f in folders], mode="require")
    for line in sys.stdin:
        view, prefix = line.rstrip("\n").split("\t")
        try:
            asyncio.run(link(Path(view), Path(prefix)))
            said = ""
        except Exception as e:  # noqa: BLE001 — whatever the linker says
            said = repr(e)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


class Linker:
    """A child that links; one that ended (rattler may abort it) is replaced by the next."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.child: subprocess.Popen[str] | None = None

    def link(self, view: Path, prefix: Path) -> str:
        """What the linker said: nothing if it was content."""
        try:
            said = self._ask(f"{view}\t{prefix}\n")
        except BrokenPipeError:
            # it ended after its last answer
            self.close()
            said = self._ask(f"{view}\t{prefix}\n")
        if said:
            return str(json.loads(said))
        self.close()
        return "the linker ended"

    def _ask(self, line: str) -> str:
        if self.child is None:
            self.child = subprocess.Popen(
                (sys.executable, str(Path(__file__)), "link", *map(str, self.folders)), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1,
            )  # fmt: skip
        assert self.child.stdin
        assert self.child.stdout
        self.child.stdin.write(line)
        return self.child.stdout.readline()

    def close(self) -> None:
        if self.child is not None:
            child, self.child = self.child, None
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(BrokenPipeError):
                    pipe.close()  # type: ignore[union-attr]  # both were asked for


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except PermissionError:
        # a package may hold files that only root can read
        return "unreadable"


def snapshot(folder: Path, *, without: Path) -> dict[str, tuple[int, str]]:
    """Mode and content of everything below a folder but for one branch of it."""
    found = {}
    for top, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if Path(top, f) != without]
        for name in (*folders, *files):
            path = Path(top, name)
            info = path.lstat()
            found[str(path.relative_to(folder))] = (info.st_mode, _content(path))
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["link"]:
        link_forever(sys.argv[2:])
    else:
        order = ORDER.validate_json(sys.stdin.buffer.read())
        sys.stdout.write(DONE.dump_json(_act(*order)).decode())
        sys.stdout.flush()
    os._exit(0)
