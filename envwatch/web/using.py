"""How somebody uses environments: what they paste once and what they type, with real paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import url_for

from envwatch import pasting
from envwatch.entries import package_name
from envwatch.kernels import kernel_names
from envwatch.model import ArtifactKind, EnvKey
from envwatch.pasting import Lines, Spaces
from envwatch.settings import PackageRules, Role, SourceKind
from envwatch.views import environments
from envwatch.web.context import site
from envwatch.web.parts import absolute
from envwatch.web.seeing import scope
from envwatch.web.visitor import visitor

MOST = 300  # that are offered to choose from


@dataclass(frozen=True, slots=True)
class UsedSpace:
    """A namespace as somebody sees it; `role` is the highest that they have in it."""

    name: str
    description: str
    role: str
    envs: str
    jupyter: str
    packages: PackageRules


@dataclass(frozen=True, slots=True)
class UsedEnvironment:
    """The one that the lines are for. `python` is empty where it has none."""

    key: EnvKey
    path: str
    python: str
    kernels: tuple[str, ...]
    source: str
    file: str


@dataclass(frozen=True, slots=True)
class UsePage:
    """`texts` are those to paste and to type, by name; `choices` are environments."""

    person: str
    spaces: tuple[UsedSpace, ...]
    environment: UsedEnvironment | None
    choices: tuple[EnvKey, ...]
    texts: Mapping[str, str]


def use_page(wanted: str) -> UsePage:
    """For whoever asks. One that is not seen counts as one that is not there."""
    context, who = site().context, visitor()
    published = environments.published(context.catalog.database, scope())
    chosen = next((k for k in published if str(k) == wanted), None)
    chosen = chosen or next((k for k in published if k.namespace == who.name), None)
    chosen = chosen or next(iter(published), None)
    env = _environment(chosen) if chosen else None
    spaces = tuple(_space(name) for name in _names())
    texts = _texts(tuple(s.name for s in spaces), env)
    return UsePage(who.name, spaces, env, published[:MOST], texts)


def of_use(it: UsePage) -> dict[str, object]:
    """What only the page shows: where it leads on."""
    who, settings = visitor(), site().context.settings
    takes = [s for s in settings.sources if s.takes_edits and who.signed_in]
    env = it.environment
    here = env is not None and env.source in {s.name for s in takes}
    return {
        "may_edit": env is not None and here and who.may(Role.DEVELOPER, env.key),
        "may_make": any(who.may_all(Role.DEVELOPER, s.namespace) for s in takes),
        "rules": [s for s in it.spaces if s.packages != PackageRules()],
        "dask": sorted({r for s in it.spaces for r in s.packages.constrained if _is_dask(r)}),
    }


def _is_dask(requirement: str) -> bool:
    name = package_name(requirement)
    return "dask" in name or name == "distributed"


def _names() -> tuple[str, ...]:
    """Namespaces with something that is seen, and those that are empty yet and seen as a whole."""
    context = site().context
    used = {n.name for n in environments.namespaces(context.catalog.database, scope())}
    return tuple(sorted(used | {n for n in context.settings.declared if scope().whole(n)}))


def _space(name: str) -> UsedSpace:
    settings = site().context.settings
    said, spaces = settings.namespace(name), Spaces(settings.root, (name,))
    role = visitor().role_in(name)
    return UsedSpace(
        name,
        said.description,
        role.value if role else "",
        str(settings.root / "envs" / name),
        spaces.jupyter_path,
        said.packages,
    )


def _environment(key: EnvKey) -> UsedEnvironment:
    context = site().context
    env = context.catalog.generations.environment(key)
    generation = context.catalog.generations.get(key, env.current or 0)
    return UsedEnvironment(
        key,
        str(context.settings.root / "envs" / key.namespace / key.label),
        generation.python,
        kernel_names(key, generation.kernels),
        env.source,
        env.path,
    )


def _texts(names: tuple[str, ...], env: UsedEnvironment | None) -> Mapping[str, str]:
    settings = site().context.settings
    lines = Lines(settings.root, env.key) if env else None
    python = env is not None and env.python != ""
    found = pasting.texts(Spaces(settings.root, names), lines, python=python)
    if clones := pasting.clones(settings.web.address, _repositories()):
        found["clone"] = clones
    if env is not None:
        public = site().rights.anonymous().may(Role.VIEWER, env.key)
        found["download"] = pasting.download(_lock_url(env.key), public=public)
        found |= pasting.elsewhere(settings.web.address, env.key, python=python)
    return found


def _repositories() -> list[str]:
    """Namespaces whose files are kept here, and are this person's to change."""
    sources, who = site().context.settings.sources, visitor()
    kept = {s.namespace for s in sources if s.kind is SourceKind.MANAGED}
    return sorted(n for n in kept if who.may_all(Role.DEVELOPER, n))


def _lock_url(key: EnvKey) -> str:
    view, lock = "downloads.of_current", ArtifactKind.LOCK.value
    return absolute(url_for(view, namespace=key.namespace, name=key.name, file=lock))
