"""The `pip:` section: chosen by uv around what conda installed, then installed by hash."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from envwatch.bytecode import compile_into
from envwatch.errors import PipError
from envwatch.install.code import runner
from envwatch.install.records import Site, python_site, read_records
from envwatch.install.uv import explained, index_arguments, run_uv, write_lines
from envwatch.install.wheels import (
    Installed,
    best_wheel,
    installed,
    prefix_tags,
    record_entries,
    stand_in,
)
from envwatch.model import (
    BuildState,
    Job,
    Level,
    LockedPackage,
    Manager,
    Message,
    Progress,
    Requirement,
)
from envwatch.redact import has_credentials, redact

logger = logging.getLogger(__name__)

Report = Callable[[Progress], None]

SHA256 = re.compile(r"[0-9a-f]{64}")
NOWHERE = Requirement("")


class _Place(TypedDict):
    line: int
    path: str


def resolve_pip(job: Job) -> tuple[LockedPackage, ...]:
    """Exact packages for the `pip:` section; what conda installed stays as it is."""
    site = _site(job)
    folder = job.folders.tmp / "pip"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = write_lines(folder / "requirements.in", [_checked(r, job) for r in job.spec.pip])
    there = installed(job.folders.prefix, site.folder)
    stubs = [f"{i.name} @ {stand_in(i, folder).as_uri()}" for i in there]
    lock = folder / "pylock.toml"
    outcome = run_uv(
        (
            "compile", str(wanted), "--constraint", str(write_lines(folder / "conda.txt", stubs)),
            "--format", "pylock.toml", "--output-file", str(lock), "--no-header", "--quiet",
            *index_arguments(job), *(w for i in there for w in ("--no-emit-package", i.name)),
        ),
        job,
    )  # fmt: skip
    if outcome.status:
        raise explained(outcome, "the `pip:` section cannot be resolved", job)
    listed = tomllib.loads(lock.read_text()).get("packages", [])
    return tuple(_locked(item, site, job, folder) for item in listed)


def install_pip(packages: Sequence[LockedPackage], job: Job, report: Report) -> tuple[Message, ...]:
    """Install exactly these packages beside conda's, each by its hash, no index asked."""
    if not packages:
        return ()
    prefix = job.folders.prefix
    site = _site(job)
    before = installed(prefix, site.folder)
    for package in packages:
        _check_locked(package, before, job)
    report(Progress(BuildState.PIP, 0, len(packages)))
    lock = _write_pylock(packages, job.folders.tmp / "pylock.install.toml")
    index = index_arguments(job) if job.pip.allow_sdist else ("--no-index",)
    outcome = run_uv(
        (
            "install", "--requirements", str(lock), "--preview-features", "pylock", "--no-deps",
            "--link-mode", "hardlink", "--quiet", *index,
        ),
        job,
    )  # fmt: skip
    if outcome.status:
        raise explained(outcome, "the `pip:` section cannot be installed", job)
    names: set[str] = {canonicalize_name(p.name) for p in packages}
    added = [i for i in installed(prefix, site.folder) if i.name in names]
    _check_installed(packages, added, prefix)
    if job.install.compile:
        _compile(added, job)
    report(Progress(BuildState.PIP, len(packages), len(packages)))
    return tuple(_disagreements(names, job))


def _site(job: Job) -> Site:
    site = python_site(job.folders.prefix)
    if site is None:
        first = min(job.spec.pip, key=lambda r: r.line, default=NOWHERE)
        hint = "add `python` to `dependencies:`"
        raise PipError("the `pip:` section needs a Python", hint=hint, **_at(first))
    return site


# ---------------------------------------------------------------- choosing


def _checked(requirement: Requirement, job: Job) -> str:
    """A name with a version, no more: options, variables and paths would be understood by uv."""
    text = requirement.text.strip()
    try:
        parsed = Parsed(text)
    except InvalidRequirement as e:
        reason = str(e).splitlines()[0]
        raise PipError(
            f"`{redact(text)}` is no requirement: {redact(reason)}",
            column=requirement.column,
            **_at(requirement),
        ) from e
    if "$" in text or "\n" in text:
        raise PipError(f"`{redact(text)}` holds a variable or a line break", **_at(requirement))
    if parsed.url:
        _check_url(parsed.url, job, text, requirement)
    return text


def _check_url(url: str, job: Job, name: str, wanted: Requirement) -> None:
    parts, name = urlsplit(url), redact(name)
    if parts.scheme not in ("https", "http"):
        raise PipError(f"`{name}` comes from `{parts.scheme}:`, not from the web", **_at(wanted))
    if has_credentials(url):
        raise PipError(f"the address of `{name}` carries a secret: {redact(url)}", **_at(wanted))
    allowed = job.pip.allowed_hosts
    if allowed and (parts.hostname or "") not in allowed:
        raise PipError(
            f"`{name}` comes from `{parts.hostname}`, which is not allowed",
            **_at(wanted),
            hint=f"allowed are: {', '.join(allowed)}",
        )


