"""The store of byte code: one compile for each file content and Python, hard-linked into prefixes.

Byte code is shared between environments that have the very same `python` archive, and that
archive's interpreter makes it, run from the cache where no other package lies beside it: nobody
can put byte code into an environment who could not have put the Python there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

logger = logging.getLogger(__name__)

# runs a command that may write below these folders; tells its exit status and what it said
Run = Callable[[Sequence[str], Sequence[Path]], tuple[int, str]]

PROCESSES = 2
# a file that makes the compiler crash costs one more start
RESTARTS = 20
TAG = re.compile(r"(?P<tag>[a-z]+[a-z0-9_-]*) (?P<magic>[0-9a-f]{8})")
REFUSED = ".refused"

# for any Python 3.7 or newer, with nothing imported but what is built into it
ASK = (
    "import sys, _frozen_importlib_external as b;"
    "print(sys.implementation.cache_tag, b.MAGIC_NUMBER.hex())"
)
# a pyc is not compared with its source when it is read (flag 1): published files never change
COMPILE = """
import sys, marshal, posix, _imp, _frozen_importlib_external as b
number = int.from_bytes(b.MAGIC_NUMBER, "little")
with open(sys.argv[1], "rb") as jobs:
    lines = jobs.read().decode("utf-8", "surrogateescape").split("\\n")
for n, line in enumerate(lines):
    out, source, name = line.split("\\t")
    print(n, flush=True)
    try:
        with open(source, "rb") as file:
            data = file.read()
        code = compile(data, name, "exec", 0, True, 0)
        head = b.MAGIC_NUMBER + b"\\1\\0\\0\\0" + _imp.source_hash(number, data)
        pyc = head + marshal.dumps(code)
    except Exception:
        pyc = b""
    with open(out + "~", "wb") as file:
        file.write(pyc)
    posix.rename(out + "~", out)
