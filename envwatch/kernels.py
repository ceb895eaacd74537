"""Jupyter kernelspecs for published environments, below `<root>/jupyter/<namespace>/kernels`.

A kernel is started by `<root>/jupyter/launch` through the link, which is resolved at that moment:
a kernel that runs keeps the files it was started with, the next one gets the new ones.

What a prefix brings is read as what it is, the work of strangers: bounded, and never through a
link that leads out of the prefix.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envwatch.model import EnvKey, Kernel
from envwatch.shell import PREFIX_MARK, launch_script

logger = logging.getLogger(__name__)

SPECS = Path("share/jupyter/kernels")
SPEC_FILE = "kernel.json"
SPEC_SIZE = 64 * 2**10
LOGO_SIZE = 2**20
LOGOS = (".png", ".svg")
MOST_KERNELS = 32
MOST_ARGUMENTS = 64
OURS = "envwatch"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class _Spec:
    """One kernelspec of a prefix: its folder, and the words of it that are passed on."""

    folder: Path
    argv: tuple[str, ...]
    display_name: str
    language: str
    others: tuple[tuple[str, Any], ...]  # any JSON: it is only handed on
    metadata: tuple[tuple[str, Any], ...]  # the same


@dataclass(frozen=True, slots=True)
class Folder:
    """The kernels of a root; what is made new gets `mode` and `group`."""

    root: Path
    mode: int = 0o755
    group: str = ""

    def publish(
        self, key: EnvKey, prefix: Path, *, link: Path, url: str = "", shown: str = ""
    ) -> tuple[Kernel, ...]:
        """Make the kernelspecs of one environment those that `prefix` brings; empty if none.

        `shown` is what people see instead of the label of the environment.
        """
        self._write_launcher()
        specs = tuple(_read_specs(prefix))
        made = []
        for spec in specs:
            kernel = _kernel(key, spec, shown or key.label, alone=len(specs) == 1)
            folder = _kernels(self.root, key.namespace) / kernel.name
            if folder.exists() and _owner(folder) not in (key, None):
                logger.warning("%s: the kernel `%s` belongs to %s", key, folder, _owner(folder))
                continue
            text = _spec_text(kernel, spec, (str(self._launcher), str(link)), _origin(key, url))
            self._write_folder(folder, {**_logos(prefix, spec.folder), SPEC_FILE: text})
            made.append(kernel)
        self._withdraw(key, keep={k.name for k in made})
        return tuple(made)

    def withdraw(self, key: EnvKey) -> None:
        """Take the kernels of one environment away; those that run go on."""
        self._withdraw(key, keep=())

    @property
    def _launcher(self) -> Path:
        return self.root / "jupyter" / "launch"

    def _write_launcher(self) -> None:
        """Everybody's, whatever the namespace that is published."""
        everybody = Folder(self.root)
        everybody._make_folder(self._launcher.parent)
        everybody._write(self._launcher, launch_script().encode(), 0o555)

    def _withdraw(self, key: EnvKey, keep: Collection[str]) -> None:
        for folder in _folders(self.root, key.namespace):
            if folder.name not in keep and _owner(folder) == key:
                _remove(folder)

    def _write_folder(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """kernel.json comes last: only by it Jupyter takes the folder for a kernel."""
        for parent in (folder.parent.parent, folder.parent, folder):
            self._make_folder(parent)
        for name, data in files.items():
            self._write(folder / name, data, self.mode & 0o666)
        for path in folder.iterdir():
            if path.name not in files:
                path.unlink()

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give(folder, self.mode)

    def _write(self, path: Path, data: bytes, mode: int) -> None:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            beside.touch(mode=0o600, exist_ok=False)
            beside.write_bytes(data)
            self._give(beside, mode)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _give(self, path: Path, mode: int) -> None:
        """The group first: a file opened to its group must not be opened to the wrong one."""
        if self.group:
            shutil.chown(path, group=self.group)
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)


def kernel_names(key: EnvKey, brought: Sequence[Kernel]) -> tuple[str, ...]:
    """What the kernels that an environment brings are called in Jupyter."""
    return tuple(_kernel_name(key, k.name, alone=len(brought) == 1) for k in brought)


def sync(root: Path, wanted: Collection[EnvKey]) -> None:
    """Take away what belongs to no environment that is wanted, half-made folders too."""
    for namespace in sorted(_subfolders(root / "jupyter")):
        for folder in _folders(root, namespace.name):
            if _owner(folder) not in wanted:
                _remove(folder)


# ---------------------------------------------------------------- what a prefix brings


