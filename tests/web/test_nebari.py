"""What Nebari's services ask a conda-store, to the letter, past any proxy, below `/conda-store`.

Dask Gateway: `dask-gateway/files/gateway_config.py`. The launcher of apps: `jupyterhub/files/
jupyterhub/02-spawner.py`, older and newer. The scheduler of notebooks: `argo_jupyter_scheduler/
utils.py`. Health: `kuberhealthy-healthchecks`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from web_helpers import DEMO, Stand, ask, claim, commit, packages, result

from envwatch.model import EnvKey, Manager, Package
from envwatch.settings import AccessSettings, Role, WebSettings
from envwatch.web import serve

NECESSARY = ("dask", "distributed", "dask-gateway")
DASK = EnvKey("nebari-git", "dask")


@dataclass(frozen=True)
class Service:
    """A service of Nebari, with the token that it was given."""

    store: str
    token: str

    def get(self, url: str, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        answer = urllib3.PoolManager().request("GET", url, headers=headers)
        return json.loads(answer.data.decode("UTF-8"))

    def scoped(self, name: str, groups: tuple[str, ...], *, admin: bool = False) -> str:
        """As the launcher has a token made for each person who opens it."""
        bindings = {f"{n}/*": ["viewer"] for n in (name, "default", "filesystem", "nebari-git")}
        bindings |= {"global/*": ["viewer"]}
        bindings |= {f"{group.replace('/', '')}/*": ["viewer"] for group in groups}
        bindings |= {"*/*": ["viewer"]} if admin else {}
        answer = urllib3.PoolManager().request(
            "POST",
            f"{self.store}/conda-store/api/v1/token/",
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
            body=json.dumps({"role_bindings": bindings}),
        )
        return str(json.loads(answer.data.decode("UTF-8"))["data"]["token"])

    def launchable(self, token: str) -> list[str]:
        base = f"{self.store}/conda-store/api/v1/environment/"
        found = []
        for page in range(1, math.ceil(self.get(base, token)["count"] / 100) + 1):
            found += self.get(f"{base}?size=100&page={page}", token)["data"]
        return [f"{env['namespace']['name']}-{env['name']}" for env in found]


@pytest.fixture
def service(filled: Stand) -> Iterator[Service]:
    """Nobody sees anything but by a token."""
    filled.settings = replace(filled.settings, access=AccessSettings())
    server = serve(filled.app, WebSettings(port=0, url="https://hub.example.org/conda-store/"))
    made = filled.catalog.tokens.create("launcher", ("*/*",), role=Role.VIEWER)
    yield Service(server.address, made.secret)
    server.stop()


def with_packages(made: Stand, key: EnvKey, *names: str) -> None:
    found = (Package(n, "1.0", "0", Manager.CONDA, "https://c.example.org") for n in names)
    commit(made.catalog, ask(key, str(key)), source="local")
    while (build := claim(made.catalog)).key != key:
        """Something that waited before."""
    made.catalog.generations.publish(build, result(build, (*packages(6), *found)))


def test_dask_gateway_lists_what_workers_can_run_in(filled: Stand, service: Service) -> None:
    with_packages(filled, DASK, *NECESSARY)
    with_packages(filled, EnvKey("nebari-git", "dashboard"), "dask", "distributed")
    query = f"?packages={'&packages='.join(NECESSARY)}"
    found = service.get(f"{service.store}/conda-store/api/v1/environment/{query}")
    assert [(e["namespace"]["name"], e["name"]) for e in found["data"]] == [("nebari-git", "dask")]


def test_the_launcher_lists_what_somebody_may_see(filled: Stand, service: Service) -> None:
    commit(
        filled.catalog, *(ask(EnvKey("big", f"e{i:03}"), f"d{i}") for i in range(230)), source="x"
    )
    found = service.launchable(service.scoped("ada@example.org", ("/big", "/no such group")))
    assert found == [*(f"big-e{i:03}" for i in range(230)), "global-dask"]
    assert service.launchable(service.scoped("eve", ())) == ["global-dask"]
    everything = service.launchable(service.scoped("root", ("/admin",), admin=True))
    assert {"big-e000", f"{DEMO.namespace}-{DEMO.name}"} <= set(everything)
    assert service.launchable(service.token) == everything, "as older ones ask"


def test_many_people_may_open_the_launcher_at_once(service: Service) -> None:
    made = {service.scoped(f"person-{n}", ()) for n in range(60)}
    assert len(made) == 60


def test_a_token_for_a_launcher_ends_after_a_day(filled: Stand, service: Service) -> None:
    service.scoped("ada", ())
    token = filled.catalog.tokens.all()[0]
    assert token.expires_at is not None
    assert (token.expires_at - token.created_at).total_seconds() == pytest.approx(86400, abs=60)


def test_tokens_of_launchers_do_not_pile_up(filled: Stand, service: Service) -> None:
    past = datetime.now(UTC) - timedelta(days=3)
    filled.catalog.tokens.create("api-past", ("*/*",), role=Role.VIEWER, expires_at=past)
    service.scoped("ada", ())
    assert "api-past" not in {t.name for t in filled.catalog.tokens.all()}


def test_the_scheduler_of_notebooks_finds_an_environment(service: Service) -> None:
    found = service.get(f"{service.store}/conda-store/api/v1/environment")["data"]
    assert DEMO in {EnvKey(e["namespace"]["name"], e["name"]) for e in found}


def test_health_is_told_to_anybody(service: Service) -> None:
    answer = urllib3.request("GET", f"{service.store}/conda-store/api/v1/", retries=False)
    assert (answer.status, answer.json()["status"]) == (200, "ok")


def test_links_below_the_path_carry_it(service: Service) -> None:
    answer = urllib3.request("GET", f"{service.store}/conda-store/signin", retries=False)
    assert answer.status == 200
    assert 'href="/conda-store/style.css' in answer.data.decode()
    # … and a proxy that takes it off, and says so, is answered as well
    plain = urllib3.request("GET", f"{service.store}/signin", retries=False).data.decode()
    assert 'href="/style.css' in plain
