"""Make packages out of distributions that are installed beside this interpreter.

Pure ones become `noarch: python`, compiled ones are tied to this minor version of Python. What a
distribution requires here is made into a package too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from envwatch.channel.archive import PLACEHOLDER, File, Package, content_hash
from envwatch.channel.interpreter import ABI, MINOR, SITE_PACKAGES, SUBDIR
from envwatch.errors import Conflict, NotFound

logger = logging.getLogger(__name__)

# Where the name of the conda package is not the canonical name of the distribution.
CONDA_NAMES = {
    "importlib-metadata": "importlib_metadata",
    "ipython-pygments-lexers": "ipython_pygments_lexers",
    "jupyter-client": "jupyter_client",
    "jupyter-core": "jupyter_core",
    "msgpack": "msgpack-python",
    "prometheus-client": "prometheus_client",
    "prompt-toolkit": "prompt-toolkit",
    "pure-eval": "pure_eval",
    "ruamel-yaml": "ruamel.yaml",
    "stack-data": "stack_data",
    "typing-extensions": "typing_extensions",
    "tzdata": "python-tzdata",
}
# Written new or left out: they say how the distribution came to be where it is now.
UNWANTED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
PYTHON_SHEBANG = re.compile(rb"\A#!.*python[0-9.]*[^\n]*")
SCRIPT = """\
#!{python}
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.exit({function}())
"""


def conda_name(name: str) -> str:
    canonical = canonicalize_name(name)
    return CONDA_NAMES.get(canonical, canonical)


def packages(names: Sequence[str]) -> Iterator[Package]:
    """Packages of the named distributions and of all that they require."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = canonicalize_name(waiting.pop(0))
        if name in seen:
            continue
        seen.add(name)
        distribution = find(name)
        yield _package(distribution)
        waiting += [r.name for r in distribution.requirements]


def find(name: str) -> Distribution:
    try:
        found = Distribution(metadata.distribution(name))
    except metadata.PackageNotFoundError as e:
        raise NotFound(f"the distribution `{name}` is not installed") from e
    if found.editable:
        raise Conflict(f"the distribution `{name}` is an editable install and has no files")
    return found


def installed(name: str) -> bool:
    try:
        find(name)
    except (NotFound, Conflict):
        return False
    return True


