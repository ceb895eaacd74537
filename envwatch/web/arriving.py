"""Somebody has signed in: it is noted, and the namespace of their own is made."""

from __future__ import annotations

import logging

from envwatch.access import Identity, Visitor
from envwatch.errors import EnvwatchError
from envwatch.model import EnvKey
from envwatch.web.context import site

logger = logging.getLogger(__name__)


def arrived(identity: Identity, by: str) -> None:
    """`by` is who said who they are: oidc, jupyterhub, proxy."""
    if not site().context.catalog.people.seen(identity, by):
        return
    try:
        _make_own(identity.name)
    except (EnvwatchError, OSError) as e:
        # they are signed in all the same; it is tried again when they come the next time
        logger.warning("the namespace of `%s` was not made: %s", identity.name, e)


def _make_own(name: str) -> None:
    own, actions = site().rights.own_namespace(name), site().context.actions
    if own and actions is not None and actions.make_own_namespace(own):
        logger.info("the namespace of `%s` was made", name)
        site().rights.note(Visitor(name), "create namespace", "their own", EnvKey(own, ""))
