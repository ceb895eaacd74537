"""What `envwatch doctor` finds of those who sign people in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

from envwatch.cli.machine import Finding, Verdict
from envwatch.errors import ConfigError, SigninError
from envwatch.settings import LoginSettings, Network, Settings
from envwatch.signin import open_providers

LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))


def logins(settings: Settings) -> Iterator[Finding]:
    """Can each be reached, and do they know what they must?"""
    said = settings.login
    if said.oidc:
        yield _asked("login by OIDC", LoginSettings(oidc=said.oidc), settings.network)
    if said.jupyterhub:
        only = replace(said, oidc=None, proxy=None)
        yield _asked("login by JupyterHub", only, settings.network)
    if said.proxy:
        yield _proxied(said.proxy.trusted)


def _asked(subject: str, login: LoginSettings, network: Network) -> Finding:
    try:
        (provider,) = open_providers(login, network)
        return Finding(subject, Verdict.OK, provider.check())
    except (ConfigError, SigninError) as e:
        return Finding(subject, Verdict.FAIL, e.message, e.hint)


def _proxied(trusted: tuple[str, ...]) -> Finding:
    networks = [ip_network(t, strict=False) for t in trusted]
    if any(address in network for network in networks for address in LOOPBACK):
        text = "whoever has an account on this machine can say to be anybody"
        hint = "if others have one: let the proxy ask from an address of its own, and trust that"
        return Finding("login by proxy", Verdict.WARN, text, hint)
    return Finding("login by proxy", Verdict.OK, f"from {', '.join(trusted)}")
