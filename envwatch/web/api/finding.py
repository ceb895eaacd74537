"""What an address names, for whom asks: what may not be seen is not there, in the same words."""

from __future__ import annotations

from collections.abc import Iterable

from envwatch.catalog.records import BuildRecord, EnvironmentRecord, GenerationRecord
from envwatch.errors import Conflict, NotFound
from envwatch.model import EnvKey
from envwatch.settings import Role
from envwatch.views import listing
from envwatch.web.actions import Actions
from envwatch.web.api import shapes
from envwatch.web.context import site
from envwatch.web.seeing import sees
from envwatch.web.visitor import hidden, need, visitor


def environment(
    namespace: str, name: str, role: Role = Role.VIEWER, *, retired: bool = False
) -> EnvironmentRecord:
    """Raises NotFound, Unknown, Forbidden."""
    key = EnvKey(namespace, name)
    who = need(Role.VIEWER, key)
    if not sees(key):
        raise hidden(who, f"there is no environment `{key}`")
    need(role, key)
    try:
        env = site().context.catalog.generations.environment(key)
    except NotFound:
        raise hidden(who, f"there is no environment `{key}`") from None
    if env.retired_at is not None and not retired:
        raise hidden(who, f"there is no environment `{key}`")
    return env


def build(build_id: int, role: Role = Role.VIEWER) -> BuildRecord:
    who, text = visitor(), f"there is no build `{build_id}`"
    try:
        found = site().context.catalog.builds.get(build_id)
    except NotFound:
        raise hidden(who, text) from None
    if not sees(found.key):
        raise hidden(who, text)
    need(role, found.key)
    return found


def generation(namespace: str, name: str, number: int, role: Role) -> GenerationRecord:
    env = environment(namespace, name, role, retired=True)
    return site().context.catalog.generations.get(env.key, number)


def actions() -> Actions:
    found = site().context.actions
    if found is None:
        raise Conflict("this server only reads")
    return found


def author() -> str:
    """Who asks, as commits and histories name them."""
    who = visitor()
    return who.name if not who.token else f"{who.name} by the token {who.token}"


def audit(action: str, key: EnvKey | None = None, detail: str = "") -> None:
    site().context.catalog.audits.note(visitor(), action, key, detail[:2000])


def shaped(records: Iterable[BuildRecord], *, spec: bool = True) -> tuple[shapes.Build, ...]:
    found = listing.looked(site().context.catalog.database, tuple(records))
    return tuple(shapes.build(f, spec=spec) for f in found)
