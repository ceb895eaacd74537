"""The records in `conda-meta` of a prefix: read, and made to tell where packages really are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json

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
    """All records of a prefix, by name of the file. Raises CheckError."""
    return tuple(_read(file) for file in sorted((prefix / META).glob("*.json")))


def _read(file: Path) -> Record:
    with _readable(file):
        return _record(file, from_json(file.read_bytes()))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise CheckError(f"the record `{file.name}` cannot be read: {e}") from e


def _record(file: Path, data: dict[str, Any]) -> Record:
    return Record(
        file,
        data["name"],
        data["version"],
        data["build"],
        data.get("sha256") or "",
        tuple(data["paths_data"]["paths"]),
    )


def settle_records(
    prefix: Path, view: Path, pkgs: Path, packages: Sequence[LockedPackage]
) -> tuple[Record, ...]:
    """Make the records of a new prefix say what will hold, and read them, by name of the file.

    Each names the folder in the cache, not the view that was made for one build, and has the hash
    of each rewritten file, where the linker did not write it down. Raises CheckError.
    """
    stems = {stem_of(p): pkgs / p.sha256 for p in packages}
    files = sorted((prefix / META).glob("*.json"))
    return tuple(_settled(file, prefix, view / file.stem, stems.get(file.stem)) for file in files)


def _settled(file: Path, prefix: Path, seen: Path, really: Path | None) -> Record:
    text = file.read_bytes()
    if really is not None:
        text = text.replace(json.dumps(str(seen)).encode(), json.dumps(str(really)).encode())
    with _readable(file):
        data = from_json(text)
        if _complete(prefix, data):
            text = json.dumps(data, indent=2).encode()
        record = _record(file, data)
    # to write into a file that is there would make ext4 put it on the disk at once
    file.unlink()
    file.write_bytes(text)
    return record


def _complete(prefix: Path, data: dict[str, Any]) -> bool:
    """Add the hashes that lack; did any?"""
    lacking = [
        e
        for e in data["paths_data"]["paths"]
        if e["path_type"] not in ("softlink", "directory")
        and "sha256_in_prefix" not in e
        and ("prefix_placeholder" in e or not e.get("sha256"))
    ]
    for entry in lacking:
        with (prefix / entry["_path"]).open("rb") as file:
            entry["sha256_in_prefix"] = hashlib.file_digest(file, "sha256").hexdigest()
    return bool(lacking)


def stem_of(package: LockedPackage) -> str:
    return f"{package.name}-{package.version}-{package.build}"


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
