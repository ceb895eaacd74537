"""Names for the completion of a shell: quick, and silent where they cannot be had."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from envwatch.cli.context import Options
from envwatch.cli.settings import settings_of

PATIENCE = 2.0  # seconds that somebody who types waits for a server


def environments(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """`namespace/name`, as far as one may see them."""
    return _beginning(begun, ("/".join(pair) for pair in _found(ctx)))


def namespaces(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    return _beginning(begun, (namespace for namespace, _ in _found(ctx)))


def _beginning(begun: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(n) for n in sorted(set(names)) if n.startswith(begun)]


def _found(ctx: click.Context) -> list[tuple[str, str]]:
    given = ctx.find_root().params
    here = bool(given.get("config") or given.get("root"))
    options = Options(given.get("config"), given.get("root"), given.get("url"), here)
    try:
        return _there(options.server) if options.server else _here(options)
    except Exception:  # noqa: BLE001  # whoever types must not be shown a fault
        return []


def _here(options: Options) -> list[tuple[str, str]]:
    """Of the links, which everybody may read; the catalog is the owner's."""
    links = (settings_of(options).root / "envs").glob("*/*")
    pairs = ((link.parent.name, link.name) for link in links)
    return [(ns, label.removeprefix(f"{ns}-")) for ns, label in pairs if label.startswith(f"{ns}-")]


def _there(url: str) -> list[tuple[str, str]]:
    # loaded by name: most commands have no use for what speaks to a server
    server = import_module("envwatch.cli.remote").open_server(url)
    found = server.api("GET", "/environment/", patience=PATIENCE)
    return [(str(e["namespace"]["name"]), str(e["name"])) for e in found]
