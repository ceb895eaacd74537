"""A real JupyterHub in which anybody may sign in, and of which envwatch is a service."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import node_programs
import pytest

from envwatch.settings import HubSettings

SECRET = "0123456789abcdef0123456789abcdef"
CLIENT = "service-envwatch"
PROXY = "node_modules/configurable-http-proxy/bin/configurable-http-proxy"

CONFIG = """
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = ["node", {proxy!r}]
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.load_groups = {{"staff": {{"users": ["ada"]}}}}
c.JupyterHub.services = [
    {{
        "name": "envwatch",
        "api_token": {secret!r},
        "oauth_client_id": {client!r},
        "oauth_redirect_uri": {back!r},
        "oauth_no_confirm": True,
    }}
]
c.JupyterHub.load_roles = [
    {{"name": "user", "scopes": ["self", "access:services!service=envwatch"]}},
]
{more}
"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@dataclass(frozen=True)
class Hub:
    """Where it is, or will be; its folder holds its config and the secret of the service."""

    folder: Path
    node: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/base"

    @property
    def settings(self) -> HubSettings:
        return HubSettings(self.url, CLIENT, self.folder / "secret")

    @contextmanager
    def running(self, back: str, more: str = "") -> Iterator[None]:
        """`back` is where people return to at envwatch, `more` is further config."""
        port, api = free_ports(2)
        values = {"url": self.url, "port": port, "api": api, "proxy": str(self.node / PROXY)}
        values |= {"secret": SECRET, "client": CLIENT, "back": back, "more": more}
        config = self.folder / "jupyterhub_config.py"
        config.write_text(CONFIG.format(**values))
        command = (sys.executable, "-m", "jupyterhub", "-f", config)
        with node_programs.program(*command, url=f"{self.url}/hub/api/", cwd=self.folder):
            yield


def make_hub(folder: Path, factory: pytest.TempPathFactory) -> Hub:
    node = node_programs.installed(factory)
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    return Hub(folder, node, free_ports(1)[0])
