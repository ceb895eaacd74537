"""Several environment files → one `Spec`, by the rules of `conda-lock -f a.yml -f b.yml`.

A later file's entry for a package stands in for an earlier one's, on the platforms that it holds
for. Channels must agree: each file's list is the end of the longest one. Of variables the later
counts. Every entry keeps the file and the line that it comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from envwatch import entries, spec
from envwatch.errors import SpecError
from envwatch.model import Composition, Layer, Level, Message, Requirement, Spec
from envwatch.selectors import PLATFORMS, expression
from envwatch.yamltext import shown

PLAIN = re.compile(r"[A-Za-z_][^\n]*")
NOT_PLAIN = re.compile(r": | #|:$|\s$|[^\x20-\x7e]")
WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff]")


def read(text: str, path: str, composition: Composition) -> Spec | None:
    """The spec of an environment, of its file or of its layers. Raises SpecError."""
    parts = [_parsed(layer) for layer in composition.layers]
    if not parts:
        single = spec.parse(text.encode(), path=path)
        parts = [] if single is None else [single]
    return compose(parts, path, composition) if parts else None


def _parsed(layer: Layer) -> Spec:
    parsed = spec.parse(layer.text.encode(), path=layer.path, known=True)
    if parsed is None:
        raise SpecError("not an environment", path=layer.path)
    return parsed


def compose(parts: Sequence[Spec], path: str, composition: Composition) -> Spec:
    """One spec of the parts, with what an `envwatch.yml` says of it besides."""
    made = parts[0] if len(parts) == 1 else merge(parts, path)
    if not composition.platforms and not composition.virtual_packages:
        return made
    made = replace(
        made,
        platforms=composition.platforms or made.platforms,
        virtual_packages=composition.virtual_packages,
    )
    return replace(made, digest=spec.digest_of(made))


# ---------------------------------------------------------------- merging


def merge(parts: Sequence[Spec], path: str) -> Spec:
    """The parts as one spec, the later over the earlier. Raises SpecError where channels differ."""
    parts = [_placed(part) for part in parts]
    notes: list[Message] = []
    made = Spec(
        name="",
        channels=_channels(parts),
        dependencies=_entries([p.dependencies for p in parts], entries.package_name, notes),
        pip=_entries([p.pip for p in parts], entries.pip_name, notes),
        variables=_variables(parts),
        platforms=tuple(dict.fromkeys(p for part in parts for p in part.platforms)),
        description=next((p.description for p in reversed(parts) if p.description), ""),
        digest="",
        path=path,
        messages=(*(m for p in parts for m in p.messages), *notes),
    )
    return replace(made, digest=spec.digest_of(made))


def _placed(part: Spec) -> Spec:
    def placed(found: Iterable[Requirement]) -> tuple[Requirement, ...]:
        return tuple(r if r.path else replace(r, path=part.path) for r in found)

    return replace(
        part,
        channels=placed(part.channels),
        dependencies=placed(part.dependencies),
        pip=placed(part.pip),
    )


def _channels(parts: Sequence[Spec]) -> tuple[Requirement, ...]:
    """The longest list; every other one must be its end, or it is not clear which comes first."""
    longest = max((p.channels for p in parts), key=len)
    whole = [c.text for c in longest]
    for part in parts:
        own = [c.text for c in part.channels]
        if own and own != whole[-len(own) :]:
            first = part.channels[0]
            listed = ", ".join(f"`{shown(c)}`" for c in whole)
            raise SpecError(
                f"these channels do not go with those of {longest[0].path}: {listed}",
                path=first.path,
                line=first.line,
                column=first.column,
                hint="give the files the same channels, or the end of that list",
            )
    return longest


def _entries(
    lists: Sequence[tuple[Requirement, ...]], name: Callable[[str], str], notes: list[Message]
) -> tuple[Requirement, ...]:
    """The entries of all lists, without those that a later list replaces."""
    merged: dict[str, list[Requirement]] = {}
    for listed in lists:
        own: dict[str, list[Requirement]] = {}
        for requirement in listed:
            own.setdefault(name(requirement.text), []).append(requirement)
        for package, new in own.items():
            kept = [r for old in merged.get(package, ()) if (r := _beside(old, new, notes))]
            merged[package] = [*kept, *new]
    return tuple(r for found in merged.values() for r in found)


def _beside(
    old: Requirement, new: Sequence[Requirement], notes: list[Message]
) -> Requirement | None:
    """What is left of an entry where later ones count; None where that is nothing."""
    everywhere = set(PLATFORMS)
    taken = {p for r in new for p in (r.platforms or everywhere)}
    left = tuple(p for p in (old.platforms or PLATFORMS) if p not in taken)
    if left == (old.platforms or PLATFORMS):
        return old
    if all(entries.normal(r.text) != entries.normal(old.text) for r in new):
        text = f"`{shown(new[0].text)}` stands in for `{shown(old.text)}` of {old.path}:{old.line}"
        notes.append(Message(Level.NOTE, text, new[0].path, new[0].line, new[0].column))
    return replace(old, platforms=left) if left else None


def _variables(parts: Sequence[Spec]) -> tuple[tuple[str, str], ...]:
    return tuple({name: value for p in parts for name, value in p.variables}.items())


# ---------------------------------------------------------------- as a file


def render(made: Spec, name: str, paths: Sequence[str]) -> str:
    """The merged spec as an environment file of its own, for people and other tools."""
    return "\n".join(_lines(made, name, paths)) + "\n"


def _lines(made: Spec, name: str, paths: Sequence[str]) -> Iterator[str]:
    yield f"# merged by {shown(made.path, longest=512)} from"
    yield from (f"#   {shown(path, longest=512)}" for path in paths)
    yield f"name: {_scalar(name)}"
    if made.description:
        yield f"description: {_scalar(made.description)}"
    yield from _list("channels", [c.text for c in made.channels])
    yield from _list("platforms", made.platforms)
    if made.variables:
        yield "variables:"
        yield from (f"  {name}: {_quoted(value)}" for name, value in made.variables)
    yield "dependencies:" if made.dependencies or made.pip else "dependencies: []"
    yield from _requirements(made.dependencies, "  ")
    if made.pip:
        yield "  - pip:"
        yield from _requirements(made.pip, "      ")


def _list(key: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f"{key}:"
        yield from (f"  - {_scalar(text)}" for text in texts)


def _requirements(found: Sequence[Requirement], indent: str) -> Iterator[str]:
    """Those of one file together, below its name."""
    for path in dict.fromkeys(r.path for r in found):
        yield f"{indent}# {shown(path, longest=512)}"
        for requirement in found:
            if requirement.path == path:
                yield f"{indent}- {_scalar(requirement.text)}{_selector(requirement)}"


def _selector(requirement: Requirement) -> str:
    return f"  # [{expression(requirement.platforms)}]" if requirement.platforms else ""


def _scalar(text: str) -> str:
    plain = PLAIN.fullmatch(text) and not NOT_PLAIN.search(text)
    return text if plain and text.lower() not in WORDS else _quoted(text)


def _quoted(text: str) -> str:
    """A double-quoted text; JSON is yaml but for some characters that yaml takes for lines."""
    plain = json.dumps(text, ensure_ascii=False)
    return ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)
