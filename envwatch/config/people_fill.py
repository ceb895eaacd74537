"""`access` and `login` of the config → settings, and what must hold for them."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from envwatch.config import sections
from envwatch.config.problem import Problem, file_problems, mode_of
from envwatch.config.words import is_loopback, split_listen
from envwatch.model import Level
from envwatch.settings import (
    EVERYWHERE,
    AccessSettings,
    Binding,
    Grant,
    HubSettings,
    LoginSettings,
    OidcSettings,
    ProxyLogin,
    Role,
    WebSettings,
)

OPEN = (Grant(EVERYWHERE, Role.VIEWER),)


def access_of(config: sections.Config) -> AccessSettings:
    said = config.access or sections.Access()
    bindings = tuple(
        Binding(Grant(pattern, Role(entry.role)), entry.users or (), entry.groups or ())
        for entry in said.grants or ()
        for pattern in entry.namespaces
    )
    private = OPEN if is_private(config) else ()
    return AccessSettings(
        anonymous=private if said.anonymous is None else _grants(said.anonymous),
        signed_in=_grants(said.signed_in or {}),
        own_namespace=said.own_namespace is not False,
        bindings=bindings,
    )


def is_private(config: sections.Config) -> bool:
    """Can only somebody on this machine ask, and nobody sign in?"""
    web = config.web or sections.Web()
    host = split_listen(web.listen)[0] if web.listen else WebSettings().host
    return is_loopback(host) and not web.url and not login_of(config, Path()).possible


def _grants(said: Mapping[str, str]) -> tuple[Grant, ...]:
    return tuple(Grant(pattern, Role(role)) for pattern, role in said.items())


def login_of(config: sections.Config, base: Path) -> LoginSettings:
    said = config.login or sections.Login()
    login = LoginSettings(
        oidc=_oidc(said.oidc, base) if said.oidc else None,
        jupyterhub=_hub(said.jupyterhub, base) if said.jupyterhub else None,
        proxy=_proxy(said.proxy) if said.proxy else None,
    )
    return login if said.session is None else replace(login, session=said.session)


def _oidc(said: sections.Oidc, base: Path) -> OidcSettings:
    given = said.model_dump(exclude={"client_secret_file"}, exclude_none=True)
    return OidcSettings(secret_file=_file(base, said.client_secret_file), **given)


def _hub(said: sections.Hub, base: Path) -> HubSettings:
    given = said.model_dump(exclude={"client_secret_file"}, exclude_none=True)
    return HubSettings(secret_file=_file(base, said.client_secret_file), **given)


def _proxy(said: sections.ProxyUser) -> ProxyLogin:
    return ProxyLogin(**said.model_dump(exclude_none=True))


def _file(base: Path, text: str) -> Path:
    return Path(base, text).absolute()


def problems(config: sections.Config, base: Path) -> Iterator[Problem]:
    login = config.login or sections.Login()
    for key in ("oidc", "jupyterhub"):
        said = getattr(login, key)
        if said is not None:
            where = ("login", key, "client_secret_file")
            path = _file(base, said.client_secret_file)
            # it is read when somebody signs in: until then it may come
            yield from (replace(p, level=Level.WARNING) for p in file_problems(path, where))
            if mode_of(path) & (stat.S_IROTH | stat.S_IWOTH):
                yield Problem(where, "everybody can read it", f"chmod 600 {path}")
    if (login.oidc or login.jupyterhub) and not (config.web and config.web.url):
        text = "people are sent back to an address that only this machine reaches"
        yield Problem(("login",), text, "say in `web.url` what they see", Level.WARNING)
    for index, entry in enumerate((config.access and config.access.grants) or ()):
        if not entry.users and not entry.groups:
            yield Problem(("access", "grants", index), "is for nobody", "name `users` or `groups`")
    made = access_of(config)
    if not (made.anonymous or made.signed_in or made.bindings or is_private(config)):
        text = "nobody may see anything: others than this machine can ask"
        hint = 'say who may, for example `access: {anonymous: {"*": viewer}}`'
        yield Problem(("web",), text, hint, Level.WARNING)