def _read_specs(prefix: Path) -> Iterator[_Spec]:
    top = prefix.resolve()
    for folder in sorted(_subfolders(top / SPECS))[:MOST_KERNELS]:
        try:
            yield _read_spec(top, folder)
        except (OSError, ValueError, RecursionError) as e:
            logger.warning("%s: not a kernelspec: %s", folder / SPEC_FILE, e)


def _read_spec(top: Path, folder: Path) -> _Spec:
    data = json.loads(_read(top, folder / SPEC_FILE, SPEC_SIZE))
    if not _NAME.fullmatch(folder.name) or not isinstance(data, dict):
        raise ValueError("a mapping in a folder with a plain name is needed")
    argv = data.get("argv")
    if not isinstance(argv, list) or not _are_texts(argv) or not 0 < len(argv) <= MOST_ARGUMENTS:
        raise ValueError(f"`argv` must be a list of 1 to {MOST_ARGUMENTS} texts")
    return _Spec(
        folder=folder,
        argv=tuple(_relocated(a, top, folder) for a in argv),
        display_name=_text(data, "display_name") or folder.name,
        language=_text(data, "language"),
        others=tuple(_others(data)),
        metadata=tuple(_mapping(data, "metadata").items()),
    )


def _others(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if data.get("interrupt_mode") in ("signal", "message"):
        yield "interrupt_mode", data["interrupt_mode"]
    if version := _text(data, "kernel_protocol_version"):
        yield "kernel_protocol_version", version
    environment = _mapping(data, "env")
    if environment and _are_texts(environment.values()):
        yield "env", environment


def _relocated(argument: str, top: Path, folder: Path) -> str:
    """The launcher puts in the prefix that the link leads to when the kernel starts."""
    inside = f"{PREFIX_MARK}/{folder.relative_to(top)}"
    return argument.replace(f"{top}/", f"{PREFIX_MARK}/").replace("{resource_dir}", inside)


def _logos(prefix: Path, folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in LOGOS and path.name.startswith("logo-"):
            try:
                found[path.name] = _read(prefix.resolve(), path, LOGO_SIZE)
            except (OSError, ValueError) as e:
                logger.warning("%s: not taken: %s", path, e)
    return found


def _read(top: Path, path: Path, most: int) -> bytes:
    """A regular file in the prefix `top`, also through links that stay within."""
    real = path.resolve(strict=True)
    if not real.is_relative_to(top):
        raise ValueError(f"it leads out of the prefix, to `{real}`")
    with open(real, "rb", opener=_open_at_once) as f:  # Path.open takes no opener
        status = os.fstat(f.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise ValueError(f"it is no file of at most {most} bytes")
        return f.read(most)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would make us wait


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(v, str) and "\0" not in v for v in values)


def _text(data: Mapping[str, Any], word: str) -> str:
    value = data.get(word)
    return value[:200] if isinstance(value, str) else ""


def _mapping(data: Mapping[str, Any], word: str) -> dict[str, Any]:
    value = data.get(word)
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------- what is published


def _kernel(key: EnvKey, spec: _Spec, shown: str, *, alone: bool) -> Kernel:
    name = _kernel_name(key, spec.folder.name, alone=alone)
    return Kernel(name, shown if alone else f"{shown} ({spec.display_name})", spec.language)


def _kernel_name(key: EnvKey, name: str, *, alone: bool) -> str:
    # Two dashes: with one, the kernel `r` of `demo` would have the name of `demo-r`.
    return key.label if alone else f"{key.label}--{name}"


def _origin(key: EnvKey, url: str) -> dict[str, str]:
    return {"namespace": key.namespace, "environment": key.name, "url": url}


def _spec_text(
    kernel: Kernel, spec: _Spec, start: tuple[str, str], origin: Mapping[str, str]
) -> bytes:
    data = {
        "argv": [*start, *spec.argv],
        "display_name": kernel.display_name,
        "language": kernel.language,
        **dict(spec.others),
        "metadata": {**dict(spec.metadata), OURS: origin},
    }
    return json.dumps(data, indent=1).encode()


def _owner(folder: Path) -> EnvKey | None:
    """Whose kernel a published folder is; None for one that is not finished."""
    try:
        data = json.loads((folder / SPEC_FILE).read_bytes())
        origin = data["metadata"][OURS]
        return EnvKey(origin["namespace"], origin["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _kernels(root: Path, namespace: str) -> Path:
    return root / "jupyter" / namespace / "kernels"


def _folders(root: Path, namespace: str) -> list[Path]:
    return sorted(_subfolders(_kernels(root, namespace)))


def _subfolders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.is_dir())


def _remove(folder: Path) -> None:
    """kernel.json goes first, so that Jupyter never sees a kernel that is half gone."""
    (folder / SPEC_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder)
