"""Write one conda package: values in, a `.conda` file with always the same bytes out."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import zstandard

# Every member carries this time, so that equal input gives equal bytes.
EPOCH = 1_700_000_000
# 255 characters, as conda-build pads it: the longest prefix that binary files can take.
PLACEHOLDER = ("/opt/placeholder" + "_placeholder" * 20)[:255]
LEVEL = 3
THREADS = 2


@dataclass(frozen=True, slots=True)
class File:
    """One file of a package. `link` is a symlink's target; `placeholder` is `text` or `binary`."""

    path: str
    data: bytes = b""
    executable: bool = False
    link: str = ""
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """One package. `noarch` is empty, `generic` or `python`; `timestamp` is in seconds."""

    name: str
    version: str
    build: str = "0"
    subdir: str = "noarch"
    noarch: str = ""
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    entry_points: tuple[str, ...] = ()
    build_number: int = 0
    timestamp: int = EPOCH
    license: str = ""
    summary: str = ""
    python_site_packages_path: str = ""

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"


def content_hash(files: Iterable[File]) -> str:
    """Seven hex digits of what the files hold, for build strings."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.path):
        for part in (file.path.encode(), file.link.encode(), file.data):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:7]


def write(channel: Path, package: Package) -> Path:
    """Put the package into its folder of the channel; it appears whole or not at all."""
    folder = channel / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{package.stem}.conda"
    partial = target.with_suffix(".partial")
    files = sorted(package.files, key=lambda f: f.path)
    payload, info = _tarball(files), _tarball(_info(package, files))
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, "metadata.json", b'{"conda_pkg_format_version": 2}')
        _store(archive, f"pkg-{package.stem}.tar.zst", payload)
        _store(archive, f"info-{package.stem}.tar.zst", info)
    return partial.replace(target)


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), data)


def _tarball(files: Iterable[File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            tar.addfile(_member(file), io.BytesIO(file.data))
    return zstandard.ZstdCompressor(level=LEVEL, threads=THREADS).compress(buffer.getbuffer())


def _member(file: File) -> tarfile.TarInfo:
    member = tarfile.TarInfo(file.path)
    member.mtime = EPOCH
    member.mode = 0o755 if file.executable else 0o644
    member.size = len(file.data)
    if file.link:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, file.link, 0o777
    return member


# ---------------------------------------------------------------- the info folder


def _info(package: Package, files: list[File]) -> list[File]:
    by_path = {file.path: file for file in files}
    documents: dict[str, object] = {
        "info/about.json": {"license": package.license, "summary": package.summary},
        "info/index.json": _index(package),
        "info/paths.json": {"paths": [_path(f, by_path) for f in files], "paths_version": 1},
    }
    if package.noarch == "python":
        entries = {"type": "python", "entry_points": list(package.entry_points)}
        documents["info/link.json"] = {"noarch": entries, "package_metadata_version": 1}
    listing = "".join(f"{file.path}\n" for file in files)
    members = [File(name, _json(document)) for name, document in documents.items()]
    return sorted([*members, File("info/files", listing.encode())], key=lambda f: f.path)


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


def _index(package: Package) -> dict[str, object]:
    index: dict[str, object] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "depends": sorted(package.depends),
        "constrains": sorted(package.constrains),
        "timestamp": package.timestamp * 1000,
    }
    optional = {
        "license": package.license,
        "noarch": package.noarch,
        "python_site_packages_path": package.python_site_packages_path,
    }
    index |= {key: value for key, value in optional.items() if value}
    if package.subdir != "noarch":
        platform, _, machine = package.subdir.partition("-")
        index |= {"platform": platform, "arch": "x86_64" if machine == "64" else machine}
    return index


def _path(file: File, files: Mapping[str, File]) -> dict[str, object]:
    target = _target(file, files)
    row: dict[str, object] = {
        "_path": file.path,
        "path_type": "softlink" if file.link else "hardlink",
        "sha256": hashlib.sha256(target.data).hexdigest(),
        "size_in_bytes": len(target.data),
    }
    if file.placeholder:
        row |= {"file_mode": file.placeholder, "prefix_placeholder": PLACEHOLDER}
    return row


def _target(file: File, files: Mapping[str, File]) -> File:
    """The file that a link ends at: paths.json gives the hash of that one."""
    while file.link:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), file.link))
        file = files[path]
    return file
