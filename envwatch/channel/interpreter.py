"""Make a `python` package that runs from any prefix out of the interpreter that runs this.

The interpreter finds its prefix from where it lies; what has to be changed are the places that
name the old one: the run path to a shared libpython, the build-time variables of `sysconfig`,
and Debian's additions, which look for `dist-packages`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envwatch.channel import elf
from envwatch.channel.archive import PLACEHOLDER, File, Package, content_hash
from envwatch.errors import NotFound

SUBDIR = "linux-aarch64" if platform.machine() == "aarch64" else "linux-64"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
ABI = f"cp{sys.version_info.major}{sys.version_info.minor}"
# Relative to the prefix. `lib` even where the standard library is in `lib64`.
SITE_PACKAGES = f"lib/python{MINOR}/site-packages"

# Not needed at run time, or wrong in a conda prefix: EXTERNALLY-MANAGED stops pip and uv,
# sitecustomize.py and _distutils_system_mod.py are the distribution's own.
LEFT_OUT = re.compile(
    r"__pycache__|tests?|idlelib|tkinter|turtledemo|turtle\.py|ensurepip|distutils|lib2to3"
    r"|(site|dist)-packages|EXTERNALLY-MANAGED|(site|user)customize\.py|_distutils_system_mod\.py"
    r"|build-details\.json|config-\d.*|_tkinter\..*|_(xx)?test.*\.so|xxlimited.*"
)

# Prefixes that hold far more than Python: their text is not rewritten, their libraries stay.
SYSTEM_PREFIXES = frozenset({Path("/"), Path("/usr")})


@dataclass(frozen=True, slots=True)
class Home:
    """Where an installed interpreter lies."""

    prefix: Path
    executable: Path
    stdlib: Path
    libraries: tuple[Path, ...]

    @property
    def shared(self) -> bool:
        return self.prefix in SYSTEM_PREFIXES


def running() -> Home:
    """The interpreter that runs this, seen through the virtual environment around it."""
    prefix = Path(sys.base_prefix)
    executable = Path(sys.base_exec_prefix) / "bin" / f"python{MINOR}"
    if not executable.is_file():
        raise NotFound(
            f"the interpreter `{executable}` is not there",
            hint="use a Python that is installed under one prefix",
        )
    folders = (str(prefix / "lib"), sysconfig.get_config_var("LIBDIR"))
    libraries = tuple(Path(folder) for folder in folders if folder)
    return Home(prefix, executable, Path(os.__file__).parent, libraries)


def abi_package() -> Package:
    """`python_abi`, which ties compiled packages to one minor version of Python."""
    return Package(
        "python_abi",
        MINOR,
        f"0_{ABI}",
        noarch="generic",
        constrains=(f"python {MINOR}.* *_cpython",),
    )


def python_package(home: Home) -> Package:
    files = (*_scripts(home), *_library(home), *_binaries(home), _site_packages())
    return Package(
        "python",
        platform.python_version(),
        f"h{content_hash(files)}_0_cpython",
        SUBDIR,
        depends=("__glibc >=2.17,<3.0.a0",),
        constrains=(f"python_abi {MINOR}.* *_{ABI}",),
        files=files,
        license="Python-2.0",
        summary="The Python interpreter of this machine",
        python_site_packages_path=SITE_PACKAGES,
    )


def _site_packages() -> File:
    """A package holds no empty folders, and site-packages must exist to be on sys.path."""
    return File(f"{SITE_PACKAGES}/README.txt", b"Packages of this environment are found here.\n")


def _scripts(home: Home) -> Iterator[File]:
    for name in ("python", "python3"):
        yield File(f"bin/{name}", link=home.executable.name)


# ---------------------------------------------------------------- the standard library


def _library(home: Home) -> Iterator[File]:
    for path in _walk(home.stdlib):
        if ".so" not in path.suffixes:
            yield _library_file(path, path.relative_to(home.prefix).as_posix(), home)


def _walk(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if LEFT_OUT.fullmatch(child.name):
            continue
        if child.is_dir():
            yield from _walk(child)
        elif child.is_file():
            yield child


def _library_file(path: Path, name: str, home: Home) -> File:
    data = path.read_bytes()
    old = str(home.prefix).encode()
    if path.name.startswith("_sysconfig") and not home.shared and old in data:
        return File(name, data.replace(old, PLACEHOLDER.encode()), placeholder="text")
    relative = path.relative_to(home.stdlib).as_posix()
    return File(name, plain(relative, data) if DEBIAN in data else data)


# ---------------------------------------------------------------- what Debian changed

DEBIAN, PLAIN = b"dist-packages", b"site-packages"
SCHEMES = """\
def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}


"""


def plain(name: str, data: bytes) -> bytes:
    """A file of Debian's Python that looks for `site-packages`, as every other Python does.

    `site` is compiled into the interpreter, too, and that copy is the one that runs. The two names
    have the same length, so both copies are changed alike and still agree.
    """
    data = data.replace(DEBIAN, PLAIN)
    return _plain_schemes(data) if name in ("sysconfig.py", "sysconfig/__init__.py") else data


def _plain_schemes(data: bytes) -> bytes:
    """Without this, pip and uv install below `local`, where `site` does not look.

    The whole function is replaced: what is inside differs between releases.
    """
    pattern = re.compile(rb"^def _get_preferred_schemes\(.*?\n(?=\S)", re.MULTILINE | re.DOTALL)
    changed, count = pattern.subn(SCHEMES.encode(), data)
    if count != 1:
        raise NotFound("sysconfig: the function `_get_preferred_schemes` is not there")
    return changed


# ---------------------------------------------------------------- what was compiled


def _binaries(home: Home) -> tuple[File, ...]:
    with tempfile.TemporaryDirectory(prefix="envwatch-python-") as folder:
        root = Path(folder)
        copies = list(_copies(home, root))
        libraries = _bundle(copies, home, root / "lib")
        if libraries:
            _repoint(root, [*copies, *libraries])
        return tuple(_binary(path, root) for path in sorted({*copies, *libraries}))


def _binary(path: Path, root: Path) -> File:
    name = path.relative_to(root).as_posix()
    return File(name, plain(name, elf.trim(path.read_bytes())), executable=True)


def _copies(home: Home, root: Path) -> Iterator[Path]:
    modules = [p for p in _walk(home.stdlib) if ".so" in p.suffixes]
    yield _copy(home.executable, root / "bin" / home.executable.name)
    for module in modules:
        yield _copy(module, root / module.relative_to(home.prefix))


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _bundle(binaries: list[Path], home: Home, target: Path) -> list[Path]:
    """Copy the libraries that come with the interpreter, and those that they need in turn."""
    found: list[Path] = []
    asked = binaries
    while asked:
        names = elf.needed(asked) - {p.name for p in found}
        sources = [s for name in sorted(names) if (s := _own_library(name, home))]
        asked = [_copy(source, target / source.name) for source in sources]
        found += asked
    return found


def _own_library(name: str, home: Home) -> Path | None:
    """libpython always; other libraries unless the prefix is the system's."""
    if home.shared and not name.startswith("libpython"):
        return None
    return next((f / name for f in home.libraries if (f / name).is_file()), None)


def _repoint(root: Path, binaries: list[Path]) -> None:
    """Let every file look for libraries in the `lib` of the prefix that it is in."""
    for folder in sorted({path.parent for path in binaries}):
        up = Path(os.path.relpath(root / "lib", folder))
        run_path = "$ORIGIN" if up == Path() else f"$ORIGIN/{up}"
        elf.set_run_path([p for p in binaries if p.parent == folder], run_path)
