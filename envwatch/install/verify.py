"""Is a prefix still what was installed? Every file against its record."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from envwatch.errors import CheckError
from envwatch.fetch import SHA256, heal
from envwatch.hashing import Found, check_entry
from envwatch.install.finish import Facts, facts
from envwatch.install.helper import Helper, beside
from envwatch.install.records import META, python_site, stem_of
from envwatch.install.wheels import Installed, installed, record_entries
from envwatch.model import Level, LockedPackage, Manager, Message


def conclude(
    prefix: Path, packages: Sequence[LockedPackage] = (), helper: Helper | None = None
) -> Facts:
    """`facts` and `verify` of a prefix that was just made, side by side.

    `helper` has hashed the packages that it was linked from.
    """
    told: list[Facts] = []
    found = faults(prefix, packages, helper=helper, meanwhile=lambda: told.append(facts(prefix)))
    _raise(found, prefix)
    return told[0]


def verify(prefix: Path, packages: Sequence[LockedPackage] = ()) -> None:
    """Raise CheckError unless every file is right; see `faults`.

    A package that is damaged in the cache as well is taken out of it.
    """
    _raise(faults(prefix, packages), prefix)


def faults(
    prefix: Path,
    packages: Sequence[LockedPackage] = (),
    *,
    helper: Helper | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple[Message, ...]:
    """One error for each file that is not right, and for each package that is not there.

    Without packages the prefix is compared with its own records alone.
    """
    try:
        found = _compare(prefix, helper, meanwhile)
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as e:
        raise CheckError(f"the files of {prefix} cannot be checked: {e}") from e
    messages = [
        _wrong(f"{META}/{record}", f"`{path}` {text}" if path else f"the record {text}")
        for record, path, text in sorted(found.faults)
    ]
    # only now is it known that the records can be read
    if not messages:
        messages += _conda_packages(dict(found.packages), packages) if packages else ()
        messages += _pip_files(prefix, frozenset(found.distributions))
    return tuple(messages)


def _compare(prefix: Path, helper: Helper | None, meanwhile: Callable[[], None]) -> Found:
    if helper is not None:
        return helper.check(prefix, meanwhile)
    with beside(prefix) as other:
        return other.check(prefix, meanwhile)


def _raise(found: Sequence[Message], prefix: Path) -> None:
    if not found:
        return
    for place in dict.fromkeys(m.path for m in found):
        _heal(prefix / place)
    more = f", and {len(found) - 1} more of this kind" if len(found) > 1 else ""
    raise CheckError(f"{found[0].path}: {found[0].text}{more}", hint=found[0].hint)


def _heal(record: Path) -> None:
    """What is wrong in a prefix is wrong in the cache too where the two share the file."""
    try:
        data = json.loads(record.read_bytes())
        cached, sha256 = Path(data["extracted_package_dir"]), data["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    # the record may be what is damaged: only an entry of a cache is ever removed
    if SHA256.fullmatch(str(sha256)) and cached.name == sha256:
        heal(cached.parent, sha256)


def _wrong(place: str, text: str) -> Message:
    return Message(Level.ERROR, text, place, hint="build this environment again")


def _conda_packages(
    found: Mapping[str, str], packages: Sequence[LockedPackage]
) -> Iterator[Message]:
    wanted = {stem_of(p): p.sha256 for p in packages if p.manager is Manager.CONDA}
    for label in sorted(wanted.keys() - found.keys()):
        yield _wrong(META, f"package `{label}` is missing")
    for label in sorted(found.keys() - wanted.keys()):
        yield _wrong(META, f"package `{label}` is not in the lock")
    for label in sorted(wanted.keys() & found.keys()):
        if wanted[label] != found[label]:
            yield _wrong(META, f"package `{label}` is not the one of the lock")


def _pip_files(prefix: Path, owned: frozenset[str]) -> Iterator[Message]:
    """The distributions that no conda package brought, each against its own RECORD."""
    site = python_site(prefix)
    if site is None:
        return
    folders = {p.name for p in (prefix / site.folder).glob("*.dist-info")}
    if not folders - owned:
        return
    top = os.open(prefix, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for item in installed(prefix, site.folder):
            if Path(item.folder).name not in owned:
                yield from _distribution(prefix, top, item)
    finally:
        os.close(top)


def _distribution(prefix: Path, top: int, item: Installed) -> Iterator[Message]:
    for path, sha256 in record_entries(prefix, item):
        if sha256:
            entry = {"_path": path, "path_type": "hardlink", "sha256": sha256}
            if problem := check_entry(top, entry, {}, {}):
                yield _wrong(f"{item.folder}/RECORD", f"`{path}` {problem}")
