"""Claims → an identity. What is odd gives nothing, and an odd name is no name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envwatch.access import Identity, person_name, read_grants
from envwatch.errors import SigninRefused
from envwatch.settings import OidcSettings

MOST_GROUPS = 2000
LONGEST = 255


def identity_of(claims: Mapping[str, Any], said: OidcSettings) -> Identity:
    """Raises SigninRefused."""
    name = claim(claims, said.name_claim)
    if not isinstance(name, str) or not person_name(name):
        hint = "`login.oidc.name_claim` names the claim"
        what = "is missing" if name is None else "is not a name"
        raise SigninRefused(f"the claim `{said.name_claim}` {what}", hint=hint)
    if said.name_claim == "email" and claims.get("email_verified") is not True:
        raise SigninRefused("the claim `email` is not verified", hint="whoever writes it is it")
    groups = (*words(claim(claims, said.groups_claim)), *words(claim(claims, said.roles_claim)))
    grants = read_grants(",".join(words(claim(claims, said.grants_claim))))
    return Identity(person_name(name), tuple(dict.fromkeys(groups))[:MOST_GROUPS], grants)


def missing(claims: Mapping[str, Any], said: OidcSettings) -> bool:
    """Is there something to ask for that was not told yet?"""
    wanted = (said.name_claim, said.groups_claim, said.roles_claim, said.grants_claim)
    return any(path and claim(claims, path) is None for path in wanted)


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of this very name, else by the path `a.b`: names may be URLs with dots."""
    if not path:
        return None
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def words(found: Any) -> tuple[str, ...]:
    """The strings of a list, or the one; anything else is none."""
    listed = found if isinstance(found, list) else [found]
    return tuple(w for w in listed if isinstance(w, str) and is_word(w))


def is_word(text: str) -> bool:
    return bool(text.strip()) and len(text) <= LONGEST and text.isprintable()
