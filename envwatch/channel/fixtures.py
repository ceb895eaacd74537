"""Small hand-made packages, each with one property that a test or the demo needs.

tiny 1.0, 1.1, 2.0           several versions
stepped 1.0, 2.0, 3.0        the newest cannot be installed, the one before needs tiny >=2
conflict-old-tiny, -new-tiny cannot be together
needs-missing                requires what no channel has
needs-cuda, needs-new-glibc  require virtual packages that the machine lacks
hello-prefix                 the prefix in a text, in a script's first line, in a binary file
activate-demo                a script in activate.d and deactivate.d, and a variable
post-link-demo               a script that would run when it is linked
clobber-a, clobber-b         the same path in two packages
native                       one build for each of three platforms
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from envwatch.channel.archive import EPOCH, PLACEHOLDER, File, Package
from envwatch.channel.interpreter import SUBDIR

DAY = 86400
# Solved for, never installed here.
OTHER_PLATFORMS = {"osx-arm64": "__osx >=11.0", "win-64": "__win"}


def packages() -> Iterator[Package]:
    yield from _versions()
    yield from _unsatisfiable()
    yield from _prefixes()
    yield from _scripts()
    for letter in "ab":
        yield _generic(f"clobber-{letter}", files=(File("share/clobber.txt", letter.encode()),))
    yield _native("native", files=(File("share/native.txt", SUBDIR.encode()),))


def second_channel() -> Iterator[Package]:
    """A second channel: what the first has too, newer, and what only this one has."""
    yield tiny("9.0")
    yield _generic("only-second", depends=("tiny",))


def tiny(version: str) -> Package:
    at = EPOCH + int(float(version) * 10) * DAY
    text = File("share/tiny/version", version.encode())
    return _generic("tiny", version, files=(text,), timestamp=at)


def elsewhere(packages: Iterable[Package]) -> Iterator[Package]:
    """The given packages for the other platforms: true metadata, an empty payload."""
    for package in packages:
        if package.subdir != SUBDIR:
            continue
        for subdir, virtual in OTHER_PLATFORMS.items():
            depends = tuple(d for d in package.depends if not d.startswith("__glibc"))
            stub = File(f"share/{package.name}/{subdir}", b"")
            yield replace(package, subdir=subdir, depends=(*depends, virtual), files=(stub,))


def _generic(
    name: str,
    version: str = "1.0",
    *,
    depends: tuple[str, ...] = (),
    files: tuple[File, ...] = (),
    timestamp: int = EPOCH,
) -> Package:
    return Package(
        name, version, noarch="generic", depends=depends, files=files, timestamp=timestamp
    )


def _native(name: str, *, files: tuple[File, ...], depends: tuple[str, ...] = ()) -> Package:
    return Package(name, "1.0", subdir=SUBDIR, depends=depends, files=files)


def _versions() -> Iterator[Package]:
    yield from (tiny(version) for version in ("1.0", "1.1", "2.0"))
    for version, need in (("1.0", "tiny"), ("2.0", "tiny >=2"), ("3.0", "tiny >=3")):
        yield _generic("stepped", version, depends=(need,))


def _unsatisfiable() -> Iterator[Package]:
    yield _generic("conflict-old-tiny", depends=("tiny <2",))
    yield _generic("conflict-new-tiny", depends=("tiny >=2",))
    yield _generic("needs-missing", depends=("this-package-does-not-exist >=3",))
    yield _generic("needs-cuda", depends=("__cuda >=12",))
    yield _generic("needs-new-glibc", depends=("__glibc >=2.99",))


def _prefixes() -> Iterator[Package]:
    binary = b"\x7fENVWATCH\0" + f"{PLACEHOLDER}/etc/hello.conf".encode() + b"\0tail\0"
    script = f"#!{PLACEHOLDER}/bin/python\nimport sys\nprint(sys.prefix)\n"
    files = (
        File("etc/hello.conf", f"prefix={PLACEHOLDER}\n".encode(), placeholder="text"),
        File("bin/hello-prefix", script.encode(), executable=True, placeholder="text"),
        File("lib/hello.bin", binary, placeholder="binary"),
    )
    yield _native("hello-prefix", files=files, depends=("__glibc >=2.17",))


def _scripts() -> Iterator[Package]:
    folder = "etc/conda"
    variables = json.dumps({"ENVWATCH_DEMO_VARIABLE": "from the package"})
    files = (
        File(f"{folder}/activate.d/demo.sh", b"export ENVWATCH_DEMO=1\n"),
        File(f"{folder}/deactivate.d/demo.sh", b"unset ENVWATCH_DEMO\n"),
        File(f"{folder}/env_vars.d/activate-demo.json", variables.encode()),
    )
    yield _native("activate-demo", files=files)
    link = b'#!/bin/sh\ntouch "$PREFIX/post-link-ran"\n'
    yield _native(
        "post-link-demo", files=(File("bin/.post-link-demo-post-link.sh", link, executable=True),)
    )