@dataclass(frozen=True)
class Distribution:
    """What is installed of one distribution."""

    of: metadata.Distribution

    @property
    def name(self) -> str:
        return self.of.metadata["Name"]

    @property
    def editable(self) -> bool:
        url = json.loads(self.of.read_text("direct_url.json") or "{}")
        return bool(url.get("dir_info", {}).get("editable"))

    @cached_property
    def site(self) -> Path:
        return Path(str(self.of.locate_file("")))

    @cached_property
    def info(self) -> str:
        """The name of its `.dist-info` folder."""
        for file in self.of.files or ():
            if file.name == "METADATA" and file.parent.suffix == ".dist-info":
                return file.parent.name
        raise NotFound(f"the distribution `{self.name}` has no list of its files")

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Installed files relative to the prefix, without byte code and install notes."""
        prefix = self.site.parents[2]
        names = [os.path.relpath(str(f.locate()), prefix) for f in self.of.files or ()]
        return tuple(sorted(name for name in names if self._wanted(name)))

    def _wanted(self, name: str) -> bool:
        path = Path(name)
        if name.startswith(os.pardir):
            logger.warning("%s: %s is outside the prefix and left out", self.name, name)
            return False
        if path.parent.name.endswith(".dist-info") and path.name in UNWANTED:
            return False
        return path.suffix != ".pyc" and not (name.startswith("bin/") and path.name in self.scripts)

    @cached_property
    def scripts(self) -> dict[str, str]:
        """Commands that an installer makes: name → `module:function`."""
        points = self.of.entry_points
        wanted = [*points.select(group="console_scripts"), *points.select(group="gui_scripts")]
        return {p.name: p.value.partition("[")[0].strip() for p in wanted}

    @cached_property
    def compiled(self) -> bool:
        wheel = self.of.read_text("WHEEL") or ""
        return "Root-Is-Purelib: false" in wheel or any(p.endswith(".so") for p in self.paths)

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """What it requires here, as far as that is installed.

        A conda package has no extras: what `other[extra]` adds is required by this one.
        """
        found: list[Requirement] = []
        waiting, seen = [(self.name, "")], set[tuple[str, str]]()
        while waiting:
            name, extra = waiting.pop(0)
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            asked = [r for r in find(name).asked(extra) if installed(r.name)]
            waiting += [(canonicalize_name(r.name), e) for r in asked for e in sorted(r.extras)]
            found += asked
        return tuple(found)

    def asked(self, extra: str) -> Iterator[Requirement]:
        """What its metadata asks for here: always, or through this extra alone."""
        for requirement in map(Requirement, self.of.requires or ()):
            if _holds(requirement, extra) and not (extra and _holds(requirement, "")):
                yield requirement

    def field(self, key: str) -> str:
        return next(iter(self.of.metadata.get_all(key) or ()), "")


def _holds(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


# ---------------------------------------------------------------- distribution → package


def _package(distribution: Distribution) -> Package:
    compiled = distribution.compiled
    files = tuple(_files(distribution))
    digest = content_hash(files)
    scripts = distribution.scripts.items()
    return Package(
        conda_name(distribution.name),
        distribution.of.version,
        f"py{ABI.removeprefix('cp')}h{digest}_0" if compiled else f"pyh{digest}_0",
        SUBDIR if compiled else "noarch",
        noarch="" if compiled else "python",
        depends=_depends(distribution),
        files=files,
        entry_points=() if compiled else tuple(f"{name} = {target}" for name, target in scripts),
        license=_license(distribution),
        summary=distribution.field("Summary"),
    )


def _license(distribution: Distribution) -> str:
    """The expression; older metadata may hold the whole text instead of a name."""
    text = distribution.field("License-Expression") or distribution.field("License")
    return text.strip().partition("\n")[0][:80]


def _depends(distribution: Distribution) -> tuple[str, ...]:
    specs: dict[str, SpecifierSet] = {}
    for requirement in distribution.requirements:
        name = conda_name(requirement.name)
        specs[name] = specs.get(name, SpecifierSet()) & requirement.specifier
    depends = {_spec(name, specifiers) for name, specifiers in specs.items()}
    if not distribution.compiled:
        return tuple(
            sorted(depends | {_spec("python", SpecifierSet(distribution.field("Requires-Python")))})
        )
    tied = {f"python {MINOR}.*", f"python_abi {MINOR}.* *_{ABI}", "__glibc >=2.17,<3.0.a0"}
    return tuple(sorted(depends | tied))


def _spec(name: str, specifiers: SpecifierSet) -> str:
    """PEP 440 as conda writes it: `==1.*` is `1.*`, and there is no `===`."""
    texts = [
        s.version if s.operator == "==" and s.version.endswith(".*") else f"{s.operator}{s.version}"
        for s in specifiers
    ]
    return f"{name} {','.join(sorted(texts)).replace('===', '==')}".strip()


def _files(distribution: Distribution) -> Iterator[File]:
    prefix = distribution.site.parents[2]
    site = distribution.site.relative_to(prefix).as_posix() + "/"
    files = [_file(prefix / path, _moved(path, site, distribution)) for path in distribution.paths]
    if distribution.compiled:
        files += [_script(name, target) for name, target in distribution.scripts.items()]
    yield from files
    yield from _notes(distribution, files)


def _moved(path: str, site: str, distribution: Distribution) -> str:
    """Where an installed file lies in the package."""
    if path.startswith(site):
        folder = SITE_PACKAGES if distribution.compiled else "site-packages"
        return f"{folder}/{path.removeprefix(site)}"
    if path.startswith("bin/") and not distribution.compiled:
        return f"python-scripts/{path.removeprefix('bin/')}"
    return path


def _file(source: Path, path: str) -> File:
    data = source.read_bytes()
    shebang = path.startswith(("bin/", "python-scripts/")) and PYTHON_SHEBANG.match(data)
    if shebang:
        data = f"#!{PLACEHOLDER}/bin/python".encode() + data[shebang.end() :]
    executable = os.access(source, os.X_OK)
    return File(path, data, executable, placeholder="text" if shebang else "")


def _script(name: str, target: str) -> File:
    module, _, function = target.partition(":")
    text = SCRIPT.format(
        python=f"{PLACEHOLDER}/bin/python",
        module=module.strip(),
        function=function.strip(),
        first=function.strip().partition(".")[0],
    )
    return File(f"bin/{name}", text.encode(), executable=True, placeholder="text")


def _notes(distribution: Distribution, files: Sequence[File]) -> Iterator[File]:
    """INSTALLER, and a RECORD of what the package holds, as an installer would write them."""
    folder = SITE_PACKAGES if distribution.compiled else "site-packages"
    installer = File(f"{folder}/{distribution.info}/INSTALLER", b"conda\n")
    rows = sorted(_record(file, folder) for file in (*files, installer))
    text = "".join(f"{row}\n" for row in (*rows, f"{distribution.info}/RECORD,,"))
    yield installer
    yield File(f"{folder}/{distribution.info}/RECORD", text.encode())


def _record(file: File, folder: str) -> str:
    """One row, relative to site-packages. Text that is written on installing has no hash."""
    if file.path.startswith(f"{folder}/"):
        path = file.path.removeprefix(f"{folder}/")
    else:
        path = "../../../" + re.sub(r"\Apython-scripts/", "bin/", file.path)
    quoted = f'"{path}"' if "," in path else path
    if file.placeholder:
        return f"{quoted},,"
    digest = base64.urlsafe_b64encode(hashlib.sha256(file.data).digest()).rstrip(b"=").decode()
    return f"{quoted},sha256={digest},{len(file.data)}"
