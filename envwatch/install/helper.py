"""A process that hashes files beside this one: those of a prefix, or ahead of it in the cache."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import blake3

import envwatch
from envwatch import hashing
from envwatch.install.records import stem_of
from envwatch.model import LockedPackage

logger = logging.getLogger(__name__)

TIMEOUT = 3600.0
START = "import sys; sys.path += sys.argv[2:]; from envwatch.hashing import main; main()"
FOLDERS = [str(Path(str(m.__file__)).parents[1]) for m in (envwatch, blake3)]


class Helper:
    """Shares the hashing of one prefix with this process.

    A file that it hashed in the cache, and finds in the prefix by its inode, is not read again:
    that counts only as long as nothing but the linker has written to the prefix.
    """

    def __init__(self, work: Sequence[tuple[str, str]], prefix: Path | None = None) -> None:
        self._records = [record for _, record in work]
        self._ahead = prefix is None
        self._tickets, into = os.pipe()
        # nothing of the user's site: it would take longer than much of the work
        program = (sys.executable, "-I", "-S", "-c", START, str(self._tickets), *FOLDERS)
        with os.fdopen(into, "wb") as queue:
            try:
                self._process = subprocess.Popen(
                    program,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                    pass_fds=(self._tickets,),
                    env={},
                )
            except OSError:
                os.close(self._tickets)
                raise
            # first the work, then the tickets: it reads them in this order, and a pipe is short
            self._say([work, str(prefix) if prefix else None])
            queue.write(b"".join(n.to_bytes(4, "little") for n in range(len(work))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._tickets)
        with self._process:
            self._process.kill()

    def check(self, prefix: Path, meanwhile: Callable[[], None]) -> hashing.Found:
        """What came of all records, once; `meanwhile` is done here while the helper works.

        Raises OSError, ValueError, subprocess.TimeoutExpired.
        """
        if self._ahead:
            self._say(str(prefix))
        meanwhile()
        top, names = str(prefix), (self._records[n] for n in hashing.numbers(self._tickets))
        found = hashing.check_records(top, names, {}, quick=self._ahead)
        said, _ = self._process.communicate(timeout=TIMEOUT)
        if self._process.returncode:
            logger.warning("a helper died: every file is hashed here")
            return hashing.check_records(top, hashing.record_names(top), {})
        found.add(hashing.Found(**json.loads(said)))
        others = set(hashing.record_names(top)).difference(self._records)
        found.add(hashing.check_records(top, sorted(others), {}))
        return found

    def _say(self, value: object) -> None:
        line = memoryview(json.dumps(value).encode() + b"\n")
        # one that died is noticed at the end
        with suppress(BrokenPipeError):
            while line and self._process.stdin is not None:
                line = line[os.write(self._process.stdin.fileno(), line) :]


def ahead(packages: Sequence[LockedPackage], pkgs: Path) -> Helper:
    """A helper for a prefix that is about to be linked, which takes the largest package first."""
    ordered = sorted(packages, key=lambda p: -p.size)
    return Helper([(str(pkgs / p.sha256), f"{stem_of(p)}.json") for p in ordered])


def beside(prefix: Path) -> Helper:
    """A helper for a prefix that is there, which takes the record with the most files first."""
    return Helper([("", name) for name in hashing.record_names(str(prefix))], prefix)
