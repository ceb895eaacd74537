"""What pages that change something share: whether somebody may, and the means to do it."""

from __future__ import annotations

from typing import Any

from envwatch.catalog.records import EnvironmentRecord
from envwatch.errors import Conflict
from envwatch.settings import Role
from envwatch.web.actions import Actions
from envwatch.web.context import site
from envwatch.web.seeing import seen
from envwatch.web.visitor import need, refused, visitor

PAGE: dict[str, Any] = {"form": "page"}


def changeable(namespace: str, name: str) -> EnvironmentRecord:
    """An environment that may be changed. Raises NotFound, Unknown, Forbidden."""
    key = seen(namespace, name)
    need(Role.DEVELOPER, key)
    return site().context.catalog.generations.environment(key)


def actions() -> Actions:
    """Raises Unknown, Forbidden for who is nobody, Conflict where nothing can be done."""
    who, found = visitor(), site().context.actions
    if not who.signed_in:
        raise refused(who, Role.DEVELOPER, "this place")
    if found is None:
        raise Conflict("nothing can be changed here")
    return found
