"""The records in `conda-meta` of a prefix: read, and made to tell where packages really are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envwatch import shell
from envwatch.bytecode import Module
from envwatch.errors import CheckError
from envwatch.fetch import mask
from envwatch.model import Level, LockedPackage, Message

META = "conda-meta"


@dataclass(frozen=True, slots=True)
class Record:
    """One installed package. `paths` are the entries of `paths_data` as they stand in the file."""

    file: Path
    name: str
    version: str
    build: str
    sha256: str
    paths: tuple[dict[str, Any], ...]

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def names(self) -> Iterator[str]:
        return (entry["_path"] for entry in self.paths)


@dataclass(frozen=True, slots=True)
class Site:
    """The Python of a prefix, and the folder of its packages relative to the prefix."""

    version: str
    folder: str


def python_site(prefix: Path) -> Site | None:
    for file in (prefix / META).glob("python-*.json"):
        data = json.loads(file.read_bytes())
        if data["name"] == "python":
            version: str = data["version"]
            usual = f"lib/python{'.'.join(version.split('.')[:2])}/site-packages"
            return Site(version, data.get("python_site_packages_path") or usual)
    return None


def read_records(prefix: Path) -> tuple[Record, ...]:
    """All records of a prefix, by name of the file."""
    return tuple(read_record(file) for file in sorted((prefix / META).glob("*.json")))


def read_record(file: Path) -> Record:
    try:
        data = json.loads(file.read_bytes())
        return Record(
            file,
            data["name"],
            data["version"],
            data["build"],
            data.get("sha256") or "",
            tuple(data["paths_data"]["paths"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise CheckError(f"the record `{file.name}` cannot be read: {e}") from e


def point_records(prefix: Path, view: Path, pkgs: Path, packages: Sequence[LockedPackage]) -> None:
    """Let each record name the folder in the cache, not the view that was made for one build."""
    for package in packages:
        stem = stem_of(package)
        file = prefix / META / f"{stem}.json"
        seen = json.dumps(str(view / stem)).encode()
        really = json.dumps(str(pkgs / package.sha256)).encode()
        file.write_bytes(file.read_bytes().replace(seen, really))


def stem_of(package: LockedPackage) -> str:
    return f"{package.name}-{package.version}-{package.build}"


def complete_records(prefix: Path, records: Sequence[Record]) -> tuple[Record, ...]:
    """Add the hash of each rewritten file where the linker did not write it down."""
    return tuple(_completed(prefix, record) for record in records)


def _completed(prefix: Path, record: Record) -> Record:
    lacking = [
        e
        for e in record.paths
        if e["path_type"] not in ("softlink", "directory")
        and "sha256_in_prefix" not in e
        and ("prefix_placeholder" in e or not e.get("sha256"))
    ]
    if not lacking:
        return record
    data = json.loads(record.file.read_bytes())
    wanted = {e["_path"] for e in lacking}
    for entry in data["paths_data"]["paths"]:
        if entry["_path"] in wanted:
            with (prefix / entry["_path"]).open("rb") as file:
                entry["sha256_in_prefix"] = hashlib.file_digest(file, "sha256").hexdigest()
    record.file.write_text(json.dumps(data, indent=2))
    return read_record(record.file)


def write_history(
    prefix: Path, packages: Sequence[LockedPackage], requested: Sequence[str], alias: str
) -> None:
    """One revision, in the form that conda reads its requested specs from."""
    now = datetime.now(UTC)
    lines = [f"==> {now:%Y-%m-%d %H:%M:%S} <==", "# cmd: envwatch"]
    lines += sorted(f"+{_channel(p, alias)}::{stem_of(p)}" for p in packages)
    if requested:
        lines.append(f"# update specs: {json.dumps(list(requested))}")
    (prefix / META / "history").write_text("\n".join(lines) + "\n")


def _channel(package: LockedPackage, alias: str) -> str:
    name = mask(package.channel).removeprefix(alias).rstrip("/")
    return f"{name}/{package.subdir}" if package.subdir else name


def write_markers(prefix: Path, message: str, variables: Sequence[tuple[str, str]]) -> None:
    """What tells conda not to change this environment, and what to export on activation."""
    text = message or "this environment is kept by envwatch: change its environment.yml instead"
    (prefix / META / "frozen").write_text(json.dumps({"message": text}) + "\n")
    state = {"env_vars": dict(variables)}
    (prefix / META / "state").write_text(json.dumps(state) + "\n")
    # the same for shells that have no conda to read the state for them
    script = prefix / shell.VARIABLES_FILE
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(shell.variables_script(tuple(variables)))


def clobbered(records: Sequence[Record]) -> Iterator[Message]:
    """One warning for each path that two packages bring; the linker put one of them aside."""
    aside = [(r, e["original_path"]) for r in records for e in r.paths if "original_path" in e]
    owner = {path: r.label for r in records for path in r.names} if aside else {}
    for record, path in aside:
        kept = owner.get(path, "another package")
        text = f"`{path}` comes from both `{kept}` and `{record.label}`: the first is used"
        yield Message(Level.WARNING, text)


def modules(records: Sequence[Record], folder: str) -> list[Module]:
    """The Python files below one folder that came without byte code, folder by folder.

    A file that names the prefix is left out: its byte code would differ from place to place in
    more than the name, and one lock is to give the same bytes everywhere.
    """
    found: dict[str, Module] = {}
    compiled: set[str] = set()
    for record in records:
        for entry in record.paths:
            path: str = entry["_path"]
            if not path.startswith(folder) or entry["path_type"] != "hardlink":
                continue
            if path.endswith(".py"):
                if entry.get("sha256_in_prefix", entry["sha256"]) == entry["sha256"]:
                    found[path] = Module(path, entry["sha256"], entry.get("size_in_bytes", 0))
            elif path.endswith(".pyc"):
                parent, _, name = path.rpartition("/__pycache__/")
                compiled.add(f"{parent}/{name.partition('.')[0]}.py")
    return [found[path] for path in sorted(found.keys() - compiled, key=_by_folder)]


def _by_folder(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition("/")
    return parent, name
