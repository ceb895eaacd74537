"""What people and tokens may do now: the config, what was granted here, and who they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envwatch import access
from envwatch.access import HOST, Identity, Visitor
from envwatch.catalog import Catalog
from envwatch.settings import Settings


@dataclass(frozen=True, slots=True)
class Rights:
    """`settings` are those in force."""

    catalog: Catalog
    settings: Callable[[], Settings]

    def anonymous(self) -> Visitor:
        return access.anonymous(self.settings().access)

    def of(self, identity: Identity) -> Visitor:
        """Somebody who is signed in."""
        settings = self.settings()
        granted = (b.binding for b in self.catalog.bindings.all())
        taken = (n.name for n in settings.namespaces)
        return access.visitor(identity, settings.access, granted, taken)

    def of_session(self, secret: str) -> Visitor | None:
        """Whose session it is; None where it has ended."""
        identity = self.catalog.people.of_session(secret)
        return self.of(identity) if identity else None

    def of_token(self, secret: str) -> Visitor | None:
        """Whose token it is, limited to what it is for; None where it is none, or no more."""
        token = self.catalog.tokens.find(secret)
        if token is None:
            return None
        owner = HOST
        if token.owner:
            identity = self.catalog.people.identity(token.owner)
            if identity is None:
                return None
            owner = self.of(identity)
        self.catalog.tokens.used(token)
        return access.limited(owner, token.grants, token.name)
