"""What whoever asks may see of that which an address names; the rest is as if it were not there."""

from __future__ import annotations

from flask import g, request

from envwatch.catalog.records import BuildRecord
from envwatch.errors import NotFound
from envwatch.model import EnvKey
from envwatch.settings import Role
from envwatch.views import environments
from envwatch.views.scope import EVERYTHING, Scope, has_environment, scope_of
from envwatch.views.scope import seen_sources as sources_of
from envwatch.web.context import site
from envwatch.web.visitor import hidden, need, refused, visitor


def scope() -> Scope:
    """Raises Unknown, Busy."""
    if "scope" not in g:
        g.scope = scope_of(visitor().grants)
    found: Scope = g.scope
    return found


def seen(namespace: str, name: str) -> EnvKey:
    """An environment that may be seen, if there is one. Raises NotFound."""
    key = EnvKey(namespace, name)
    who = need(Role.VIEWER, key)
    if not sees(key):
        raise hidden(who, f"there is no environment `{key}`")
    return key


def sees(key: EnvKey) -> bool:
    """May whoever asks see it, if there is one?"""
    if not scope().partial:
        return visitor().may(Role.VIEWER, key)
    # it may be a preview of what is not seen
    with site().context.catalog.database.read() as c:
        return has_environment(c, key, scope())


def seen_if_there(key: EnvKey) -> None:
    """For what may be new. Raises NotFound where it is there, or would be, and may not be seen."""
    free = visitor().may(Role.VIEWER, key)
    if free and scope().partial:
        with site().context.catalog.database.read() as c:
            free = has_environment(c, key, scope()) or not has_environment(c, key, EVERYTHING)
    if not free:
        raise hidden(visitor(), f"there is no environment `{key}`")


def seen_sources() -> frozenset[str]:
    """The names of the sources that whoever asks may see."""
    with site().context.catalog.database.read() as c:
        return sources_of(c, scope())


def seen_namespace(name: str) -> None:
    """Declared and seen as a whole, or with an environment that is seen. Raises NotFound."""
    # the one of whoever asks may be made by this very question
    context, whole = site().context, scope().whole(name)
    if whole and name in context.settings.declared:
        return
    if not environments.has_namespace(context.catalog.database, name, scope()):
        raise hidden(visitor(), f"there is no namespace `{name}`")


def seen_build(key: EnvKey, build_id: int) -> BuildRecord:
    """A build of just this environment: those of others answer as if they were not. NotFound."""
    try:
        found = site().context.catalog.builds.get(build_id)
    except NotFound:
        found = None
    if found is None or found.key != key:
        raise NotFound(f"{key}: there is no build `{build_id}`")
    return found


def need_everything() -> None:
    """For what tells of all namespaces at once. Raises NotFound."""
    if not scope().everything:
        raise hidden(visitor(), f"`{request.path}`: not found")


def workplaces() -> list[str]:
    """The namespaces that somebody knows of, and in which they are developer of anything."""
    return [n for n in _known() if visitor().may_some(Role.DEVELOPER, n)]


def need_workplace(namespace: str) -> None:
    """Raises NotFound, Unknown, Forbidden.

    A pattern like `*/stats` fits every word: only what is there, and told of, is a namespace.
    """
    known = _known()
    if namespace not in known:
        raise hidden(visitor(), f"there is no namespace `{namespace}`")
    if not visitor().may_some(Role.DEVELOPER, namespace):
        raise refused(visitor(), Role.DEVELOPER, namespace)


def _known() -> list[str]:
    context, who = site().context, visitor()
    declared = context.settings.declared
    seen = {n.name for n in environments.namespaces(context.catalog.database, scope())}
    return sorted(seen | {n for n in declared if who.is_told_of(n)})
