"""Those who sign people in: one protocol, a module for each kind, loaded where it is configured."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from envwatch.errors import ConfigError
from envwatch.settings import LoginSettings, Network
from envwatch.signin.attempt import Attempt, Provider, Returned

__all__ = ["Attempt", "Provider", "Returned", "open_providers"]


def open_providers(login: LoginSettings, network: Network) -> tuple[Provider, ...]:
    """Raises ConfigError where what one needs is not installed. Nobody is asked anything yet."""
    said = ((login.oidc, "oidc"), (login.jupyterhub, "jupyterhub"))
    return tuple(_open(settings, name, network) for settings, name in said if settings)


def _open(settings: Any, name: str, network: Network) -> Provider:
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as e:
        if (e.name or "").partition(".")[0] == "envwatch":
            raise
        raise ConfigError(
            f"login.{name}: the package `{e.name}` is not installed",
            hint=f"install `envwatch[{name}]`",
        ) from e
    provider: Provider = module.open_provider(settings, network)
    return provider
