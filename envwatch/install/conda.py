"""Conda packages from the cache into a fresh prefix: linked, recorded, with byte code."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from rattler import Client, MatchSpec, PackageCache, PackageRecord, RepoDataRecord, ValidationMode
from rattler import install as rattler_install
from rattler.exceptions import InstallerError, InvalidMatchSpecError
from rattler.install import InstallerReporter
from rattler.package import BuildString
from rattler.package.no_arch_type import NoArchLiteral

from envwatch.bytecode import Python, Store
from envwatch.errors import BuildError, FetchError, InstallError, NoSpace, PackageRefused
from envwatch.fetch import heal, sync
from envwatch.gate import above, script_warnings
from envwatch.install.code import run_link_scripts, runner
from envwatch.install.finish import seal_made
from envwatch.install.records import (
    Record,
    clobbered,
    modules,
    settle_records,
    stem_of,
    write_history,
    write_markers,
)
from envwatch.model import BuildState, Folders, Job, LockedPackage, Message, Progress
from envwatch.redact import has_credentials, redact
from envwatch.settings import InstallOptions
from envwatch.units import size

logger = logging.getLogger(__name__)

Report = Callable[[Progress], None]


def install_conda(
    packages: Sequence[LockedPackage], job: Job, report: Report
) -> tuple[Message, ...]:
    """Make the prefix of a job from packages that `fetch` has put into the cache.

    Runs its own event loop. `facts` seals the prefix, once everything is in it.
    """
    folders, options = job.folders, job.install
    # folders that the linker makes are for all to read, whatever the service's own mask
    os.umask(0o022)
    packages = tuple(_filled(p, folders.pkgs) for p in packages)
    requested = tuple(d.text for d in job.spec.dependencies)
    _check_before(packages, folders)
    view = _make_view(packages, folders)
    try:
        asyncio.run(_link(packages, folders.prefix, view, requested, _Meter(report, len(packages))))
    except InstallError as e:
        healed = [p.file_name for p in packages if heal(folders.pkgs, p.sha256)]
        if healed:
            raise FetchError(
                f"`{healed[0]}` was damaged in the cache", hint="it is fetched again"
            ) from e
        raise
    _check_view(packages, view, folders.pkgs)
    records = settle_records(folders.prefix, view, folders.pkgs, packages)
    shutil.rmtree(view)
    _check_records(records, packages, options)
    write_history(folders.prefix, packages, requested, job.network.alias)
    write_markers(folders.prefix, options.frozen_message, job.spec.variables)
    seal_made(folders.prefix, records)
    if options.compile:
        _add_bytecode(records, packages, folders, options.sandbox)
    if options.link_scripts:
        run_link_scripts(_in_order(records, packages), folders, options.sandbox)
    return _remarks(records, packages, link_scripts=options.link_scripts)


# ---------------------------------------------------------------- before


def _filled(package: LockedPackage, pkgs: Path) -> LockedPackage:
    """What a lock file may not say of a package, the package itself says."""
    try:
        index: dict[str, Any] = json.loads((pkgs / package.sha256 / "info/index.json").read_bytes())
    except (OSError, ValueError) as e:
        raise InstallError(f"package `{package.file_name}` is not in the cache") from e
    noarch = index.get("noarch")
    return replace(
        package,
        build=package.build or index["build"],
        build_number=package.build_number or index.get("build_number") or 0,
        subdir=package.subdir or index.get("subdir") or "noarch",
        # a lock of somebody else's says neither for certain, and may guess
        noarch=noarch if isinstance(noarch, str) else package.noarch,
        python_site_packages_path=index.get("python_site_packages_path")
        or package.python_site_packages_path,
        depends=package.depends or tuple(index.get("depends") or ()),
        constrains=package.constrains or tuple(index.get("constrains") or ()),
        license=package.license or index.get("license") or "",
        timestamp=package.timestamp or index.get("timestamp") or 0,
    )


def _check_before(packages: Sequence[LockedPackage], folders: Folders) -> None:
    for package in packages:
        for url in (package.url, package.channel):
            if has_credentials(url):
                raise InstallError(
                    f"the address of `{package.file_name}` carries a secret: {redact(url)}",
                    hint="credentials for channels go into the auth file",
                )
    if folders.prefix.exists() and any(folders.prefix.iterdir()):
        raise InstallError(f"the prefix {folders.prefix} is not empty")
    _check_links(packages, folders.pkgs)


def _check_links(packages: Sequence[LockedPackage], pkgs: Path) -> None:
    """The gate sees that no link leaves from its own place; here, that it stays in that place."""
    site = next((site_folder(p) for p in packages if p.name == "python"), "site-packages")
    links: dict[str, str] = {}
    for package in packages:
        file = pkgs / package.sha256 / "info/paths.json"
        data = file.read_bytes() if file.exists() else b""
        # most packages have no link: reading them all as JSON would cost 30 ms
        entries = json.loads(data)["paths"] if b'"softlink"' in data else []
        for entry in entries:
            path: str = entry["_path"]
            if package.noarch == "python" and path.startswith("site-packages/"):
                path = f"{site}/{path.removeprefix('site-packages/')}"
            if entry["path_type"] == "softlink":
                links[path] = package.file_name
    for path, name in links.items():
        through = next((a for a in above(path) if a in links), None)
        if through:
            raise PackageRefused(
                f"the link `{path}` of package `{name}` goes through the link `{through}` of"
                f" package `{links[through]}`"
            )


def site_folder(python: LockedPackage) -> str:
    """Where a `python` package has its site-packages, in the prefix."""
    version = ".".join(python.version.split(".")[:2])
    return python.python_site_packages_path or f"lib/python{version}/site-packages"


def _make_view(packages: Sequence[LockedPackage], folders: Folders) -> Path:
    """A cache as rattler wants it, by package name, whose entries are links to ours, by hash."""
    view = folders.tmp / "view"
    shutil.rmtree(view, ignore_errors=True)
    view.mkdir(parents=True)
    for package in packages:
        (view / stem_of(package)).symlink_to(folders.pkgs / package.sha256)
    return view


# ---------------------------------------------------------------- linking


@dataclass(slots=True)
class _Meter:
    """Counts linked packages; rattler calls it from threads of its own."""

    report: Report
    total: int
    done: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    told: float = 0.0

    def on_link_complete(self, index: int) -> None:  # noqa: ARG002 — the name is rattler's
        done = next(self.done)
        now = time.monotonic()
        if done == self.total or now - self.told >= 0.2:
            self.told = now
            self.report(Progress(BuildState.LINKING, done, self.total))


async def _link(
    packages: Sequence[LockedPackage],
    prefix: Path,
    view: Path,
    requested: Sequence[str],
    meter: _Meter,
) -> None:
    try:
        await rattler_install(
            [_record(p) for p in packages],
            prefix,
            # a client without credentials or patience: there is nothing to fetch
            client=Client(),
            # of a reporter's methods only those that are there are called
            reporter=cast("InstallerReporter", meter),
            show_progress=False,
            execute_link_scripts=False,
            requested_specs=_specs(requested),
            # a missing file is an error of linking, a changed one is found by `verify`
            package_cache=PackageCache.new_layered([view], False, ValidationMode.skip()),
        )
    except (InstallerError, OSError, RuntimeError, ValueError) as e:
        raise _failure(str(e), prefix) from e


def _failure(text: str, prefix: Path) -> BuildError:
    if "No space left" in text or "os error 28" in text:
        return NoSpace(f"the disk is full while linking {prefix}")
    hint = ""
    if "placeholder" in text:
        hint = "move the root to a shorter path"
    return InstallError(f"the packages cannot be linked: {redact(text)}", hint=hint)


def _record(package: LockedPackage) -> RepoDataRecord:
    record = PackageRecord(
        package.name,
        package.version,
        BuildString(package.build),
        package.build_number,
        package.subdir,
        noarch=cast("NoArchLiteral", package.noarch or None),
        depends=list(package.depends),
        constrains=list(package.constrains),
        sha256=bytes.fromhex(package.sha256),
        md5=bytes.fromhex(package.md5) if package.md5 else None,
        size=package.size or None,
        license=package.license or None,
        python_site_packages_path=package.python_site_packages_path or None,
    )
    if package.timestamp:
        record.timestamp = datetime.fromtimestamp(package.timestamp / 1000, UTC)
    return RepoDataRecord(record, package.file_name, package.url, package.channel)


def _specs(requested: Sequence[str]) -> list[Any]:
    specs = []
    for text in requested:
        try:
            # rattler 0.28 wants the object inside
            specs.append(MatchSpec(text)._match_spec)  # noqa: SLF001
        except InvalidMatchSpecError:
            # only a note in the records: what is installed was decided by the lock
            logger.info("`%s` is not written into the records", text)
    return specs


# ---------------------------------------------------------------- after


def _check_view(packages: Sequence[LockedPackage], view: Path, pkgs: Path) -> None:
    for package in packages:
        entry = view / stem_of(package)
        # what rattler finds damaged it fetches anew, in the place of our link
        if not entry.is_symlink() or entry.readlink() != pkgs / package.sha256:
            raise InstallError(
                f"package `{package.file_name}` is damaged in the cache",
                hint=f"remove {pkgs / package.sha256} and build again",
            )


def _check_records(
    records: Sequence[Record], packages: Sequence[LockedPackage], options: InstallOptions
) -> None:
    wanted = {stem_of(p): p.sha256 for p in packages}
    found = {r.label: r.sha256 for r in records}
    if wanted != found:
        wrong = sorted(wanted.items() ^ found.items())[0][0]
        raise InstallError(f"the records of the prefix and the lock differ at `{wrong}`")
    total = sum(e.get("size_in_bytes", 0) for r in records for e in r.paths)
    if total > options.max_size > 0:
        raise InstallError(
            f"the environment would have {size(total)}, more than {size(options.max_size)}",
            hint="ask for less, or let the operator raise `builds.max_size`",
        )


def _remarks(
    records: Sequence[Record], packages: Sequence[LockedPackage], *, link_scripts: bool
) -> tuple[Message, ...]:
    found = list(clobbered(records))
    by_label = {stem_of(p): p for p in packages}
    if not link_scripts:
        for record in records:
            found += script_warnings(set(record.names), by_label[record.label])
    return tuple(found)


def _in_order(records: Sequence[Record], packages: Sequence[LockedPackage]) -> list[Record]:
    """Dependencies first."""
    labels = {r.label: r for r in records}
    ordered = PackageRecord.sort_topologically([_record(p) for p in packages])
    return [labels[f"{r.name.normalized}-{r.version}-{r.build}"] for r in ordered]


def _add_bytecode(
    records: Sequence[Record],
    packages: Sequence[LockedPackage],
    folders: Folders,
    sandbox: str,
) -> None:
    package = next((p for p in packages if p.name == "python"), None)
    if package is None:
        return
    library = site_folder(package).rpartition("/")[0]
    executable = folders.pkgs / package.sha256 / "bin" / Path(library).name
    if not executable.exists():
        logger.info("no byte code: `%s` brings no bin/%s", stem_of(package), executable.name)
        return
    store = Store(folders.pyc, folders.tmp, runner(folders.tmp, sandbox), sync)
    python = Python(package.sha256, executable)
    refused = store.link(folders.prefix, python, modules(records, f"{library}/"))
    if refused:
        logger.info("%d files have no byte code: this Python cannot compile them", refused)
