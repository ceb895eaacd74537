"""How channels are reached: one client for solving and for downloading."""

from __future__ import annotations

import json
import os

from rattler import Client, Config

from envwatch.redact import redact
from envwatch.settings import Network


def client(network: Network) -> Client:
    """The one client for channels: mirrors, proxy, certificates, credentials, retries.

    The certificates go through this process's environment: rattler knows no other way.
    """
    if network.ca_file:
        os.environ["SSL_CERT_FILE"] = str(network.ca_file)
    return Client.from_config(
        config(network),
        max_retries=network.retries,
        user_agent="envwatch",
        timeout=network.timeout,
    )


def config(network: Network) -> Config:
    """The same settings as rattler's own config, for calls that take one."""
    # a JSON text or list is a TOML one too
    lines = [f'tls-root-certs = "{"system" if network.ca_file else "webpki"}"']
    if network.auth_file:
        lines.append(f"authentication-override-file = {json.dumps(str(network.auth_file))}")
    if network.mirrors:
        lines.append("[mirrors]")
        lines += [f"{json.dumps(url)} = {json.dumps(list(to))}" for url, to in network.mirrors]
    if network.proxy:
        proxy = json.dumps(network.proxy)
        lines += ["[proxy-config]", f"http = {proxy}", f"https = {proxy}"]
    return Config.from_toml("\n".join(lines))


def mask(url: str) -> str:
    """An address as it may be shown."""
    return redact(url.partition("?")[0])
