"""The `environments:` of a nebari-config.yaml: each becomes one file."""

from __future__ import annotations

from pathlib import Path

from envwatch.errors import NotFound, SpecError
from envwatch.importing import Found
from envwatch.importing.text import plain, refusal, render
from envwatch.model import Level, Message
from envwatch.spec import valid_name
from envwatch.yamltext import Kind, Limits, Node, load, shown

LIMITS = Limits(max_bytes=2**20, max_nodes=100_000, max_scalar=64 * 1024)


def read_nebari(file: Path, *, keep_broken: bool = False) -> Found:
    """What the file declares. Raises NotFound, SpecError."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LIMITS.max_bytes + 1)
    except OSError as e:
        raise NotFound(f"{file}: cannot be read: {e.strerror}") from e
    root = load(data, path=str(file), limits=LIMITS)
    declared = root.get("environments") if root.kind is Kind.MAPPING else None
    if declared is None or declared.kind is not Kind.MAPPING:
        raise SpecError(
            "there is no mapping `environments` in it",
            path=str(file),
            line=declared.line if declared else 0,
            hint="name a nebari-config.yaml, a directory of environment files, "
            "or the address of a conda-store",
        )
    files: dict[str, bytes] = {}
    left: list[Message] = []
    for key, value in declared.entries:
        problem = _take(key, value, files, keep_broken=keep_broken)
        if problem is not None:
            left.append(problem)
    return Found(file.name, tuple(files.items()), left=tuple(left))


def _take(key: Node, value: Node, files: dict[str, bytes], *, keep_broken: bool) -> Message | None:
    """Add one environment to the files, or say why not."""
    values = plain(value)
    if not isinstance(values, dict):
        return _problem(key, f"is {value.shape}, and no environment")
    name = values.get("name")
    if not isinstance(name, str) or not valid_name(name):
        return _problem(key, f"`name` is `{shown(str(name))}`, which cannot be a name here")
    path, data = f"{name}.yml", render(values)
    if path in files:
        return _problem(key, f"another one has the name `{name}` as well")
    problem = refusal(data, shown(key.text))
    if problem is None or keep_broken:
        files[path] = data
    return problem


def _problem(key: Node, text: str) -> Message:
    return Message(Level.ERROR, text, path=shown(key.text), line=key.line)
