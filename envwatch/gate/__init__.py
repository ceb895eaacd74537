"""What a package may contain: checked between extraction and linking.

Nothing in a package may name a place outside the prefix. A link may only climb with leading `..`
and never higher than its own folder is deep: then no path through any of them can leave.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from envwatch.errors import PackageRefused
from envwatch.gate.contents import Contents, Entry, read_contents, walk
from envwatch.model import Level, LockedPackage, Message

HEX64 = re.compile(r"[0-9a-f]{64}")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+~=-]*")
SITE_PACKAGES = re.compile(r"[A-Za-z0-9_.]+/[A-Za-z0-9_][A-Za-z0-9_.]*/site-packages")
IDENTIFIERS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PLACEHOLDER = re.compile(r"(/|[A-Za-z]:[\\/])[^\0\n]+")
SCRIPT = re.compile(r"(bin|Scripts)/\.(?P<name>.+)-(?P<kind>(pre|post)-(un)?link)\.(sh|bat)")
PATH_TYPES = frozenset({"hardlink", "softlink", "directory"})
# these are written by whoever makes the prefix, and all that reads a prefix believes them
RECORDS = re.compile(r"conda-meta/([^/]+\.json|history|frozen|state)", re.IGNORECASE)
SHOWN = 160

Tree = Mapping[str, os.stat_result]


def check_package(
    tree: Path, package: LockedPackage, *, link_scripts: bool = False
) -> tuple[Message, ...]:
    """Look at an extracted package; return what is worth telling, raise what must not be."""
    found = inspect_package(tree, package, link_scripts=link_scripts)
    refused = [m for m in found if m.level is Level.ERROR]
    if not refused:
        return found
    more = f", and {len(refused) - 1} more of this kind" if len(refused) > 1 else ""
    text = f"package `{package.file_name}` is refused: {refused[0].text}{more}"
    raise PackageRefused(text, hint=refused[0].hint or "ask the channel for a repaired package")


def inspect_package(
    tree: Path, package: LockedPackage, *, link_scripts: bool = False
) -> tuple[Message, ...]:
    """All findings, the refusals among them as errors."""
    try:
        contents = read_contents(tree)
        files = dict(walk(tree))
    except (ValueError, OSError, RecursionError) as e:
        return (_error(package, f"its metadata cannot be read: {_shown(str(e))}"),)
    texts = (
        *_identity(contents, package),
        *_paths(contents.entries),
        *_presence(contents.entries, files),
        *_links(tree, contents, files),
        *_kinds(files),
        *_values(contents.entries),
        *(
            f"its entry point {_tick(e)} is not `name = module:function`"
            for e in contents.entry_points
            if not _entry_point_ok(e)
        ),
    )
    return (
        *(_error(package, text) for text in texts),
        *_warnings(contents, files, package, link_scripts=link_scripts),
    )


# ---------------------------------------------------------------- what is refused


def _identity(contents: Contents, package: LockedPackage) -> Iterator[str]:
    for key, wanted in (
        ("name", package.name), ("version", package.version), ("build", package.build),
    ):  # fmt: skip
        found = contents.index.get(key)
        # a lock may not know the build; then the file decides
        if found != wanted and (wanted or key != "build"):
            yield f"it says that its {key} is {_tick(found)}, the lock says {_tick(wanted)}"
        if not FILE_NAME.fullmatch(str(found)):
            yield f"its {key} {_tick(found)} cannot be part of a file name"
    for site in (
        contents.index.get("python_site_packages_path"), package.python_site_packages_path,
    ):  # fmt: skip
        if site and (not SITE_PACKAGES.fullmatch(str(site)) or ".." in str(site)):
            yield f"its `python_site_packages_path` {_tick(site)} is not a folder of the prefix"


def _unsafe(path: str) -> str:
    """Why a path cannot be a place in a prefix; empty when it can."""
    parts = path.split("/")
    reasons = (
        (path in ("", "."), "is empty"),
        (path.startswith("/"), "is absolute"),
        (CONTROL.search(path) is not None, "holds a control character"),
        (".." in parts, "leads out of the prefix"),
        ("" in parts or "." in parts, "is not in its shortest form"),
        (any(len(p) > 255 for p in parts) or len(path) > 3000, "is too long"),
    )
    return next((text for wrong, text in reasons if wrong), "")


def _paths(entries: tuple[Entry, ...]) -> Iterator[str]:
    links = {e.path for e in entries if e.kind == "softlink"}
    for entry in entries:
        if reason := _unsafe(entry.path):
            yield f"its path {_tick(entry.path)} {reason}"
        elif RECORDS.fullmatch(entry.path):
            yield f"its path {_tick(entry.path)} is a record of the prefix"
        elif entry.path.split("/")[0] == "info":
            yield f"its path {_tick(entry.path)} is metadata of the package"
        through = next((a for a in above(entry.path) if a in links), "")
        if through:
            yield f"its path {_tick(entry.path)} goes through its own link {_tick(through)}"
    for path, count in Counter(e.path for e in entries).items():
        if count > 1:
            yield f"its path {_tick(path)} is listed {count} times"


def above(path: str) -> Iterator[str]:
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)


def _presence(entries: tuple[Entry, ...], files: Tree) -> Iterator[str]:
    for entry in entries:
        found = files.get(entry.path)
        if found is None:
            yield f"its file {_tick(entry.path)} is listed but not in the archive"
        elif entry.kind != (kind := _kind(found)):
            yield f"its file {_tick(entry.path)} is listed as {_tick(entry.kind)} but is a {kind}"
        elif entry.kind == "hardlink" and entry.size not in (-1, found.st_size):
            yield (
                f"its file {_tick(entry.path)} has {found.st_size} bytes where"
                f" {entry.size} are listed"
            )


def _kind(info: os.stat_result) -> str:
    if stat.S_ISLNK(info.st_mode):
        return "softlink"
    if stat.S_ISDIR(info.st_mode):
        return "directory"
    return "hardlink" if stat.S_ISREG(info.st_mode) else "special file"


def _links(tree: Path, contents: Contents, files: Tree) -> Iterator[str]:
    for path, info in files.items():
        if not stat.S_ISLNK(info.st_mode) or path.startswith("info/"):
            continue
        target = str((tree / path).readlink())
        if _leaves(_placed(path, python=contents.python), target):
            yield f"its link {_tick(path)} leads out of the prefix, to {_tick(target)}"
    for path in ("info", "info/index.json", "info/paths.json", "info/link.json"):
        if path in files and stat.S_ISLNK(files[path].st_mode):
            yield f"its metadata {_tick(path)} is a link"


def _placed(path: str, *, python: bool) -> str:
    """Where the linker puts a file; only the depth of the result counts."""
    if python and path.startswith("site-packages/"):
        return f"lib/python/{path}"
    if python and path.startswith("python-scripts/"):
        return f"bin/{path.removeprefix('python-scripts/')}"
    return path


def _leaves(place: str, target: str) -> bool:
    parts = [p for p in target.split("/") if p not in ("", ".")]
    up = next((n for n, p in enumerate(parts) if p != ".."), len(parts))
    # a `..` after a name could climb from wherever that name, a link itself, leads to
    return target.startswith("/") or not target or ".." in parts[up:] or up > place.count("/")


def _kinds(files: Tree) -> Iterator[str]:
    names = Counter((i.st_dev, i.st_ino) for i in files.values() if stat.S_ISREG(i.st_mode))
    for path, info in files.items():
        if _kind(info) == "special file":
            yield f"its file {_tick(path)} is neither a file, a folder nor a link"
        elif stat.S_ISREG(info.st_mode) and info.st_nlink > names[info.st_dev, info.st_ino]:
            yield f"its file {_tick(path)} is a hard link to a file outside the package"


def _values(entries: tuple[Entry, ...]) -> Iterator[str]:
    for entry in entries:
        if entry.kind not in PATH_TYPES:
            yield f"the type {_tick(entry.kind)} of its file {_tick(entry.path)} is not known"
        if entry.sha256 and not HEX64.fullmatch(entry.sha256):
            yield f"the sha256 {_tick(entry.sha256)} of its file {_tick(entry.path)} is none"
        if entry.size < -1:
            yield f"the size of its file {_tick(entry.path)} is not a number of bytes"
        placeholder = entry.placeholder
        if placeholder is None:
            continue
        if not PLACEHOLDER.fullmatch(placeholder) or not placeholder.strip("/\\"):
            yield f"the placeholder {_tick(placeholder)} of {_tick(entry.path)} is not a folder"
        if entry.file_mode not in ("text", "binary"):
            yield f"the mode {_tick(entry.file_mode)} of {_tick(entry.path)} is not text or binary"


def _entry_point_ok(text: str) -> bool:
    name, equals, target = text.partition("=")
    module, colon, function = target.strip().partition(":")
    return bool(
        equals
        and colon
        and ENTRY_NAME.fullmatch(name.strip())
        and IDENTIFIERS.fullmatch(module)
        and IDENTIFIERS.fullmatch(function)
    )


# ---------------------------------------------------------------- what is only said


def _warnings(
    contents: Contents, files: Tree, package: LockedPackage, *, link_scripts: bool
) -> Iterator[Message]:
    listed = {e.path for e in contents.entries}
    unlisted = sorted(
        path
        for path, info in files.items()
        if path not in listed and not path.startswith("info/") and not stat.S_ISDIR(info.st_mode)
    )
    if unlisted:
        yield _warning(package, f"{_some(unlisted)} not listed, and so not installed")
    yield from _modes(files, package)
    folded = Counter(path.lower() for path in listed)
    if clash := sorted(path for path in listed if folded[path.lower()] > 1):
        yield _warning(package, f"{_some(clash)} only different in case")
    if odd := sorted(path for path in listed if "\\" in path):
        yield _warning(package, f"{_some(odd)} named with a backslash")
    if not link_scripts:
        yield from script_warnings(listed, package)


def _modes(files: Tree, package: LockedPackage) -> Iterator[Message]:
    plain = {p: stat.S_IMODE(i.st_mode) for p, i in files.items() if stat.S_ISREG(i.st_mode)}
    if ids := sorted(p for p, mode in plain.items() if mode & 0o6000):
        yield _warning(package, f"{_some(ids)} setuid or setgid; that is taken away")
    if loose := sorted(p for p, mode in plain.items() if mode & 0o022):
        yield _warning(package, f"{_some(loose)} writable by others; that is taken away")


def script_warnings(paths: set[str], package: LockedPackage) -> Iterator[Message]:
    """One warning for each link script among the paths of a package."""
    for path in sorted(p for p in paths if "/." in p):
        match = SCRIPT.fullmatch(path)
        if match and match["kind"] != "pre-unlink":
            yield _warning(
                package,
                f"its {match['kind']} script is not run",
                hint="it is code of the package; the operator may allow link scripts",
            )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{_tick(paths[0])}{more} {'are' if more else 'is'}"


def _error(package: LockedPackage, text: str) -> Message:
    return Message(Level.ERROR, text, package.file_name)


def _warning(package: LockedPackage, text: str, hint: str = "") -> Message:
    return Message(Level.WARNING, text, package.file_name, hint=hint)


def _tick(value: object) -> str:
    return f"`{_shown(str(value))}`"


def _shown(text: str) -> str:
    """Text of a package as it may stand in a log: one line, printable, not endless."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return safe if len(safe) <= SHOWN else f"{safe[:SHOWN]}…"
