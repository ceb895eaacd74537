"""Namespaces that are made while the daemon runs: a managed repository for each."""

from __future__ import annotations

from dataclasses import replace

from envwatch.catalog import Catalog
from envwatch.errors import Conflict
from envwatch.settings import Settings, SourceKind, SourceSettings
from envwatch.spec import valid_name

RESERVED = ("envs",)


def with_made(settings: Settings, catalog: Catalog) -> Settings:
    """The config, and what was made beside it. Where both name a namespace, the config counts."""
    taken = {s.namespace for s in settings.sources}
    names = {s.name for s in settings.sources}
    made = tuple(
        _managed(n.name, settings, names) for n in catalog.namespaces.all() if n.name not in taken
    )
    return replace(settings, sources=(*settings.sources, *made))


def check_free(name: str, settings: Settings) -> None:
    """Raises Conflict where no namespace can be called so, or one is."""
    if not valid_name(name):
        hint = "letters, digits, `.`, `_` and `-`; at most 64, the first a letter or digit"
        raise Conflict(f"{name[:80]!a} cannot be the name of a namespace", hint=hint)
    if name.casefold() in RESERVED:
        raise Conflict(f"`{name}` is no namespace that can be made")
    # two that differ in case alone would be one to the eye, and on some filesystems
    same = next((n for n in settings.declared if n.casefold() == name.casefold()), None)
    if same is not None:
        raise Conflict(f"there is a namespace `{same}` already")


def _managed(name: str, settings: Settings, names: set[str]) -> SourceSettings:
    return SourceSettings(
        name=name if name not in names else f"{name}@here",
        kind=SourceKind.MANAGED,
        namespace=name,
        url=str(settings.root / "managed" / f"{name}.git"),
        branch="main",
    )