"""


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file of a prefix: where, what, and how long."""

    path: str
    sha256: str
    size: int = 0

    @property
    def key(self) -> str:
        # the path is part of it: byte code names its file
        return hashlib.sha256(f"{self.sha256}\0{self.path}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter of a prefix, as its package lies in the cache."""

    sha256: str
    executable: Path


@dataclass(frozen=True, slots=True)
class Store:
    """`<root>/<sha256 of the python archive>/<key>`, with `tag` beside the keys.

    `run` starts package code in a sandbox; `settle` puts a filesystem on the disk.
    """

    root: Path
    tmp: Path
    run: Run
    settle: Callable[[Path], None]

    def link(self, prefix: Path, python: Python, modules: Sequence[Module]) -> int:
        """Give the modules of a prefix their byte code; tells how many cannot be compiled."""
        folder = self.root / python.sha256
        tag = self._tag(python, folder)
        if not tag:
            return len(modules)
        missing = _link(prefix, modules, folder, tag)
        if not missing:
            return 0
        new = [m for m in missing if not (folder / f"{m.key}{REFUSED}").exists()]
        if new:
            self._compile(prefix, python, new, folder)
            missing = _link(prefix, missing, folder, tag)
        return len(missing)

    def _tag(self, python: Python, folder: Path) -> str:
        known = folder / "tag"
        if not known.exists():
            status, output = self.run((str(python.executable), *FLAGS, ASK), (self.tmp,))
            if status or not TAG.fullmatch(output.strip()):
                logger.warning("no byte code: `%s` does not tell its tag", python.executable)
                return ""
            folder.mkdir(parents=True, exist_ok=True)
            _write(known, output.strip())
        return known.read_text().partition(" ")[0]

    def _compile(
        self, prefix: Path, python: Python, modules: Sequence[Module], folder: Path
    ) -> None:
        logger.info("compiling %d files", len(modules))
        out = Path(tempfile.mkdtemp(prefix="pyc-", dir=self.tmp))
        try:
            jobs = [
                (str(out / m.key), str(prefix / m.path), m.path)
                for m in sorted(modules, key=lambda m: -m.size)
            ]
            compile_all(python.executable, jobs, out, self.run)
            self.settle(out)
            magic = (folder / "tag").read_text().split()[1]
            for made, *_ in jobs:
                _keep(Path(made), folder, bytes.fromhex(magic))
        finally:
            shutil.rmtree(out, ignore_errors=True)


FLAGS = ("-I", "-S", "-B", "-W", "ignore", "-c")


def compile_all(python: Path, jobs: Sequence[tuple[str, str, str]], tmp: Path, run: Run) -> None:
    """Compile files, each job an output, a source and the name for tracebacks."""
    parts = [list(jobs[n::PROCESSES]) for n in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        for done in [
            pool.submit(_compile_part, python, part, tmp / f"jobs{n}", run)
            for n, part in enumerate(parts)
            if part
        ]:
            done.result()


def compile_into(prefix: Path, python: Path, sources: Sequence[str], tmp: Path, run: Run) -> int:
    """Compile files of a prefix in their place, where nothing is shared; tells how many cannot.

    By the prefix's own interpreter, whose other packages can see it.
    """
    status, output = run((str(python), *FLAGS, ASK), ())
    match = TAG.fullmatch(output.strip())
    if status or not match:
        return len(sources)
    jobs = []
    for source in sources:
        parent, _, name = source.rpartition("/")
        folder = prefix / parent / "__pycache__"
        folder.mkdir(exist_ok=True)
        target = folder / f"{name.removesuffix('.py')}.{match['tag']}.pyc"
        jobs.append((str(target), str(prefix / source), source))
    out = Path(tempfile.mkdtemp(prefix="pyc-", dir=tmp))
    compile_all(python, jobs, out, lambda command, write: run(command, (*write, prefix)))
    shutil.rmtree(out, ignore_errors=True)
    refused = [path for made, *_ in jobs if not _filled(path := Path(made))]
    for path in refused:
        path.unlink(missing_ok=True)
    return len(refused)


def _filled(made: Path) -> bool:
    return made.exists() and made.stat().st_size > 0


def _compile_part(python: Path, jobs: list[tuple[str, str, str]], file: Path, run: Run) -> None:
    for _ in range(RESTARTS):
        file.write_text("\n".join("\t".join(job) for job in jobs), errors="surrogateescape")
        status, output = run((str(python), *FLAGS, COMPILE, str(file)), (file.parent,))
        if status == 0:
            return
        # it counts each file before it reads it: the last one is what the compiler died of
        counted = [int(line) for line in output.splitlines() if line.isdecimal()]
        at = counted[-1] if counted else len(jobs)
        if at >= len(jobs):
            logger.warning("the compiler ended with %d: %s", status, output[-500:])
            return
        logger.warning("the compiler ended with %d at %s", status, jobs[at][2])
        Path(jobs[at][0]).touch()
        jobs = jobs[at + 1 :]
        if not jobs:
            return


def _keep(made: Path, folder: Path, magic: bytes) -> None:
    """Move one result into the store, if it is what it should be."""
    try:
        fd = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        head = file.read(8)
        if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
            return
        os.fchmod(fd, 0o444)
    if head == magic + b"\1\0\0\0":
        made.rename(folder / made.name)
    elif not head:
        made.rename(folder / f"{made.name}{REFUSED}")


def _link(prefix: Path, modules: Sequence[Module], folder: Path, tag: str) -> list[Module]:
    """Hard links for all that the store has; returns what it has not."""
    missing: list[Module] = []
    store = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    top = os.open(prefix, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for parent, group in groupby(modules, key=lambda m: m.path.rpartition("/")[0]):
            missing += _link_folder(store, top, f"{parent}/__pycache__", list(group), tag)
    finally:
        os.close(store)
        os.close(top)
    return missing


def _link_folder(
    store: int, top: int, below: str, modules: list[Module], tag: str
) -> Iterator[Module]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(below, 0o755, dir_fd=top)
    cache = os.open(below, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for module in modules:
            name = module.path.rpartition("/")[2].removesuffix(".py")
            try:
                os.link(module.key, f"{name}.{tag}.pyc", src_dir_fd=store, dst_dir_fd=cache)
            except FileExistsError:
                continue
            except OSError as e:
                if e.errno == errno.EMLINK:
                    # ext4 gives 65000 links to a file: begin another
                    os.unlink(module.key, dir_fd=store)
                elif e.errno != errno.ENOENT:
                    raise
                yield module
    finally:
        os.close(cache)


def _write(path: Path, text: str) -> None:
    fd, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        os.fchmod(fd, 0o444)
        os.fsync(fd)
    Path(name).replace(path)