def _locked(item: Mapping[str, Any], site: Site, job: Job, folder: Path) -> LockedPackage:
    name, version = item["name"], item.get("version", "")
    tags = prefix_tags(site.version, site.folder)
    chosen = best_wheel(item.get("wheels", ()), tags) or item.get("archive")
    if chosen is None and job.pip.allow_sdist:
        chosen = item.get("sdist")
    if chosen is None:
        raise PipError(
            f"`{name}` {version} has no wheel for this Python",
            hint="ask the operator for `pip.allow_sdist`, or take another version",
            **_at(_wanted(name, job)),
        )
    # an index that is a folder of this machine is named by paths
    url = chosen.get("url") or (folder / chosen["path"]).resolve().as_uri()
    sha256 = chosen.get("hashes", {}).get("sha256", "")
    package = LockedPackage(
        manager=Manager.PIP,
        platform=job.platforms[0],
        name=name,
        version=version,
        url=url,
        sha256=sha256,
        size=chosen.get("size", 0),
    )
    _check_locked(package, (), job)
    return package


def _wanted(name: str, job: Job) -> Requirement:
    """The entry of the file that asks for a package, if it is one of them."""
    wanted = canonicalize_name(name)
    for requirement in job.spec.pip:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.text)
        if match and canonicalize_name(match[0]) == wanted:
            return requirement
    return NOWHERE


def _at(requirement: Requirement) -> _Place:
    return {"line": requirement.line, "path": requirement.path}


def _check_locked(package: LockedPackage, there: Sequence[Installed], job: Job) -> None:
    """What holds for a lock that we made holds for one that lay beside the file as well."""
    wanted = _wanted(package.name, job)
    local = urlsplit(package.url).scheme == "file"
    if not local or not job.pip.index.startswith("file:"):
        _check_url(package.url, job, package.name, wanted)
    if not SHA256.fullmatch(package.sha256):
        raise PipError(f"`{package.name}` has no sha256", **_at(wanted))
    if not package.url.endswith(".whl") and not job.pip.allow_sdist:
        raise PipError(
            f"`{package.name}` is published only as source",
            hint="ask the operator for `pip.allow_sdist`",
            **_at(wanted),
        )
    name = canonicalize_name(package.name)
    if any(name == item.name for item in there):
        raise PipError(
            f"`{package.name}` is already there as a conda package",
            hint="take it out of `pip:`, or out of `dependencies:`",
            **_at(wanted),
        )


# ---------------------------------------------------------------- installing


def _write_pylock(packages: Sequence[LockedPackage], path: Path) -> Path:
    """The lock as uv reads it; a JSON text is a TOML one too."""
    lines = ['lock-version = "1.0"', 'created-by = "envwatch"']
    for package in packages:
        kind = "wheels" if package.url.endswith(".whl") else "sdist"
        file = (
            f"{{ url = {json.dumps(package.url)},"
            f" hashes = {{ sha256 = {json.dumps(package.sha256)} }} }}"
        )
        lines += [
            "",
            "[[packages]]",
            f"name = {json.dumps(package.name)}",
            f"version = {json.dumps(package.version)}",
            f"{kind} = [{file}]" if kind == "wheels" else f"{kind} = {file}",
        ]
    return write_lines(path, lines)


def _check_installed(
    packages: Sequence[LockedPackage], added: Sequence[Installed], prefix: Path
) -> None:
    missing = {canonicalize_name(p.name) for p in packages} - {i.name for i in added}
    if missing:
        raise PipError(f"`{min(missing)}` was not installed")
    owner = {path: r.label for r in read_records(prefix) for path in r.names}
    for item in added:
        for path, _ in record_entries(prefix, item):
            if path in owner:
                raise PipError(
                    f"`{path}` of `{item.name}` would replace a file of the conda package"
                    f" `{owner[path]}`",
                    hint="take one of the two packages out",
                )


def _compile(added: Sequence[Installed], job: Job) -> None:
    prefix, tmp = job.folders.prefix, job.folders.tmp
    sources = [
        path
        for item in added
        for path, _ in record_entries(prefix, item)
        if path.endswith(".py") and path.startswith("lib/")
    ]
    run = runner(tmp, job.install.sandbox)
    refused = compile_into(prefix, prefix / "bin/python", sources, tmp, run)
    if refused:
        logger.info("%d files of pip packages have no byte code", refused)


def _disagreements(names: set[str], job: Job) -> Iterator[Message]:
    """What uv thinks does not fit together, as far as packages of the `pip:` section say it."""
    outcome = run_uv(("check",), job)
    if outcome.status == 0:
        return
    for line in redact(outcome.output).splitlines():
        match = re.match(r"The package `(?P<name>[^`]+)` ", line)
        if match and canonicalize_name(match["name"]) in names:
            yield Message(Level.WARNING, line.strip())
