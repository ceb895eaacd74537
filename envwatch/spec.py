"""An environment file's text → `Spec`, with a digest that knows what matters in it.

The digest ignores comments, spaces, names, and the order of everything but the channels.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import PurePosixPath

from envwatch import entries
from envwatch.errors import SpecError
from envwatch.model import Level, Message, Requirement, Spec
from envwatch.sections import KEYS, Found, Sections, described
from envwatch.yamltext import Kind, Node, load, shown

# keys that tell another tool's file with `dependencies`: a Helm chart, an Ansible role, a Dart
# package, a Kubernetes object
FOREIGN = ("apiVersion", "galaxy_info", "dev_dependencies", "kind")
LOOKS_LIKE_ONE = re.compile(
    rb"^[\"']?dependencies[\"']?[ \t]*:|[{,][ \t]*dependencies[ \t]*:", re.M
)
OWN_NAME = re.compile(r"environment([._-].*)?\.ya?ml", re.IGNORECASE)
OVERRIDE = "CONDA_OVERRIDE_"

valid_name = entries.valid_name


def parse(data: bytes, *, path: str, known: bool = False) -> Spec | None:
    """The environment in a file; None where the file is other yaml. Raises the first SpecError.

    `known` says that the file was an environment before: then it cannot be other yaml now.
    """
    found = Found(path)
    root = _root(data, found, known)
    spec = None if root is None else _spec(root, found)
    errors = [m for m in found.messages if m.level is Level.ERROR]
    if errors:
        first = min(errors, key=_position)
        place = {"line": first.line, "column": first.column}
        raise SpecError(first.text, path=path, hint=first.hint, **place)
    return spec


def check(data: bytes, *, path: str) -> tuple[Message, ...]:
    """All that there is to say about a file, in its order; without an error it can be built."""
    found = Found(path)
    root = _root(data, found, known=False)
    if root is not None:
        spec = _spec(root, found)
        _check_default_name(spec, found)
    elif not found.messages:
        found.say(Level.NOTE, None, "not an environment: it has no `dependencies`")
    return tuple(sorted(found.messages, key=_position))


def _check_default_name(spec: Spec, found: Found) -> None:
    try:
        if not spec.name:
            default_name(spec.path, "fallback")
    except SpecError as e:
        found.refuse(e)


def default_name(path: str, fallback: str) -> str:
    """The name of an environment whose file gives none: that of its file or folder."""
    file = PurePosixPath(path)
    general = file.stem.lower() == "environment"
    name = (file.parent.name or fallback) if general else file.stem
    if not valid_name(name):
        hint = "give the file a `name:`"
        problem = f"`{shown(name)}`, from its path, cannot be the name of an environment"
        raise SpecError(problem, path=path, hint=hint)
    return name


def on(spec: Spec, platform: str) -> tuple[Requirement, ...]:
    """The conda dependencies that hold on one platform."""
    return _kept(spec.dependencies, platform)


def pip_on(spec: Spec, platform: str) -> tuple[Requirement, ...]:
    """The pip requirements that hold on one platform."""
    return _kept(spec.pip, platform)


def _kept(requirements: tuple[Requirement, ...], platform: str) -> tuple[Requirement, ...]:
    return tuple(r for r in requirements if not r.platforms or platform in r.platforms)


def virtual_overrides(spec: Spec, platform: str) -> tuple[tuple[str, str], ...]:
    """What is said of virtual packages: `(("__cuda", "12.4"),)`.

    First what an `envwatch.yml` says, then variables such as `CONDA_OVERRIDE_CUDA: "12.4"`.
    """
    said = [r.text.partition("=") for r in _kept(spec.virtual_packages, platform)]
    return (
        *((name, value) for name, _, value in said),
        *(
            (f"__{name.removeprefix(OVERRIDE).lower()}", value.strip())
            for name, value in spec.variables
            if name.startswith(OVERRIDE)
        ),
    )


# ---------------------------------------------------------------- reading


def _position(message: Message) -> tuple[int, int]:
    return (message.line, message.column)


def _root(data: bytes, found: Found, known: bool) -> Node | None:
    """The mapping of an environment file; None where it is no environment or was refused."""
    claims = known or OWN_NAME.fullmatch(PurePosixPath(found.path).name) is not None
    try:
        root = load(data, path=found.path)
    except SpecError as e:
        if claims or not data.strip() or LOOKS_LIKE_ONE.search(data):
            found.refuse(e)
        return None
    # other programs have files of this name too, with keys of their own
    foreign = root.kind is Kind.MAPPING and not any(root.get(key) for key in KEYS)
    return root if _is_environment(root, found, known or (claims and not foreign)) else None


def _is_environment(root: Node, found: Found, claims: bool) -> bool:
    """A mapping with `dependencies`; what nearly is one, or is called so, is refused."""
    if root.get("dependencies") is not None:
        return claims or not any(root.get(key) for key in FOREIGN)
    for key, value in root.entries:
        listed = value.kind is Kind.SEQUENCE or value.null
        if listed and entries.nearest(key.text, ["dependencies"], cutoff=0.85):
            hint = "did you mean `dependencies`?"
            found.error(key, f"the key `{shown(key.text)}` is not known", hint)
            return False
    if claims:
        hint = "it has no `dependencies`" if root.entries else f"it is {described(root)}"
        found.error(root, "not an environment", hint)
    return False


def _spec(root: Node, found: Found) -> Spec:
    sections = Sections(root, found)
    dependencies, pip = sections.dependencies()
    spec = Spec(
        name=sections.name(),
        channels=sections.channels(),
        dependencies=dependencies,
        pip=pip,
        variables=sections.variables(),
        platforms=sections.platforms(),
        description=sections.description(),
        digest="",
        path=found.path,
    )
    sections.other_keys()
    messages = tuple(sorted(found.messages, key=_position))
    return replace(spec, digest=digest_of(spec), messages=messages)


def digest_of(spec: Spec) -> str:
    """The identity of what a spec asks for, wherever it stands."""
    identity: dict[str, object] = {
        "channels": [c.text for c in spec.channels],
        "dependencies": sorted([entries.normal(d.text), *d.platforms] for d in spec.dependencies),
        "pip": sorted([entries.normal_pip(p.text), *p.platforms] for p in spec.pip),
        "variables": sorted(spec.variables),
        "platforms": sorted(set(spec.platforms)),
    }
    if spec.virtual_packages:
        said = sorted([v.text, *v.platforms] for v in spec.virtual_packages)
        identity["virtual_packages"] = said
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
