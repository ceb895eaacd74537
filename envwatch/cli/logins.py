"""What `envwatch doctor` finds of those who sign people in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from envwatch.cli.machine import Finding, Verdict
from envwatch.errors import ConfigError, SigninError
from envwatch.settings import LoginSettings, Network, ProxyLogin, Settings
from envwatch.signin import open_providers
from envwatch.signin.secret import read_secret


def logins(settings: Settings) -> Iterator[Finding]:
    """Can each be reached, and do they know what they must?"""
    said = settings.login
    if said.oidc:
        yield _asked("login by OIDC", LoginSettings(oidc=said.oidc), settings.network)
    if said.jupyterhub:
        only = replace(said, oidc=None, proxy=None)
        yield _asked("login by JupyterHub", only, settings.network)
    if said.proxy:
        yield _proxied(said.proxy)


def _asked(subject: str, login: LoginSettings, network: Network) -> Finding:
    try:
        (provider,) = open_providers(login, network)
        return Finding(subject, Verdict.OK, provider.check())
    except (ConfigError, SigninError) as e:
        return Finding(subject, Verdict.FAIL, e.message, e.hint)


def _proxied(said: ProxyLogin) -> Finding:
    subject, places = "login by proxy", ", ".join(said.trusted)
    if said.secret_file is None:
        where = "on this machine" if said.trusts_this_machine else f"at {places}"
        text = f"whoever has an account {where} can say to be anybody"
        hint = "let the proxy send a secret as well: `login.proxy.secret_file`"
        return Finding(subject, Verdict.WARN, text, hint)
    try:
        read_secret(said.secret_file)
    except SigninError as e:
        return Finding(subject, Verdict.FAIL, e.message, e.hint)
    return Finding(subject, Verdict.OK, f"from {places}, with a secret")
