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
        proxy=_proxy(said.proxy, base) if said.proxy else None,
    )
    return login if said.session is None else replace(login, session=said.session)


def _oidc(said: sections.Oidc, base: Path) -> OidcSettings:
    given = said.model_dump(exclude={"client_secret_file"}, exclude_none=True)
    return OidcSettings(secret_file=_file(base, said.client_secret_file), **given)


def _hub(said: sections.Hub, base: Path) -> HubSettings:
    given = said.model_dump(exclude={"client_secret_file"}, exclude_none=True)
    return HubSettings(secret_file=_file(base, said.client_secret_file), **given)


def _proxy(said: sections.ProxyUser, base: Path) -> ProxyLogin:
    given = said.model_dump(exclude={"secret_file"}, exclude_none=True)
    file = _file(base, said.secret_file) if said.secret_file else None
    return ProxyLogin(secret_file=file, **given)


def _file(base: Path, text: str) -> Path:
    return Path(base, text).absolute()


def problems(config: sections.Config, base: Path) -> Iterator[Problem]:
    login = config.login or sections.Login()
    for key, said in (("oidc", login.oidc), ("jupyterhub", login.jupyterhub)):
        if said is not None:
            where = ("login", key, "client_secret_file")
            yield from _secret(_file(base, said.client_secret_file), where)
    if login.proxy is not None:
        yield from _of_proxy(login.proxy, base)
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


def _of_proxy(said: sections.ProxyUser, base: Path) -> Iterator[Problem]:
    made = _proxy(said, base)
    if made.secret_file is not None:
        yield from _secret(made.secret_file, ("login", "proxy", "secret_file"))
    elif made.trusts_this_machine:
        text = "whoever has an account on this machine could say to be anybody"
        hint = "let the proxy send a secret: name the file that holds it in `secret_file`"
        yield Problem(("login", "proxy"), text, hint)


def _secret(path: Path, where: tuple[str, ...]) -> Iterator[Problem]:
    # it is read when somebody signs in: until then it may come
    yield from (replace(p, level=Level.WARNING) for p in file_problems(path, where))
    if mode_of(path) & (stat.S_IROTH | stat.S_IWOTH):
        yield Problem(where, "everybody can read it", f"chmod 600 {path}")
