"""Who asks: by a token, a session, a proxy that has signed them in, or nobody in particular."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request

from envwatch.access import Visitor
from envwatch.errors import EnvwatchError, Forbidden, NotFound, Unknown
from envwatch.model import EnvKey
from envwatch.settings import EVERYWHERE, Role
from envwatch.web import cookies
from envwatch.web.arriving import arrived
from envwatch.web.context import site
from envwatch.web.proxied import of_proxy
from envwatch.web.tokens import secret_of, unknown


def visitor() -> Visitor:
    """Whoever sent this request. Raises Unknown, Busy where a token is given that is none."""
    if "visitor" not in g:
        g.visitor = _found()
    found: Visitor = g.visitor
    return found


def whoever() -> Visitor:
    """The same for what is shown to everybody: who sends a wrong token is nobody."""
    try:
        return visitor()
    except EnvwatchError:
        return site().rights.anonymous()


def need(role: Role, key: EnvKey) -> Visitor:
    """Whoever asks, who may do this. Raises NotFound, Unknown, Forbidden.

    Somebody who may not even see it is told that there is no such thing.
    """
    who = visitor()
    if who.may(role, key):
        return who
    if not who.may(Role.VIEWER, key):
        raise hidden(who, f"there is no environment `{key}`")
    raise refused(who, role, str(key))


def need_all(role: Role, namespace: str) -> Visitor:
    """… for a whole namespace."""
    who = visitor()
    if who.may_all(role, namespace):
        return who
    if not who.may_some(Role.VIEWER, namespace):
        raise hidden(who, f"there is no namespace `{namespace}`")
    raise refused(who, role, namespace)


def changes(who: Visitor) -> Callable[[EnvKey], bool]:
    """Which environments somebody may change."""
    return lambda key: who.may(Role.DEVELOPER, key)


def hidden(who: Visitor, text: str) -> NotFound:
    """The same words as for what is not there at all."""
    public = who.signed_in or any(g.pattern == EVERYWHERE for g in who.grants)
    return NotFound(text, hint="" if public else "sign in to see what is not public")


def refused(who: Visitor, role: Role, place: str) -> Forbidden | Unknown:
    if not who.signed_in:
        article = "an" if role is Role.ADMIN else "a"
        return Unknown(f"this needs {article} {role} of `{place}`", hint="sign in, or send a token")
    name = f"the token `{who.token}`" if who.token else f"`{who.name}`"
    hint = f"an admin of `{place.partition('/')[0]}` may grant it"
    return Forbidden(f"{name} is no {role} of `{place}`", hint=hint)


def _found() -> Visitor:
    rights, settings = site().rights, site().context.settings
    secret = secret_of(request.headers.get("Authorization", ""))
    if secret:
        found = rights.of_token(secret)
        if found is None:
            raise unknown(site().failures, request, given=True)
        return found
    cookie = cookies.read(cookies.SESSION)
    of_session = rights.of_session(cookie) if cookie else None
    if of_session is not None:
        return of_session
    identity = of_proxy(settings.login.proxy) if settings.login.proxy else None
    if identity is not None:
        arrived(identity, "proxy")
        return rights.of(identity)
    return rights.anonymous()
